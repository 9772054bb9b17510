package merkle

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"archivecache/dagcbor"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// # Log
//
// A log is a list of hashes that only grows. It holds hashes and no links, so that
// whoever keeps the log does not keep what the hashes are of. The hashes stand in nodes of at most
// 32, nodes stand in nodes of at most 32, filled from the left:
//
//	root   {"length": n, "nodes": [link, ...] or "hashes": [bytes, ...]}
//	inner  {"nodes": [link, ...]}
//	leaf   {"hashes": [bytes, ...]}
//
// A log of at most 32 hashes has them in its root.
const logWidth = 32

// MaxLog is the largest length of a log: 32^6, far beyond what one author signs.
const MaxLog = 1 << 30

type logNode struct {
	Length uint64         `cbor:"length,omitempty"` // of a root only
	Nodes  []dagcbor.Link `cbor:"nodes,omitempty"`
	Hashes [][]byte       `cbor:"hashes,omitempty"`
}

// A Log is a log of hashes with its root. The zero Log is the empty one, which has no block.
type Log struct {
	Root   cid.Cid
	Length uint64
}

// OpenLog reads the root of a log; an undefined root is the empty log.
func OpenLog(ctx context.Context, blocks store.Getter, root cid.Cid) (Log, error) {
	if !root.Defined() {
		return Log{}, nil
	}
	n, err := getLogNode(ctx, blocks, root)
	if err != nil {
		return Log{}, err
	}
	if n.Length == 0 || n.Length > MaxLog {
		return Log{}, fmt.Errorf("log %s: %w: length %d", root, ErrMalformed, n.Length)
	}
	return Log{Root: root, Length: n.Length}, nil
}

// At returns hash number i, counted from 0.
func (l Log) At(ctx context.Context, blocks store.Getter, i uint64) ([]byte, error) {
	if i >= l.Length {
		return nil, fmt.Errorf("log %s: no entry %d of %d", l.Root, i, l.Length)
	}
	c := l.Root
	for span := logSpan(l.Length); ; span /= logWidth {
		n, err := getLogNode(ctx, blocks, c)
		if err != nil {
			return nil, err
		}
		at := i / span % logWidth
		switch {
		case span == 1 && at < uint64(len(n.Hashes)) && n.Nodes == nil:
			return n.Hashes[at], nil
		case span > 1 && at < uint64(len(n.Nodes)) && n.Hashes == nil:
			c = n.Nodes[at].Cid
		default:
			return nil, fmt.Errorf("log %s: %w: a node is too short", l.Root, ErrMalformed)
		}
	}
}

// Extends reports whether l begins with all that prefix holds. Nodes that are full are compared
// by their CIDs, so few blocks are read however long the logs are.
func (l Log) Extends(ctx context.Context, blocks store.Getter, prefix Log) (bool, error) {
	if prefix.Length == 0 || prefix.Length > l.Length {
		return prefix.Length == 0, nil
	}
	low, err := getLogNode(ctx, blocks, prefix.Root)
	if err != nil {
		return false, err
	}
	high, err := getLogNode(ctx, blocks, l.Root)
	if err != nil {
		return false, err
	}
	span := logSpan(l.Length)
	for ; span > logSpan(prefix.Length); span /= logWidth {
		if len(high.Nodes) == 0 {
			return false, fmt.Errorf("log %s: %w: a node is too short", l.Root, ErrMalformed)
		}
		if high, err = getLogNode(ctx, blocks, high.Nodes[0].Cid); err != nil {
			return false, err
		}
	}
	return extends(ctx, blocks, high, low, span, prefix.Length)
}

// extends compares two nodes at the same place, whose children span the given number of hashes
// each; low has n.
func extends(ctx context.Context, blocks store.Getter, high, low logNode, span, n uint64) (bool, error) {
	children, full := int((n+span-1)/span), int(n/span)
	if span == 1 {
		if len(low.Hashes) != full || len(high.Hashes) < full {
			return false, fmt.Errorf("log: %w: a leaf is too short or too long", ErrMalformed)
		}
		return slices.EqualFunc(low.Hashes, high.Hashes[:full], bytes.Equal), nil
	}
	if len(low.Nodes) != children || len(high.Nodes) < children {
		return false, fmt.Errorf("log: %w: a node is too short or too long", ErrMalformed)
	}
	for i := range children {
		a, b := low.Nodes[i].Cid, high.Nodes[i].Cid
		if a.Equals(b) {
			continue
		}
		if i < full {
			return false, nil
		}
		below, err := getLogNode(ctx, blocks, a)
		if err != nil {
			return false, err
		}
		above, err := getLogNode(ctx, blocks, b)
		if err != nil {
			return false, err
		}
		return extends(ctx, blocks, above, below, span/logWidth, n%span)
	}
	return true, nil
}

// Append returns the log with one more hash, a SHA-256.
func (l Log) Append(ctx context.Context, blocks store.Blocks, hash []byte) (Log, error) {
	if l.Length >= MaxLog {
		return Log{}, fmt.Errorf("log %s: full at %d entries", l.Root, l.Length)
	}
	length := l.Length + 1
	root, err := appendTo(ctx, blocks, l, logSpan(length), hash)
	if err != nil {
		return Log{}, err
	}
	root.Length = length
	c, err := PutNode(ctx, blocks, root)
	return Log{Root: c, Length: length}, err
}

// appendTo returns the new root, whose children span the given number of hashes each.
func appendTo(ctx context.Context, blocks store.Blocks, l Log, span uint64, hash []byte) (logNode, error) {
	if l.Length == 0 {
		return newPath(ctx, blocks, span, hash)
	}
	old, err := getLogNode(ctx, blocks, l.Root)
	if err != nil {
		return logNode{}, err
	}
	if span == logSpan(l.Length) {
		return grow(ctx, blocks, old, span, l.Length, hash)
	}
	// The old root is full: it becomes the first child of a new one.
	old.Length = 0
	first, err := PutNode(ctx, blocks, old)
	if err != nil {
		return logNode{}, err
	}
	rest, err := newPath(ctx, blocks, span/logWidth, hash)
	if err != nil {
		return logNode{}, err
	}
	second, err := PutNode(ctx, blocks, rest)
	return logNode{Nodes: []dagcbor.Link{{Cid: first}, {Cid: second}}}, err
}

// grow returns n with hash number i behind its last one.
func grow(ctx context.Context, blocks store.Blocks, n logNode, span, i uint64, hash []byte) (logNode, error) {
	if span == 1 {
		n.Hashes = append(n.Hashes, hash)
		return n, nil
	}
	at := i / span % logWidth
	if at > uint64(len(n.Nodes)) {
		return logNode{}, fmt.Errorf("log: %w: a node is too short", ErrMalformed)
	}
	child := logNode{}
	var err error
	if at == uint64(len(n.Nodes)) {
		child, err = newPath(ctx, blocks, span/logWidth, hash)
		n.Nodes = append(n.Nodes, dagcbor.Link{})
	} else if child, err = getLogNode(ctx, blocks, n.Nodes[at].Cid); err == nil {
		child, err = grow(ctx, blocks, child, span/logWidth, i, hash)
	}
	if err != nil {
		return logNode{}, err
	}
	c, err := PutNode(ctx, blocks, child)
	n.Nodes[at] = dagcbor.Link{Cid: c}
	return n, err
}

// newPath returns a node that holds one hash, with children that span the given number.
func newPath(ctx context.Context, blocks store.Blocks, span uint64, hash []byte) (logNode, error) {
	if span == 1 {
		return logNode{Hashes: [][]byte{hash}}, nil
	}
	below, err := newPath(ctx, blocks, span/logWidth, hash)
	if err != nil {
		return logNode{}, err
	}
	c, err := PutNode(ctx, blocks, below)
	return logNode{Nodes: []dagcbor.Link{{Cid: c}}}, err
}

// logSpan returns how many hashes each child of the root of a log of that length spans: a power
// of 32.
func logSpan(length uint64) uint64 {
	span := uint64(1)
	for span*logWidth < length {
		span *= logWidth
	}
	return span
}

func getLogNode(ctx context.Context, blocks store.Getter, c cid.Cid) (logNode, error) {
	data, err := blocks.Get(ctx, c)
	if err != nil {
		return logNode{}, err
	}
	var n logNode
	if err := dagcbor.Unmarshal(data, &n); err != nil {
		return logNode{}, fmt.Errorf("log node %s: %w: %w", c, ErrMalformed, err)
	}
	if len(n.Nodes) > logWidth || len(n.Hashes) > logWidth {
		return logNode{}, fmt.Errorf("log node %s: %w: too wide", c, ErrMalformed)
	}
	for _, h := range n.Hashes {
		if len(h) != 32 {
			return logNode{}, fmt.Errorf("log node %s: %w: a hash of %d bytes", c, ErrMalformed, len(h))
		}
	}
	return n, nil
}
