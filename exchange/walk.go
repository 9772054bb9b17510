package exchange

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"archivecache/dag"
	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
)

const (
	batch = 1024 // blocks whose presence is asked for at a time
	// readBatch is how many blocks that are here are looked up at a time; the small ones of them
	// are in memory together.
	readBatch = 128
	// As many known blocks are opened on a level as have a chance to have something in common
	// with the new ones: so many for each of those, and some more.
	oldPerNew, oldMore = 4, 256
)

// walk goes down level by level from new roots and known roots. What is here is read one after
// another, as it comes from one database; what has to be fetched is fetched in parallel.
type walk struct {
	local    func(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error
	get      func(context.Context, cid.Cid) ([]byte, error) // a block that local does not have
	has      func(context.Context, []cid.Cid) ([]bool, error)
	gather   func(ctx context.Context, leaves []leaf) (rest []leaf) // may be nil; those that it leaves are fetched
	stats    func() Stats                                           // of the Fetcher
	scope    Scope
	parallel int
	patient  bool // goes on when blocks are missing
	before   Stats

	mu      sync.Mutex
	seen    keySet // below the new roots
	known   keySet // below the known roots
	both    keySet // with links, and linked from both sides on this level
	leaves  []leaf // without links, not asked for yet
	missing *UnavailableError
	shown   time.Time
}

func (w *walk) run(ctx context.Context, roots, known []cid.Cid) error {
	var newer, older []ref
	for _, c := range known {
		if r, err := refOf(c); err == nil && w.known.add(r.key()) {
			older = append(older, r)
		}
	}
	err := error(nil)
	for _, c := range roots {
		if _, ok := store.Identity(c); ok {
			continue
		}
		if newer, err = w.enqueue(newer, c.Bytes(), 0); err != nil {
			return fmt.Errorf("block %s: %w", c, err)
		}
	}
	for err == nil && len(newer)+len(w.leaves) > 0 {
		newer, older, err = w.level(ctx, newer, older)
	}
	w.report(true)
	if err == nil && w.missing != nil {
		return w.missing
	}
	return err
}

// level does the blocks newer, which have links, and all leaves, and returns the next level.
func (w *walk) level(ctx context.Context, newer, older []ref) (nextNewer, nextOlder []ref, err error) {
	older = older[:min(len(older), oldPerNew*len(newer)+oldMore)]
	if nextOlder, err = w.open(ctx, older); err != nil {
		return nil, nil, err
	}
	if nextNewer, err = w.nodes(ctx, newer); err != nil {
		return nil, nil, err
	}
	if err := w.askLeaves(ctx, 1); err != nil {
		return nil, nil, err
	}
	return nextNewer, w.apart(nextOlder), nil
}

// here calls fn with those of the blocks that are here, and returns the others.
func (w *walk) here(ctx context.Context, refs []ref, fn func(cid.Cid, []byte) error) (absent []ref, err error) {
	for len(refs) > 0 {
		part := refs[:min(readBatch, len(refs))]
		refs = refs[len(part):]
		list := cids(part)
		err := w.local(ctx, list, func(i int, data []byte, err error) error {
			if errors.Is(err, store.ErrNotFound) {
				absent = append(absent, part[i])
				return nil
			}
			if err != nil {
				return err
			}
			return fn(list[i], data)
		})
		if err != nil {
			return nil, err
		}
	}
	return absent, nil
}

// open returns the blocks with links that the known blocks link and no known block did before. A
// block that is not there is passed over.
func (w *walk) open(ctx context.Context, older []ref) ([]ref, error) {
	var next []ref
	_, err := w.here(ctx, older, func(c cid.Cid, data []byte) error {
		if w.leaf(c, data) {
			return nil
		}
		return dag.RawLinks(c, data, func(link []byte) error {
			r, err := linkRef(link)
			if err == nil && w.known.add(r.key()) && r.codec != cid.Raw {
				next = append(next, r)
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return next, w.budget()
}

// apart returns those of the known blocks that the new side does not link.
func (w *walk) apart(older []ref) []ref {
	var next []ref
	for _, r := range older {
		if !w.both.has(r.key()) {
			next = append(next, r)
		}
	}
	w.both = keySet{}
	return next
}

// enqueue adds the block of a link to next, or to the leaves, if it has to be gone through. w.mu is
// held, or nobody else is there.
func (w *walk) enqueue(next []ref, link []byte, size uint64) ([]ref, error) {
	r, err := linkRef(link)
	if err != nil {
		return next, err
	}
	k, raw := r.key(), r.codec == cid.Raw
	switch {
	case w.known.has(k):
		if !raw {
			w.both.add(k)
		}
	case raw && w.scope.MetadataOnly || !w.seen.add(k):
	case raw:
		w.leaves = append(w.leaves, leaf{r, size})
	default:
		next = append(next, r)
	}
	return next, nil
}

// budget says whether more was met than may be.
func (w *walk) budget() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.overBudget()
}

// overBudget is budget with w.mu held.
func (w *walk) overBudget() error {
	if blocks := int64(w.seen.n + w.known.n); blocks > w.scope.MaxBlocks {
		return fmt.Errorf("blocks below the root: %w: %d", ErrBudget, w.scope.MaxBlocks)
	}
	if fetched := w.count().Bytes; w.scope.MaxBytes > 0 && fetched > w.scope.MaxBytes {
		return fmt.Errorf("bytes of blocks that are fetched: %w: %d", ErrBudget, w.scope.MaxBytes)
	}
	return nil
}

// left returns how many bytes may still be fetched.
func (w *walk) left() int64 {
	if w.scope.MaxBytes <= 0 {
		return math.MaxInt64
	}
	return w.scope.MaxBytes - w.count().Bytes
}

// askLeaves makes the leaves present, if there are enough that it is worth while.
func (w *walk) askLeaves(ctx context.Context, least int) error {
	if len(w.leaves) < least {
		return nil
	}
	absent, err := w.absentLeaves(ctx)
	if err != nil {
		return err
	}
	if w.gather != nil {
		absent = w.gather(ctx, absent)
	}
	refs := make([]ref, len(absent))
	for i, l := range absent {
		refs[i] = l.ref
	}
	return w.each(ctx, refs, func(cid.Cid, []byte) error { return nil })
}

// absentLeaves takes the leaves, and returns those that are not here.
func (w *walk) absentLeaves(ctx context.Context) (absent []leaf, err error) {
	for rest := w.leaves; len(rest) > 0; {
		part := rest[:min(batch, len(rest))]
		rest = rest[len(part):]
		list := make([]cid.Cid, len(part))
		for i := range part {
			list[i] = part[i].cid()
		}
		has, err := w.has(ctx, list)
		if err != nil {
			return nil, err
		}
		for i := range part {
			if !has[i] {
				absent = append(absent, part[i])
			}
		}
	}
	w.leaves = w.leaves[:0]
	return absent, nil
}

// enough is how many leaves are asked for at a time.
func (w *walk) enough() int {
	if w.gather != nil {
		return gatherBatch
	}
	return batch
}

// nodes makes blocks with links present and returns what they link and is to be gone through.
func (w *walk) nodes(ctx context.Context, refs []ref) (next []ref, err error) {
	visit := func(c cid.Cid, data []byte) error { return w.visit(&next, c, data) }
	absent, err := w.here(ctx, refs, func(c cid.Cid, data []byte) error {
		if err := errors.Join(ctx.Err(), visit(c, data)); err != nil {
			return err
		}
		w.report(false)
		return w.askLeaves(ctx, w.enough())
	})
	for err == nil && len(absent) > 0 {
		part := absent[:min(batch, len(absent))]
		absent = absent[len(part):]
		if err = w.each(ctx, part, visit); err == nil {
			err = w.askLeaves(ctx, w.enough())
		}
	}
	return next, err
}

// visit adds to next what a block links and is to be gone through. next is guarded by w.mu.
func (w *walk) visit(next *[]ref, c cid.Cid, data []byte) error {
	if w.leaf(c, data) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err := dag.SizedLinks(c, data, func(link []byte, size uint64) (err error) {
		*next, err = w.enqueue(*next, link, size)
		return err
	})
	if err != nil {
		return err
	}
	return w.overBudget()
}

// leaf says whether what is below a block is out of scope.
func (w *walk) leaf(c cid.Cid, data []byte) bool {
	if !w.scope.MetadataOnly || c.Type() != cid.DagProtobuf {
		return false
	}
	n, err := unixfs.DecodeNode(data)
	return err == nil && n.Kind == unixfs.File
}

// each fetches blocks, several at a time, and calls fn with each. Blocks that nobody gives are
// noted.
func (w *walk) each(ctx context.Context, refs []ref, fn func(cid.Cid, []byte) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(w.parallel)
	for i := range refs {
		if inner.Err() != nil || w.hopeless() {
			break
		}
		group.Go(func() error { return w.one(inner, refs[i].cid(), fn) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("blocks below the root: %w", err)
	}
	if w.hopeless() {
		return w.missing
	}
	return nil
}

func (w *walk) one(ctx context.Context, c cid.Cid, fn func(cid.Cid, []byte) error) error {
	if err := w.budget(); err != nil {
		return err
	}
	data, err := w.get(ctx, c)
	if errors.Is(err, store.ErrNotFound) {
		w.miss(c, err)
		return nil
	}
	if err == nil {
		err = fn(c, data)
	}
	w.report(false)
	return err
}

// miss notes a block that nobody gave.
func (w *walk) miss(c cid.Cid, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.missing == nil {
		w.missing = &UnavailableError{Cid: c}
		if cause := (*UnavailableError)(nil); errors.As(err, &cause) {
			w.missing.Asked, w.missing.Why = cause.Asked, cause.Why
		}
	}
	w.missing.Count++
	if len(w.missing.Missing) < maxMissing {
		w.missing.Missing = append(w.missing.Missing, c)
	}
}

// hopeless says whether so much is missing that looking for more helps nobody.
func (w *walk) hopeless() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.patient && w.missing != nil && (w.missing.Count >= maxMissing || w.missing.Why != nil)
}

func (w *walk) count() Stats {
	now := w.stats()
	return Stats{
		Blocks:  int64(w.seen.n),
		Fetched: now.Fetched - w.before.Fetched,
		Bytes:   now.Bytes - w.before.Bytes,
	}
}

// reportEvery is the least time between two calls of Progress.
const reportEvery = 100 * time.Millisecond

func (w *walk) report(last bool) {
	if w.scope.Progress == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if last || time.Since(w.shown) >= reportEvery {
		w.shown = time.Now()
		w.scope.Progress(w.count())
	}
}
