package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
)

// slowHedge is how many times longer the next source is waited with while another is sending.
const slowHedge = 25

// reply is what one peer gave.
type reply struct {
	peer *peer
	data []byte
	err  error
}

// race asks one peer after the other, without waiting long for each, and returns the first
// block that comes.
type race struct {
	fetcher  *Fetcher
	cid      cid.Cid
	replies  chan reply
	answered chan struct{}
	waiting  []*peer // not asked yet
	running  int
	asked    []Attempt
}

// race returns the block c from the first peer that gives it.
func (f *Fetcher) race(ctx context.Context, c cid.Cid) ([]byte, error) {
	peers, aside := f.order()
	r := &race{
		fetcher:  f,
		cid:      c,
		replies:  make(chan reply, len(peers)),
		answered: make(chan struct{}, len(peers)),
		waiting:  peers,
		asked:    aside,
	}
	if f.stalled.Load() {
		return nil, r.unavailable(ErrStalled)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel() // ends the requests that lost
	data, err := r.run(inner)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("get block %s: %w", c, ctx.Err())
	}
	return data, err
}

func (r *race) run(ctx context.Context) ([]byte, error) {
	r.next(ctx)
	hedge := time.NewTimer(r.fetcher.opt.Hedge)
	defer hedge.Stop()
	stall := time.NewTimer(r.fetcher.opt.Stall)
	defer stall.Stop()
	begin := time.Now()
	for r.running > 0 {
		select {
		case got := <-r.replies:
			r.running--
			if got.err == nil {
				return got.data, nil
			}
			r.asked = append(r.asked, Attempt{Source: got.peer.Source, Err: got.err})
			r.next(ctx)
			hedge.Reset(r.fetcher.opt.Hedge)
		case <-r.answered:
			hedge.Reset(slowHedge * r.fetcher.opt.Hedge)
		case <-hedge.C:
			r.next(ctx)
			hedge.Reset(r.fetcher.opt.Hedge)
		case <-stall.C:
			left := r.fetcher.opt.Stall - r.fetcher.quiet(begin)
			if left <= 0 {
				r.fetcher.stalled.Store(true)
				return nil, r.unavailable(ErrStalled)
			}
			stall.Reset(left)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, r.unavailable(nil)
}

// next asks the next peer, if there is one.
func (r *race) next(ctx context.Context) {
	if len(r.waiting) == 0 {
		return
	}
	p := r.waiting[0]
	r.waiting = r.waiting[1:]
	r.running++
	go func() {
		data, err := p.ask(ctx, r.cid, func() { r.answered <- struct{}{} }, r.fetcher.received)
		if lost := ctx.Err() != nil && errors.Is(err, ctx.Err()); !lost { // to another that was faster
			p.judge(err, r.fetcher.sequence.Add(1))
		}
		r.replies <- reply{peer: p, data: data, err: err}
	}()
}

// unavailable is the error of a block that nobody gave.
func (r *race) unavailable(why error) error {
	return &UnavailableError{Cid: r.cid, Asked: r.asked, Missing: []cid.Cid{r.cid}, Count: 1, Why: why}
}

// received notes that something came.
func (f *Fetcher) received() { f.lastByte.Store(time.Now().UnixNano()) }

// quiet returns for how long nothing has come, counted from begin at the earliest.
func (f *Fetcher) quiet(begin time.Time) time.Duration {
	if last := time.Unix(0, f.lastByte.Load()); last.After(begin) {
		begin = last
	}
	return time.Since(begin)
}
