package exchange

import (
	"context"
	"sync"

	"archivecache/store"
)

const (
	// gatherBatch is how many leaves a store is asked to gather at a time, about.
	gatherBatch = 4 << 10
	// leastGathered is how many there have to be: fewer are fetched as everything else is.
	leastGathered = 16
)

// A leaf is a block without links, and how long a link says that it is.
type leaf struct {
	ref
	size uint64
}

// A gatherer has the store of a Fetcher fetch many blocks by itself.
type gatherer struct {
	turn   sync.Mutex // held while the store fetches
	failed bool       // it is not tried again; guarded by turn

	mu    sync.Mutex
	have  keySet // what was gathered; it may not be committed yet
	dirty bool   // some of it was gathered since the last commit began
}

func (g *gatherer) has(r ref) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.have.has(r.key())
}

func (g *gatherer) add(leaves []leaf) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range leaves {
		g.have.add(l.key())
	}
	g.dirty = true
}

// take reports whether there is something to commit, and that it is being committed; give takes
// that back.
func (g *gatherer) take() (dirty bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	dirty, g.dirty = g.dirty, false
	return dirty
}

func (g *gatherer) give(dirty bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dirty = g.dirty || dirty
}

// canGather reports whether the store can fetch by itself.
func (f *Fetcher) canGather() bool {
	_, ok := f.writer.(store.Gatherer)
	return ok
}

// alone reports whether there is nobody else to ask than the network of the store: what others serve
// by HTTP may be nowhere in it.
func (f *Fetcher) alone() bool {
	ask, _ := f.order()
	for _, p := range ask {
		if p.Source.Get == nil {
			return false
		}
	}
	return len(ask) > 0
}

// gather has the store fetch leaves, if links say that they have at most so many bytes, and returns
// those that it did not. Why it did not is found out by asking for them one by one.
func (f *Fetcher) gather(ctx context.Context, leaves []leaf, most int64, progress func()) (rest []leaf) {
	f.gathered.turn.Lock()
	defer f.gathered.turn.Unlock()
	if len(leaves) < leastGathered || f.gathered.failed || !f.alone() {
		return leaves
	}
	blocks, size := make([]store.Sized, len(leaves)), int64(0)
	for i, l := range leaves {
		blocks[i] = store.Sized{Cid: l.cid(), Size: l.size}
		size += int64(min(l.size, store.MaxBlock+1))
	}
	if size > most {
		return leaves
	}
	told := 0
	tell := func(n int) {
		f.fetched.Add(int64(n - told))
		told = n
	}
	err := f.writer.(store.Gatherer).Gather(ctx, blocks, f.opt.Stall, func(n int) {
		f.received()
		tell(n)
		progress()
	})
	if err != nil {
		f.gathered.failed = true
		tell(0)
		return leaves
	}
	tell(len(leaves))
	f.bytes.Add(size)
	f.gathered.add(leaves)
	return nil
}
