package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// Options of a [Fetcher]. The zero value of each is its default.
type Options struct {
	Policy Policy
	// BlockTimeout is how long a request may take, 20 s by default. A second is added for
	// every 4 KiB that have come.
	BlockTimeout time.Duration
	// Stall is how long requests may go on without a byte of a block from anybody, a
	// minute by default. After that the Fetcher asks nobody any more.
	Stall time.Duration
	// Hedge is how long the first source is waited for before the next is asked too, 200 ms by
	// default.
	Hedge time.Duration
	// Parallel is how many blocks are asked for at a time, 32 by default.
	Parallel int
}

func (o *Options) setDefaults() {
	if o.BlockTimeout <= 0 {
		o.BlockTimeout = 20 * time.Second
	}
	if o.Stall <= 0 {
		o.Stall = time.Minute
	}
	if o.Hedge <= 0 {
		o.Hedge = 200 * time.Millisecond
	}
	if o.Parallel <= 0 {
		o.Parallel = 32
	}
}

// maxMissing is how many blocks an error names.
const maxMissing = 20

// An UnavailableError is blocks that are not here and that nobody who was asked gave.
type UnavailableError struct {
	Cid     cid.Cid   // the first
	Asked   []Attempt // who was asked for it, and why each did not give it
	Missing []cid.Cid // the first 20 of all
	Count   int       // of all that are known to be missing; there may be more below them
	Why     error     // ErrStalled if not everybody was asked to the end, else nil
}

func (e *UnavailableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "block %s: not here", e.Cid)
	if e.Why != nil {
		fmt.Fprintf(&b, ", %v", e.Why)
	} else if len(e.Asked) == 0 {
		b.WriteString(", and there is nobody to ask: name a gateway with -gateway, or take the blocks from a CAR file with import-car")
	} else {
		b.WriteString(", and nobody gave it")
	}
	for i, a := range e.Asked {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(a.String())
	}
	if e.Count > 1 {
		fmt.Fprintf(&b, "; %d blocks are missing in all:", e.Count)
		for _, c := range e.Missing {
			fmt.Fprintf(&b, " %s", c)
		}
		if e.Count > len(e.Missing) {
			b.WriteString(" ...")
		}
	}
	return b.String()
}

// Unwrap returns Why.
func (e *UnavailableError) Unwrap() error { return e.Why }

// Is reports whether target is store.ErrNotFound.
func (e *UnavailableError) Is(target error) bool { return target == store.ErrNotFound }

// ErrStalled is an operation that was given up because nothing came any more.
var ErrStalled = errors.New("nothing has come for too long")

// maxPending is how many bytes of fetched blocks are held before they are committed to the store.
const maxPending = 32 << 20

// A Fetcher reads blocks from a store, and those that are not there from sources. What it fetched
// it puts into the store: some on the way, whenever 32 MiB have come, and the rest with Commit.
// It is for one operation, since sources that fail are not tried again. It is safe for use by
// several goroutines.
type Fetcher struct {
	store  store.Store
	opt    Options
	peers  []*peer
	slots  chan struct{} // one for each block that is asked for
	writer store.Writer
	commit sync.Mutex // one commit at a time

	sequence atomic.Int64
	fetched  atomic.Int64
	bytes    atomic.Int64
	lastByte atomic.Int64 // when something came last, in Unix nanoseconds
	stalled  atomic.Bool
	gathered gatherer

	mu       sync.Mutex
	flights  map[store.Digest]*flight
	pending  map[store.Digest][]byte // put into writer, not committed
	flushing map[store.Digest][]byte // being committed
	size     int                     // bytes in pending
	recent   recent                  // of what is in the store
}

// flight is a block that is being fetched.
type flight struct {
	done chan struct{}
	data []byte
	err  error
}

// NewFetcher returns a Fetcher of what st does not have. The sources are asked in their order until
// it is known which of them answer. Close it in the end.
func NewFetcher(st store.Store, sources []Source, opt Options) *Fetcher {
	opt.setDefaults()
	f := &Fetcher{
		store:   st,
		opt:     opt,
		slots:   make(chan struct{}, opt.Parallel),
		writer:  st.Writer(),
		flights: make(map[store.Digest]*flight),
		pending: make(map[store.Digest][]byte),
	}
	for _, s := range sources {
		f.peers = append(f.peers, newPeer(s, opt.Policy, opt))
	}
	return f
}

// Stats returns how many blocks were fetched from others, and their bytes.
func (f *Fetcher) Stats() Stats {
	n := f.fetched.Load()
	return Stats{Blocks: n, Fetched: n, Bytes: f.bytes.Load()}
}

// Aside returns the sources that are not asked any more, and why: they gave wrong bytes, failed
// three times in a row, or are not to be followed.
func (f *Fetcher) Aside() []Attempt {
	var list []Attempt
	for _, p := range f.peers {
		if _, aside := p.state(); aside != nil {
			list = append(list, Attempt{Source: p.Source, Err: aside})
		}
	}
	return list
}

// Get returns the bytes of the block c, verified, from the store or else from a source. A block
// that nobody gave is an [*UnavailableError]. It counts as there for this Fetcher at once, and for
// others after Commit.
func (f *Fetcher) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := f.local(ctx, c)
	var missing *store.MissingError
	if !errors.As(err, &missing) {
		return data, err
	}
	return f.remote(ctx, c)
}

// remote returns a block that is not in the store.
func (f *Fetcher) remote(ctx context.Context, c cid.Cid) ([]byte, error) {
	d, err := store.DigestOf(c)
	if err != nil {
		return nil, err
	}
	for {
		data, err := f.join(ctx, c, d)
		// Whoever began may have been cancelled; that says nothing to the others who wait.
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return data, err
		}
	}
}

// local returns a block that is in the store or has been fetched.
func (f *Fetcher) local(ctx context.Context, c cid.Cid) ([]byte, error) {
	if data, ok := f.inMemory(c); ok {
		return data, nil
	}
	return f.store.Get(ctx, c)
}

// inMemory returns a block that was fetched and is not committed yet, or was read just now.
func (f *Fetcher) inMemory(c cid.Cid) ([]byte, bool) {
	d, err := store.DigestOf(c)
	if err != nil {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if data, ok := f.held(d); ok {
		return data, true
	}
	return f.recent.get(d)
}

// remember keeps a block of the store that has links for whoever reads it next.
func (f *Fetcher) remember(c cid.Cid, data []byte) {
	if c.Type() == cid.Raw {
		return
	}
	d, err := store.DigestOf(c)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent.add(d, data)
}

// held returns a block that is not committed yet. f.mu is held.
func (f *Fetcher) held(d store.Digest) ([]byte, bool) {
	if data, ok := f.pending[d]; ok {
		return data, true
	}
	data, ok := f.flushing[d]
	return data, ok
}

// join fetches c, or waits for whoever does already.
func (f *Fetcher) join(ctx context.Context, c cid.Cid, d store.Digest) ([]byte, error) {
	f.mu.Lock()
	if data, ok := f.held(d); ok {
		f.mu.Unlock()
		return data, nil
	}
	running, ok := f.flights[d]
	if !ok {
		running = &flight{done: make(chan struct{})}
		f.flights[d] = running
	}
	f.mu.Unlock()
	if ok {
		select {
		case <-running.done:
			return running.data, running.err
		case <-ctx.Done():
			return nil, fmt.Errorf("get block %s: %w", c, ctx.Err())
		}
	}
	running.data, running.err = f.fetch(ctx, c, d)
	f.mu.Lock()
	delete(f.flights, d)
	f.mu.Unlock()
	close(running.done)
	return running.data, running.err
}

// fetch asks the sources for c and keeps what came.
func (f *Fetcher) fetch(ctx context.Context, c cid.Cid, d store.Digest) ([]byte, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("get block %s: %w", c, ctx.Err())
	}
	data, err := f.race(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := f.writer.Put(ctx, store.Block{Cid: c, Data: data}); err != nil {
		return nil, err
	}
	f.fetched.Add(1)
	f.bytes.Add(int64(len(data)))
	f.mu.Lock()
	f.pending[d] = data
	f.size += len(data)
	full := f.size >= maxPending
	f.mu.Unlock()
	if full {
		return data, f.flush(ctx, false)
	}
	return data, nil
}

// Commit makes all that was fetched durable.
func (f *Fetcher) Commit(ctx context.Context) error { return f.flush(ctx, true) }

// flush commits what is pending: all, or only if it is much.
func (f *Fetcher) flush(ctx context.Context, all bool) error {
	f.commit.Lock()
	defer f.commit.Unlock()
	gathered := all && f.gathered.take()
	f.mu.Lock()
	if len(f.pending) == 0 && !gathered || !all && f.size < maxPending {
		f.mu.Unlock()
		return nil
	}
	size := f.size
	f.flushing, f.pending, f.size = f.pending, make(map[store.Digest][]byte), 0
	f.mu.Unlock()

	err := f.writer.Commit(ctx)

	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil { // they still wait in the writer
		f.gathered.give(gathered)
		for d, data := range f.flushing {
			f.pending[d] = data
		}
		f.size += size
	}
	f.flushing = nil
	if err != nil {
		return fmt.Errorf("commit of fetched blocks: %w", err)
	}
	return nil
}

// Close gives up what was not committed and closes idle connections. It leaves the store open.
func (f *Fetcher) Close() error {
	for _, p := range f.peers {
		p.client.CloseIdleConnections()
	}
	return f.writer.Close()
}

// order returns the peers to ask, who gave a block last first, and those who are put aside.
func (f *Fetcher) order() (ask []*peer, aside []Attempt) {
	served := make(map[*peer]int64, len(f.peers))
	for _, p := range f.peers {
		last, why := p.state()
		if why != nil {
			aside = append(aside, Attempt{Source: p.Source, Err: why})
			continue
		}
		ask = append(ask, p)
		served[p] = last
	}
	slices.SortStableFunc(ask, func(a, b *peer) int { return cmp.Compare(served[b], served[a]) })
	return ask, aside
}
