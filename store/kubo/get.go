package kubo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"archivecache/store"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
)

// A Store is the blocks of a daemon as a [store.Store]. Closing it closes nothing: the daemon is
// the caller's.
type Store struct{ d *Daemon }

var _ store.Store = (*Store)(nil)

// Store returns the blocks of the daemon.
func (d *Daemon) Store() *Store { return &Store{d} }

// Close does nothing.
func (s *Store) Close() error { return nil }

// Get returns the bytes of the block c, verified, or a [*store.MissingError]. The daemon asks no
// other for it. If it answers with other bytes, the error is a [*store.MismatchError] and names
// the daemon.
func (s *Store) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	return s.d.block(ctx, c, call{options: map[string]string{"offline": "true"}})
}

// Fetch is [Store.Get], but a daemon that does not have the block looks for it on its network
// as long as it may be silent. The block is pinned by nothing then: put it into a [Writer] too.
func (d *Daemon) Fetch(ctx context.Context, c cid.Cid) ([]byte, error) {
	// The daemon gives up first, so that it is not taken for one that is silent.
	return d.block(ctx, c, call{options: map[string]string{"timeout": (d.timeout * 3 / 4).String()}})
}

func (d *Daemon) block(ctx context.Context, c cid.Cid, how call) (data []byte, err error) {
	if data, ok := store.Identity(c); ok {
		return data, nil
	}
	if _, err := store.DigestOf(c); err != nil {
		return nil, err
	}
	how.command, how.args = "block/get", []string{c.String()}
	err = d.do(ctx, how, func(r *reply) error {
		if data, err = readAll(r, store.MaxBlock); err != nil {
			return err
		}
		return store.Verify(c, data)
	})
	if isMissing(err, c) || how.options["timeout"] != "" && isLate(err) {
		return nil, &store.MissingError{Cid: c}
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// isLate reports whether kubo says that it did not get a block in the time that it was given.
func isLate(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.kubo && r.text == "context deadline exceeded"
}

// isMissing reports whether kubo says that it does not have the block.
func isMissing(err error, c cid.Cid) bool {
	var r *refusal
	if !errors.As(err, &r) || !r.kubo {
		return false
	}
	found, ok := missingCid(r.text)
	return ok && found.Equals(c)
}

// missingCid returns the block of which kubo says that it does not have it.
func missingCid(text string) (c cid.Cid, ok bool) {
	text, ok = strings.CutPrefix(strings.TrimPrefix(text, "block was not found locally (offline): "), "ipld: could not find ")
	if !ok {
		return c, false
	}
	c, err := cid.Decode(text)
	return c, err == nil
}

// GetMany calls fn, in order and never twice at a time, with what Get returns of each block: its
// bytes or an error. Some are asked for ahead, so that up to twice as many as
// [Options].Parallel are in memory. It ends with the first error of fn, which it returns as it is.
func (s *Store) GetMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error {
	type result struct {
		data []byte
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ahead []chan result // of cids[i:]
	next := 0
	for i := range cids {
		for ; next < len(cids) && len(ahead) < s.d.parallel; next++ {
			c, ch := cids[next], make(chan result, 1)
			ahead = append(ahead, ch)
			go func() {
				data, err := s.Get(ctx, c)
				ch <- result{data, err}
			}()
		}
		r := <-ahead[0]
		ahead = ahead[1:]
		if err := fn(i, r.data, r.err); err != nil {
			return err
		}
	}
	return nil
}

// Has says for each CID whether its block is in the daemon, whoever keeps it there. What is here
// and was not put by this repository can be collected at any time.
func (s *Store) Has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	has := make([]bool, len(cids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.d.parallel)
	for i, c := range cids {
		g.Go(func() (err error) {
			has[i], err = s.d.has(ctx, c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return has, nil
}

func (d *Daemon) has(ctx context.Context, c cid.Cid) (bool, error) {
	if _, ok := store.Identity(c); ok {
		return true, nil
	}
	if _, err := store.DigestOf(c); err != nil {
		return false, err
	}
	var answer struct {
		Key  string
		Size *int64
	}
	err := d.ask(ctx, call{command: "block/stat", args: []string{c.String()}, options: map[string]string{"offline": "true"}}, &answer)
	if isMissing(err, c) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if key, err := cid.Decode(answer.Key); err != nil || string(key.Hash()) != string(c.Hash()) || answer.Size == nil {
		return false, d.wrap("block/stat", fmt.Errorf("asked for %s, it answers about %.100q", c, answer.Key))
	}
	return true, nil
}
