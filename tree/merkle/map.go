// Package merkle keeps maps and logs as blocks, so that equal contents have equal CIDs.
//
// # Map
//
// A map holds values under keys, which are byte strings. Where a key stands follows from its
// position, 32 bytes that look random: its SHA-256, or for a map whose keys have two parts
// ([Split]) the first 16 bytes of the SHA-256 of each part, so that keys with the same
// first part stand together. The position is read as 64 digits of four bits, high one first.
//
// A map of at most [LeafSize] entries is a leaf; a larger one is a branch with a child for each
// first digit that occurs, and each child again a leaf or a branch over the next digit. At depth
// 64 there are only leaves. So the shape, and with it the CID, follows from the entries alone,
// not from the order in which they came or went. In DAG-CBOR:
//
//	leaf    {"entries": [[key, value], ...]}     sorted by key, bytewise; only the empty map has none
//	branch  {"count": n, "children": {"digits": d, "links": [link, ...]}}
//
// n is the number of entries below, d has bit i set if there is a child for digit i, and the
// links stand in the order of their digits. A value is any DAG-CBOR value.
//
// A reader checks that every key stands where its position puts it, so that a small set
// of hostile blocks cannot unfold to an endless map.
package merkle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"archivecache/dagcbor"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// LeafSize is the largest number of entries that stand in one block.
const LeafSize = 16

const (
	fanout   = 16
	maxDepth = 64
)

// A Position says where a key stands in a map.
type Position func(key []byte) [32]byte

// Whole is the position of keys with one part.
func Whole(key []byte) [32]byte { return sha256.Sum256(key) }

// Split returns the position of keys whose first part has n bytes.
func Split(n int) Position {
	return func(key []byte) (p [32]byte) {
		n := min(n, len(key))
		first, second := sha256.Sum256(key[:n]), sha256.Sum256(key[n:])
		copy(p[:16], first[:])
		copy(p[16:], second[:])
		return p
	}
}

// digit returns digit number depth of a position.
func digit(p [32]byte, depth int) int {
	if depth%2 == 0 {
		return int(p[depth/2] >> 4)
	}
	return int(p[depth/2] & 15)
}

// ErrMalformed is a block that is not part of a map or log as the package comment describes it.
var ErrMalformed = errors.New("malformed")

// A Map is a map that is being read or edited. Edits stay in memory until [Map.Flush].
// It is not safe for use by several goroutines.
type Map struct {
	blocks   store.Getter
	position Position
	root     *node
}

// NewMap returns the map with the given root, or an empty map if root is undefined.
// Nothing is read until it is needed.
func NewMap(blocks store.Getter, position Position, root cid.Cid) *Map {
	n := &node{cid: root}
	if !root.Defined() {
		n.loaded = true
	}
	return &Map{blocks: blocks, position: position, root: n}
}

// Get returns the value of key, and whether there is one.
func (m *Map) Get(ctx context.Context, key []byte) (dagcbor.Raw, bool, error) {
	p := m.position(key)
	n := m.root
	for depth := 0; ; depth++ {
		if err := m.load(ctx, n, p, depth); err != nil {
			return nil, false, err
		}
		if n.children == nil {
			i, ok := find(n.entries, key)
			if !ok {
				return nil, false, nil
			}
			return n.entries[i].Value, true, nil
		}
		if n = n.children[digit(p, depth)]; n == nil {
			return nil, false, nil
		}
	}
}

// Len returns the number of entries, which reads one block at most.
func (m *Map) Len(ctx context.Context) (int, error) {
	if err := m.load(ctx, m.root, [32]byte{}, 0); err != nil {
		return 0, err
	}
	return m.root.count, nil
}

// Set puts value, a DAG-CBOR value, under key.
func (m *Map) Set(ctx context.Context, key []byte, value dagcbor.Raw) error {
	_, err := m.set(ctx, m.root, m.position(key), 0, entry{Key: key, Value: value})
	return err
}

// Delete removes key; a key that is not there is no error.
func (m *Map) Delete(ctx context.Context, key []byte) error {
	_, err := m.remove(ctx, m.root, m.position(key), 0, key)
	return err
}

// set returns whether the number of entries grew.
func (m *Map) set(ctx context.Context, n *node, p [32]byte, depth int, e entry) (bool, error) {
	if err := m.load(ctx, n, p, depth); err != nil {
		return false, err
	}
	if n.children == nil {
		return m.setInLeaf(n, depth, e), nil
	}
	child := n.children[digit(p, depth)]
	if child == nil {
		child = &node{loaded: true}
		n.children[digit(p, depth)] = child
	}
	grew, err := m.set(ctx, child, p, depth+1, e)
	if err != nil {
		return false, err
	}
	if grew {
		n.count++
	}
	if !child.cid.Defined() {
		n.cid = cid.Undef
	}
	return grew, nil
}

func (m *Map) setInLeaf(n *node, depth int, e entry) (grew bool) {
	i, found := find(n.entries, e.Key)
	if found {
		if !bytes.Equal(n.entries[i].Value, e.Value) {
			n.entries[i] = e
			n.cid = cid.Undef
		}
		return false
	}
	n.entries = slices.Insert(n.entries, i, e)
	n.count++
	n.cid = cid.Undef
	if len(n.entries) > LeafSize && depth < maxDepth {
		m.split(n, depth)
	}
	return true
}

// split makes a branch of a leaf.
func (m *Map) split(n *node, depth int) {
	n.children = new([fanout]*node)
	for _, e := range n.entries {
		d := digit(m.position(e.Key), depth)
		if n.children[d] == nil {
			n.children[d] = &node{loaded: true}
		}
		child := n.children[d]
		child.entries = append(child.entries, e)
		child.count++
	}
	n.entries = nil
	for _, child := range n.children {
		if child != nil && len(child.entries) > LeafSize && depth+1 < maxDepth {
			m.split(child, depth+1)
		}
	}
}

// remove returns whether the number of entries shrank.
func (m *Map) remove(ctx context.Context, n *node, p [32]byte, depth int, key []byte) (bool, error) {
	if err := m.load(ctx, n, p, depth); err != nil {
		return false, err
	}
	if n.children == nil {
		i, found := find(n.entries, key)
		if found {
			n.entries = slices.Delete(n.entries, i, i+1)
			n.count--
			n.cid = cid.Undef
		}
		return found, nil
	}
	child := n.children[digit(p, depth)]
	if child == nil {
		return false, nil
	}
	shrank, err := m.remove(ctx, child, p, depth+1, key)
	if err != nil || !shrank {
		return false, err
	}
	n.count--
	n.cid = cid.Undef
	if child.count == 0 {
		n.children[digit(p, depth)] = nil
	}
	if n.count <= LeafSize {
		return true, m.join(ctx, n, p, depth)
	}
	return true, nil
}

// join makes a leaf of a branch.
func (m *Map) join(ctx context.Context, n *node, p [32]byte, depth int) error {
	var all []entry
	err := m.each(ctx, n, p, depth, func(e entry) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b entry) int { return bytes.Compare(a.Key, b.Key) })
	n.entries, n.children, n.count = all, nil, len(all)
	return nil
}

// Each calls fn for every entry, in the order of their positions.
func (m *Map) Each(ctx context.Context, fn func(key []byte, value dagcbor.Raw) error) error {
	return m.each(ctx, m.root, [32]byte{}, 0, func(e entry) error { return fn(e.Key, e.Value) })
}

// EachWith calls fn for every entry of a [Split] map whose key has the given first part.
func (m *Map) EachWith(ctx context.Context, first []byte, fn func(key []byte, value dagcbor.Raw) error) error {
	p := m.position(first)
	n := m.root
	depth := 0
	for ; depth < maxDepth/2; depth++ {
		if err := m.load(ctx, n, p, depth); err != nil {
			return err
		}
		if n.children == nil {
			break
		}
		if n = n.children[digit(p, depth)]; n == nil {
			return nil
		}
	}
	return m.each(ctx, n, p, depth, func(e entry) error {
		if !bytes.HasPrefix(e.Key, first) {
			return nil
		}
		return fn(e.Key, e.Value)
	})
}

// each visits the entries below n, which stands at the first depth digits of p.
func (m *Map) each(ctx context.Context, n *node, p [32]byte, depth int, fn func(entry) error) error {
	if err := m.load(ctx, n, p, depth); err != nil {
		return err
	}
	for _, e := range n.entries {
		if err := fn(e); err != nil {
			return err
		}
	}
	if n.children == nil {
		return nil
	}
	for d, child := range n.children {
		if child == nil {
			continue
		}
		if err := m.each(ctx, child, withDigit(p, depth, d), depth+1, fn); err != nil {
			return err
		}
	}
	return nil
}

// withDigit returns p with digit number depth set to d.
func withDigit(p [32]byte, depth, d int) [32]byte {
	if depth%2 == 0 {
		p[depth/2] = byte(d<<4) | p[depth/2]&15
	} else {
		p[depth/2] = p[depth/2]&0xf0 | byte(d)
	}
	return p
}
