package merkle

import (
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"slices"

	"archivecache/dagcbor"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

type entry struct {
	_     struct{} `cbor:",toarray"`
	Key   []byte
	Value dagcbor.Raw
}

type leafBlock struct {
	Entries []entry `cbor:"entries"`
}

type branchBlock struct {
	Count    uint64        `cbor:"count"`
	Children childrenBlock `cbor:"children"`
}

type childrenBlock struct {
	Digits uint64         `cbor:"digits"`
	Links  []dagcbor.Link `cbor:"links"`
}

// A node is a part of a map in memory: a leaf if children is nil. A node that was not
// read yet has only its cid; a node that was changed has none.
type node struct {
	cid      cid.Cid
	loaded   bool
	count    int
	entries  []entry
	children *[fanout]*node
}

// load reads a node that stands at the first depth digits of p.
func (m *Map) load(ctx context.Context, n *node, p [32]byte, depth int) error {
	if n.loaded {
		return nil
	}
	data, err := m.blocks.Get(ctx, n.cid)
	if err != nil {
		return err
	}
	if err := m.decode(n, data, p, depth); err != nil {
		return fmt.Errorf("map node %s: %w", n.cid, err)
	}
	n.loaded = true
	return nil
}

func (m *Map) decode(n *node, data []byte, p [32]byte, depth int) error {
	const mapOfOne = 0xa1 // a leaf has one field, a branch two
	if len(data) > 0 && data[0] != mapOfOne {
		var branch branchBlock
		if err := dagcbor.Unmarshal(data, &branch); err != nil {
			return err
		}
		return decodeBranch(n, branch, depth)
	}
	var leaf leafBlock
	if err := dagcbor.Unmarshal(data, &leaf); err != nil {
		return err
	}
	n.entries, n.count = leaf.Entries, len(leaf.Entries)
	return m.checkLeaf(leaf.Entries, p, depth)
}

func (m *Map) checkLeaf(entries []entry, p [32]byte, depth int) error {
	if len(entries) == 0 && depth > 0 {
		return fmt.Errorf("%w: an empty leaf", ErrMalformed)
	}
	if len(entries) > LeafSize && depth < maxDepth {
		return fmt.Errorf("%w: a leaf of %d entries", ErrMalformed, len(entries))
	}
	for i, e := range entries {
		if i > 0 && bytes.Compare(entries[i-1].Key, e.Key) >= 0 {
			return fmt.Errorf("%w: keys out of order", ErrMalformed)
		}
		if !samePlace(m.position(e.Key), p, depth) {
			return fmt.Errorf("%w: key %q stands at a wrong place", ErrMalformed, e.Key)
		}
	}
	return nil
}

// samePlace reports whether the first depth digits of p and q are the same.
func samePlace(p, q [32]byte, depth int) bool {
	return bytes.Equal(p[:depth/2], q[:depth/2]) && (depth%2 == 0 || p[depth/2]>>4 == q[depth/2]>>4)
}

func decodeBranch(n *node, b branchBlock, depth int) error {
	digits := b.Children.Digits
	switch {
	case depth >= maxDepth:
		return fmt.Errorf("%w: a branch at depth %d", ErrMalformed, depth)
	case digits >= 1<<fanout || bits.OnesCount64(digits) != len(b.Children.Links) || digits == 0:
		return fmt.Errorf("%w: a branch whose digits do not fit its links", ErrMalformed)
	case b.Count <= LeafSize || b.Count > dagcbor.MaxInt:
		return fmt.Errorf("%w: a branch of %d entries", ErrMalformed, b.Count)
	}
	n.count = int(b.Count)
	n.children = new([fanout]*node)
	for _, link := range b.Children.Links {
		d := bits.TrailingZeros64(digits)
		digits &= digits - 1
		n.children[d] = &node{cid: link.Cid}
	}
	return nil
}

// Flush writes what was changed and returns the root.
func (m *Map) Flush(ctx context.Context, blocks store.Putter) (cid.Cid, error) {
	return flush(ctx, blocks, m.root)
}

func flush(ctx context.Context, blocks store.Putter, n *node) (cid.Cid, error) {
	if n.cid.Defined() {
		return n.cid, nil
	}
	var v any = leafBlock{Entries: n.entries}
	if n.children != nil {
		branch := branchBlock{Count: uint64(n.count)}
		for d, child := range n.children {
			if child == nil {
				continue
			}
			c, err := flush(ctx, blocks, child)
			if err != nil {
				return cid.Undef, err
			}
			branch.Children.Digits |= 1 << d
			branch.Children.Links = append(branch.Children.Links, dagcbor.Link{Cid: c})
		}
		v = branch
	}
	c, err := PutNode(ctx, blocks, v)
	if err != nil {
		return cid.Undef, err
	}
	n.cid = c
	return c, nil
}

// PutNode writes v as a DAG-CBOR block and returns its CID.
func PutNode(ctx context.Context, blocks store.Putter, v any) (cid.Cid, error) {
	data, err := dagcbor.Marshal(v)
	if err != nil {
		return cid.Undef, err
	}
	b := store.NewBlock(cid.DagCBOR, data)
	return b.Cid, blocks.Put(ctx, b)
}

// find returns where key stands or would stand in entries.
func find(entries []entry, key []byte) (int, bool) {
	return slices.BinarySearchFunc(entries, key, func(e entry, key []byte) int {
		return bytes.Compare(e.Key, key)
	})
}
