package workspace

import (
	"context"
	"sync/atomic"

	"archivecache/unixfs"
)

// content is the content of a file as it is committed.
type content struct {
	ws    *Workspace
	entry unixfs.Entry
	index *unixfs.Index
	next  atomic.Int64 // where somebody who reads in order goes on
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
	ordered := c.next.Swap(at+int64(len(p))) == at && at > 0
	for len(p) > 0 {
		if at >= c.size() {
			clear(p)
			return nil
		}
		leaf, err := c.index.Leaf(ctx, at)
		if err != nil {
			return err
		}
		data, err := c.read(ctx, leaf)
		if err != nil {
			return err
		}
		if ordered {
			c.ahead(leaf.Start + leaf.Size)
		}
		n := copy(p, data[at-leaf.Start:])
		p, at = p[n:], at+int64(n)
	}
	return nil
}

func (c *content) read(ctx context.Context, leaf unixfs.Leaf) ([]byte, error) {
	if leaf.Data != nil {
		return leaf.Data, nil
	}
	return c.ws.chunks.get(ctx, leaf.Cid, func(ctx context.Context) ([]byte, error) { return c.index.Read(ctx, leaf) })
}

// ahead begins to read what comes next.
func (c *content) ahead(at int64) {
	for range aheadChunks {
		if at >= c.size() {
			return
		}
		leaf, err := c.index.Leaf(context.Background(), at)
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
