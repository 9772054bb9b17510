package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"archivecache/dag"
	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
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
	// DefaultBlocks if it is 0. Each takes some 40 bytes of memory.
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
		get:      f.Get,
		old:      f.local,
		has:      f.has,
		stats:    f.Stats,
		scope:    scope,
		parallel: f.opt.Parallel,
		patient:  len(f.peers) == 0,
		before:   f.Stats(),
	}
	err := w.run(ctx, []cid.Cid{root}, known)
	return w.count(), err
}

// has says which blocks are in the store or fetched.
func (f *Fetcher) has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	has, err := f.store.Has(ctx, cids)
	if err != nil {
		return nil, err
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

const (
	batch = 1024 // blocks whose presence is asked for at a time
	// As many known blocks are opened on a level as have a chance to have something in common
	// with the new ones: so many for each of those, and some more.
	oldPerNew, oldMore = 4, 256
)

// walk goes down level by level from new roots and known roots.
type walk struct {
	get      func(context.Context, cid.Cid) ([]byte, error)
	old      func(context.Context, cid.Cid) ([]byte, error) // a block below a known root
	has      func(context.Context, []cid.Cid) ([]bool, error)
	stats    func() Stats // of the Fetcher
	scope    Scope
	parallel int
	patient  bool // goes on when blocks are missing
	before   Stats

	mu      sync.Mutex
	seen    keySet // below the new roots
	known   keySet // below the known roots
	both    keySet // linked from both sides on this level
	missing *UnavailableError
	shown   time.Time
}

func (w *walk) run(ctx context.Context, roots, known []cid.Cid) error {
	w.seen, w.known, w.both = keySet{}, keySet{}, keySet{}
	var newer, older []cid.Cid
	for _, c := range known {
		if k, err := keyOf(c); err == nil && w.known.add(k) {
			older = append(older, c)
		}
	}
	err := error(nil)
	for _, c := range roots {
		if _, ok := store.Identity(c); ok {
			continue
		}
		if newer, err = w.enqueue(newer, c.Bytes()); err != nil {
			return fmt.Errorf("block %s: %w", c, err)
		}
	}
	for err == nil && len(newer) > 0 {
		newer, older, err = w.level(ctx, newer, older)
	}
	w.report(true)
	if err == nil && w.missing != nil {
		return w.missing
	}
	return err
}

// level does the blocks newer and returns the next level.
func (w *walk) level(ctx context.Context, newer, older []cid.Cid) (nextNewer, nextOlder []cid.Cid, err error) {
	older = older[:min(len(older), oldPerNew*len(newer)+oldMore)]
	if nextOlder, err = w.open(ctx, older); err != nil {
		return nil, nil, err
	}
	raw, nodes := split(newer)
	if err := w.leaves(ctx, raw); err != nil {
		return nil, nil, err
	}
	if nextNewer, err = w.nodes(ctx, nodes); err != nil {
		return nil, nil, err
	}
	nextOlder = w.apart(nextOlder)
	return nextNewer, nextOlder, nil
}

// split separates blocks without links from others.
func split(cids []cid.Cid) (raw, nodes []cid.Cid) {
	for _, c := range cids {
		if c.Type() == cid.Raw {
			raw = append(raw, c)
		} else {
			nodes = append(nodes, c)
		}
	}
	return raw, nodes
}

// open returns the blocks with links that the known blocks link and no known block did before. A
// block that is not there is passed over.
func (w *walk) open(ctx context.Context, older []cid.Cid) ([]cid.Cid, error) {
	var next []cid.Cid
	for _, c := range older {
		data, err := w.old(ctx, c)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if w.leaf(c, data) {
			continue
		}
		err = dag.RawLinks(c, data, func(link []byte) error {
			k, codec := linkKey(link)
			if !w.known.add(k) || codec == cid.Raw {
				return nil
			}
			c, err := cid.Cast(link)
			next = append(next, c)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return next, w.budget()
}

// apart returns those of the known blocks that the new side does not link.
func (w *walk) apart(older []cid.Cid) []cid.Cid {
	var next []cid.Cid
	for _, c := range older {
		if k, err := keyOf(c); err == nil && !w.both.has(k) {
			next = append(next, c)
		}
	}
	clear(w.both)
	return next
}

// enqueue adds the block of a link to next if it has to be gone through. w.mu is held, or nobody
// else is there.
func (w *walk) enqueue(next []cid.Cid, link []byte) ([]cid.Cid, error) {
	if err := dag.CheckCid(link); err != nil {
		return next, err
	}
	k, codec := linkKey(link)
	if w.known.has(k) {
		w.both.add(k)
		return next, nil
	}
	if w.scope.MetadataOnly && codec == cid.Raw || !w.seen.add(k) {
		return next, nil
	}
	c, err := cid.Cast(link)
	return append(next, c), err
}

// budget says whether more was met than may be.
func (w *walk) budget() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.overBudget()
}

// overBudget is budget with w.mu held.
func (w *walk) overBudget() error {
	if blocks := int64(len(w.seen) + len(w.known)); blocks > w.scope.MaxBlocks {
		return fmt.Errorf("blocks below the root: %w: %d", ErrBudget, w.scope.MaxBlocks)
	}
	if fetched := w.count().Bytes; w.scope.MaxBytes > 0 && fetched > w.scope.MaxBytes {
		return fmt.Errorf("bytes of blocks that are fetched: %w: %d", ErrBudget, w.scope.MaxBytes)
	}
	return nil
}

// leaves makes blocks without links present.
func (w *walk) leaves(ctx context.Context, cids []cid.Cid) error {
	for len(cids) > 0 {
		part := cids[:min(batch, len(cids))]
		cids = cids[len(part):]
		has, err := w.has(ctx, part)
		if err != nil {
			return err
		}
		var absent []cid.Cid
		for i, c := range part {
			if !has[i] {
				absent = append(absent, c)
			}
		}
		if err := w.each(ctx, absent, func(cid.Cid, []byte) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// nodes makes blocks with links present and returns what they link and is to be gone through.
func (w *walk) nodes(ctx context.Context, cids []cid.Cid) ([]cid.Cid, error) {
	var next []cid.Cid
	err := w.each(ctx, cids, func(c cid.Cid, data []byte) error {
		if w.leaf(c, data) {
			return nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		err := dag.RawLinks(c, data, func(link []byte) error {
			var err error
			next, err = w.enqueue(next, link)
			return err
		})
		if err != nil {
			return err
		}
		return w.overBudget()
	})
	return next, err
}

// leaf says whether what is below a block is out of scope.
func (w *walk) leaf(c cid.Cid, data []byte) bool {
	if !w.scope.MetadataOnly || c.Type() != cid.DagProtobuf {
		return false
	}
	n, err := unixfs.DecodeNode(data)
	return err == nil && n.Kind == unixfs.File
}

// each calls fn with every block, several at a time. Blocks that nobody gives are noted.
func (w *walk) each(ctx context.Context, cids []cid.Cid, fn func(cid.Cid, []byte) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(w.parallel)
	for _, c := range cids {
		if inner.Err() != nil || w.hopeless() {
			break
		}
		group.Go(func() error { return w.one(inner, c, fn) })
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
		Blocks:  int64(len(w.seen)),
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
