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
	mu     sync.Mutex
	failed bool   // it is not tried again
	have   keySet // what was gathered; it may not be committed yet
}

func (g *gatherer) has(r ref) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.have.has(r.key())
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
	f.gathered.mu.Lock()
	defer f.gathered.mu.Unlock()
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
	before := f.fetched.Load()
	err := f.writer.(store.Gatherer).Gather(ctx, blocks, f.opt.Stall, func(n int) {
		f.received()
		f.fetched.Store(before + int64(n))
		progress()
	})
	if err != nil {
		f.gathered.failed = true
		f.fetched.Store(before)
		return leaves
	}
	for _, l := range leaves {
		f.gathered.have.add(l.key())
	}
	f.fetched.Store(before + int64(len(leaves)))
	f.bytes.Add(size)
	return nil
}
