package merkle

import (
	"bytes"
	"context"

	"archivecache/dagcbor"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// Diff calls fn for every key whose value differs between the maps a and b, with the two values;
// nil is no value. An undefined CID is the empty map. Parts that both maps share are not read, so
// the cost follows the difference.
func Diff(ctx context.Context, blocks store.Getter, position Position, a, b cid.Cid,
	fn func(key []byte, old, new dagcbor.Raw) error) error {
	old, new := NewMap(blocks, position, a), NewMap(blocks, position, b)
	d := differ{old: old, new: new, fn: fn}
	return d.nodes(ctx, old.root, new.root, [32]byte{}, 0)
}

type differ struct {
	old, new *Map
	fn       func(key []byte, old, new dagcbor.Raw) error
}

// nodes compares two nodes at the same place; nil is an empty one.
func (d *differ) nodes(ctx context.Context, a, b *node, p [32]byte, depth int) error {
	if a == nil || b == nil {
		return d.oneSided(ctx, a, b, p, depth)
	}
	if a.cid.Defined() && a.cid.Equals(b.cid) {
		return nil
	}
	if err := d.old.load(ctx, a, p, depth); err != nil {
		return err
	}
	if err := d.new.load(ctx, b, p, depth); err != nil {
		return err
	}
	if a.children == nil || b.children == nil {
		return d.flat(ctx, a, b, p, depth)
	}
	for i := range fanout {
		if err := d.nodes(ctx, a.children[i], b.children[i], withDigit(p, depth, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *differ) oneSided(ctx context.Context, a, b *node, p [32]byte, depth int) error {
	if a != nil {
		return d.old.each(ctx, a, p, depth, func(e entry) error { return d.fn(e.Key, e.Value, nil) })
	}
	if b != nil {
		return d.new.each(ctx, b, p, depth, func(e entry) error { return d.fn(e.Key, nil, e.Value) })
	}
	return nil
}

// flat compares two nodes of which one is a leaf: the leaf is small, and the other is walked once.
func (d *differ) flat(ctx context.Context, a, b *node, p [32]byte, depth int) error {
	if a.children == nil {
		return d.leafAgainst(ctx, a.entries, b, d.new, p, depth, false)
	}
	return d.leafAgainst(ctx, b.entries, a, d.old, p, depth, true)
}

// leafAgainst compares the entries of a leaf with those below n, a node of m;
// leafIsNew says which side the leaf is.
func (d *differ) leafAgainst(ctx context.Context, leaf []entry, n *node, m *Map, p [32]byte, depth int, leafIsNew bool) error {
	report := func(key []byte, ofLeaf, ofOther dagcbor.Raw) error {
		if leafIsNew {
			return d.fn(key, ofOther, ofLeaf)
		}
		return d.fn(key, ofLeaf, ofOther)
	}
	seen := make([]bool, len(leaf))
	err := m.each(ctx, n, p, depth, func(e entry) error {
		i, found := find(leaf, e.Key)
		if !found {
			return report(e.Key, nil, e.Value)
		}
		seen[i] = true
		if bytes.Equal(leaf[i].Value, e.Value) {
			return nil
		}
		return report(e.Key, leaf[i].Value, e.Value)
	})
	if err != nil {
		return err
	}
	for i, e := range leaf {
		if !seen[i] {
			if err := report(e.Key, e.Value, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
