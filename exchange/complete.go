package exchange

import (
	"context"
	"errors"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// ErrBudget is an operation that met more blocks or bytes than it may.
var ErrBudget = errors.New("more than the budget allows")

// DefaultBlocks is how many blocks Complete looks at if nothing else is said.
const DefaultBlocks = 10_000_000

// A Scope says how much [Complete] is to make present.
type Scope struct {
	// MetadataOnly leaves out the content of files: raw blocks, and what is below the first
	// block of a file in several.
	MetadataOnly bool
	// MaxBlocks is how many blocks are looked at before it ends with ErrBudget,
	// DefaultBlocks if it is 0. Each takes some 30 bytes of memory.
	MaxBlocks int64
	// MaxBytes is how many bytes are fetched before it ends with ErrBudget; 0 is no limit.
	MaxBytes int64
	// Progress, if it is not nil, is called some times a second and in the end, never twice at
	// the same time.
	Progress func(Stats)
}

// Complete makes root and everything below it present. Whatever is below the known roots is there
// already: each of them must be complete, in the same scope. A block that nobody gives is an
// [*UnavailableError]; with sources Complete ends after some of them, without any it goes on and
// counts them all. A block that is not what its CID says it is, or that package dag does not
// read, ends it with an error that names the block. Fetched blocks are durable after f.Commit.
func Complete(ctx context.Context, f *Fetcher, root cid.Cid, known []cid.Cid, scope Scope) (Stats, error) {
	if scope.MaxBlocks <= 0 {
		scope.MaxBlocks = DefaultBlocks
	}
	w := &walk{
		local:    f.localMany,
		get:      f.remote,
		has:      f.has,
		stats:    f.Stats,
		scope:    scope,
		parallel: f.opt.Parallel,
		patient:  len(f.peers) == 0,
		before:   f.Stats(),
	}
	if f.canGather() {
		w.gather = func(ctx context.Context, leaves []leaf) []leaf {
			return f.gather(ctx, leaves, w.left(), func() { w.report(false) })
		}
	}
	err := w.run(ctx, []cid.Cid{root}, known)
	return w.count(), err
}

// localMany calls fn with each block, in any order: its bytes if it is in the store or has been
// fetched, else a [*store.MissingError]. The bytes are valid until fn returns.
func (f *Fetcher) localMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error {
	stored, places := make([]cid.Cid, 0, len(cids)), make([]int, 0, len(cids))
	for i, c := range cids {
		if data, ok := f.inMemory(c); ok {
			if err := fn(i, data, nil); err != nil {
				return err
			}
			continue
		}
		stored, places = append(stored, c), append(places, i)
	}
	return getMany(ctx, f.store, stored, func(n int, data []byte, err error) error {
		if err == nil {
			f.remember(stored[n], data)
		}
		return fn(places[n], data, err)
	})
}

// manyGetter is what a Getter has besides that reads many blocks faster than one by one.
type manyGetter interface {
	// GetMany calls fn with what Get returns of each block. The bytes are valid until fn returns.
	GetMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error
}

func getMany(ctx context.Context, get store.Getter, cids []cid.Cid, fn func(i int, data []byte, err error) error) error {
	if m, ok := get.(manyGetter); ok {
		return m.GetMany(ctx, cids, fn)
	}
	for i, c := range cids {
		data, err := get.Get(ctx, c)
		if err := fn(i, data, err); err != nil {
			return err
		}
	}
	return nil
}

// has says which blocks are in the store or fetched.
func (f *Fetcher) has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	has, err := f.store.Has(ctx, cids)
	if err != nil {
		return nil, err
	}
	for i, c := range cids {
		if r, err := refOf(c); err == nil && !has[i] {
			has[i] = f.gathered.has(r)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, c := range cids {
		if d, err := store.DigestOf(c); err == nil && !has[i] {
			_, has[i] = f.held(d)
		}
	}
	return has, nil
}
