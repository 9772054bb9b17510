package workspace

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// content is the content of a file as it is committed.
type content struct {
	ws    *Workspace
	entry unixfs.Entry
	index *unixfs.Index
	front atomic.Int64 // up to where somebody has read who reads in order
	row   atomic.Int64 // how many reads were near it, one after the other

	mu sync.Mutex
	// parts are leaves that were verified, by their places, for small reads here and there: each would
	// read and hash a whole leaf.
	parts map[int64]io.ReaderAt
}

func (ws *Workspace) openContent(ctx context.Context, e unixfs.Entry) (*content, error) {
	index, err := unixfs.OpenIndex(ctx, ws.blocks, e.Cid)
	if err != nil {
		return nil, err
	}
	return &content{ws: ws, entry: e, index: index}, nil
}

func (c *content) size() int64 {
	if c == nil {
		return 0
	}
	return c.index.Size()
}

func (c *content) chunks() int64 { return chunksOf(c.size()) }

// readAt fills p from the given place on; what is behind the end is zero.
func (c *content) readAt(ctx context.Context, p []byte, at int64) error {
	ordered := c.inOrder(at, at+int64(len(p)))
	for len(p) > 0 {
		if at >= c.size() {
			clear(p)
			return nil
		}
		leaf, err := c.index.Leaf(ctx, at)
		if err != nil {
			return err
		}
		n, err := c.readLeaf(ctx, p, leaf, at, ordered)
		if err != nil {
			return err
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}

const (
	// nearFront is how far from the front a read counts as one in order: the kernel has several on the
	// way, which come in any order.
	nearFront = 2 << 20
	// inRow is how many reads near the front it takes to read ahead: some of those here and there are
	// near it by chance.
	inRow = 3
)

// inOrder reports whether a read is one of many in order, and moves the front.
func (c *content) inOrder(from, to int64) bool {
	front := c.front.Load()
	near := from <= front+nearFront && from >= front-nearFront
	if !near || to > front {
		c.front.Store(to) // who comes second moves it a little less far
	}
	if !near {
		c.row.Store(0)
		return false
	}
	return c.row.Add(1) >= inRow
}

// readLeaf reads from a leaf to its end, or as much as p takes.
func (c *content) readLeaf(ctx context.Context, p []byte, leaf unixfs.Leaf, at int64, ordered bool) (int, error) {
	p = p[:min(int64(len(p)), leaf.Start+leaf.Size-at)]
	here := leaf.Data == nil && !ordered && len(p) < smallRead && !c.ws.chunks.has(leaf.Cid)
	if here && c.readPart(p, leaf, at) {
		return len(p), nil
	}
	data, err := c.read(ctx, leaf)
	if err == nil && int64(len(data)) != leaf.Size { // another file may have asked for it by a true link
		err = fmt.Errorf("block %s: %d bytes, and the link to it declares %d", leaf.Cid, len(data), leaf.Size)
	}
	if err != nil {
		return 0, err
	}
	if here {
		c.keepPart(ctx, leaf)
	}
	if ordered {
		c.ahead(ctx, leaf.Start+leaf.Size)
	}
	return copy(p, data[at-leaf.Start:]), nil
}

const (
	// smallRead is how many bytes at a time are read where they stand, if the leaf was verified before.
	smallRead = 64 << 10
	// maxParts is how many leaves of a file are known to be verified: those of 64 GiB.
	maxParts = 1 << 16
)

// readPart reads a piece of a leaf that was verified before.
func (c *content) readPart(p []byte, leaf unixfs.Leaf, at int64) bool {
	c.mu.Lock()
	part := c.parts[leaf.Start]
	c.mu.Unlock()
	if part == nil {
		return false
	}
	n, err := part.ReadAt(p, at-leaf.Start)
	if n == len(p) {
		return true
	}
	if err != nil { // its file may have been written anew
		c.mu.Lock()
		delete(c.parts, leaf.Start)
		c.mu.Unlock()
	}
	return false
}

// keepPart remembers where a leaf stands that was verified just now.
func (c *content) keepPart(ctx context.Context, leaf unixfs.Leaf) {
	part, err := c.ws.repo.Part(ctx, leaf.Cid)
	if err != nil || part == nil || leaf.Cid.Type() != cid.Raw {
		return // then it is read whole
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts == nil || len(c.parts) >= maxParts {
		c.parts = map[int64]io.ReaderAt{}
	}
	c.parts[leaf.Start] = part
}

func (c *content) read(ctx context.Context, leaf unixfs.Leaf) ([]byte, error) {
	if leaf.Data != nil {
		return leaf.Data, nil
	}
	return c.ws.chunks.get(ctx, leaf.Cid, func(ctx context.Context) ([]byte, error) { return c.index.Read(ctx, leaf) })
}

// ahead begins to read what comes next.
func (c *content) ahead(ctx context.Context, at int64) {
	for range aheadChunks {
		if at >= c.size() {
			return
		}
		leaf, err := c.index.Leaf(ctx, at)
		if err != nil {
			return // whoever gets there finds out
		}
		if at = leaf.Start + leaf.Size; leaf.Data == nil && !c.ws.chunks.has(leaf.Cid) {
			go c.prefetch(leaf)
		}
	}
}

func (c *content) prefetch(leaf unixfs.Leaf) {
	ctx, cancel := context.WithTimeout(context.Background(), c.ws.opt.Timeout)
	defer cancel()
	c.read(ctx, leaf) // whoever gets there finds out
}
