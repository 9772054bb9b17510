package unixfs

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// An Index finds the leaves of a file, of whatever layout, without reading them. It keeps the nodes
// on the way and is safe for use by several goroutines.
type Index struct {
	get  store.Getter
	root *indexNode

	mu    sync.Mutex
	nodes map[cid.Cid]*indexNode // below the root
}

// maxIndexed is how many nodes below the root an Index keeps: those of 64 GiB.
const maxIndexed = 64

// An indexNode is a node with the places of its children.
type indexNode struct {
	*Node
	cid  cid.Cid
	ends []uint64 // where each child ends, relative to the node
}

// A Leaf is a part of a file that one block holds.
type Leaf struct {
	Cid   cid.Cid // of the block
	Start int64   // where it begins in the file
	Size  int64   // bytes of content
	Data  []byte  // the content, if reading it took no further block; else nil
}

// OpenIndex reads the first block of the file c.
func OpenIndex(ctx context.Context, get store.Getter, c cid.Cid) (*Index, error) {
	n, err := readFileNode(ctx, get, c)
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	return &Index{get: get, root: newIndexNode(c, n), nodes: map[cid.Cid]*indexNode{}}, nil
}

func newIndexNode(c cid.Cid, n *Node) *indexNode {
	x := &indexNode{Node: n, cid: c, ends: make([]uint64, len(n.BlockSizes))}
	at := uint64(len(n.Data))
	for i, size := range n.BlockSizes {
		at += size
		x.ends[i] = at
	}
	return x
}

// Size returns the length of the file in bytes.
func (x *Index) Size() int64 { return int64(x.root.Size) }

// Attr returns what is recorded of the file besides its content.
func (x *Index) Attr() Attr { return Attr{Executable: x.root.Mode&0o111 != 0, Mtime: x.root.Mtime} }

// Leaf returns the leaf that has the byte at the given place, which is one of the file.
func (x *Index) Leaf(ctx context.Context, at int64) (Leaf, error) {
	n, start, want := x.root, uint64(0), uint64(at)
	for range maxDepth {
		if own := uint64(len(n.Data)); want < start+own {
			return Leaf{Cid: n.cid, Start: int64(start), Size: int64(own), Data: n.Data}, nil
		}
		i := sort.Search(len(n.ends), func(i int) bool { return want < start+n.ends[i] })
		if i == len(n.ends) {
			return Leaf{}, malformed("file: nothing at %d", at)
		}
		size := n.BlockSizes[i]
		childStart := start + n.ends[i] - size
		c := n.Links[i].Cid()
		if c.Type() == cid.Raw {
			return Leaf{Cid: c, Start: int64(childStart), Size: int64(size)}, nil
		}
		child, err := x.child(ctx, n, i)
		if err != nil {
			return Leaf{}, fmt.Errorf("read file at %d: %w", at, err)
		}
		n, start = child, childStart
	}
	return Leaf{}, malformed("file: more than %d levels", maxDepth)
}

// child reads the node behind link i of n. Nodes that have links are kept.
func (x *Index) child(ctx context.Context, n *indexNode, i int) (*indexNode, error) {
	c := n.Links[i].Cid()
	x.mu.Lock()
	known := x.nodes[c]
	x.mu.Unlock()
	if known != nil && known.Size == n.BlockSizes[i] {
		return known, nil
	}
	part, err := n.readPart(ctx, x.get, i)
	if err != nil {
		return nil, err
	}
	child := newIndexNode(c, part)
	if len(part.Links) > 0 {
		x.mu.Lock()
		if len(x.nodes) >= maxIndexed {
			clear(x.nodes)
		}
		x.nodes[c] = child
		x.mu.Unlock()
	}
	return child, nil
}

// Read returns the content of a leaf, which has to be as long as the link to it says.
func (x *Index) Read(ctx context.Context, l Leaf) ([]byte, error) {
	if l.Data != nil {
		return l.Data, nil
	}
	data, err := x.get.Get(ctx, l.Cid)
	if err != nil {
		return nil, fmt.Errorf("read file at %d: %w", l.Start, err)
	}
	if int64(len(data)) != l.Size {
		return nil, fmt.Errorf("block %s: %w", l.Cid, malformed("%d bytes of content, the link to it declares %d", len(data), l.Size))
	}
	return data, nil
}
