package repo

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"archivecache/dagcbor"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A Behind is a friend of whom somebody else has seen a newer node than this repository.
type Behind struct {
	Author cid.Cid
	Seen   *reference.Reference // the newer node
	Known  *reference.Reference // the newest one here; nil if there is none
}

// maxBehind is how many friends Behind asks for.
const maxBehind = 1000

// Behind returns the friends of whom the author of node has seen a newer node than this repository:
// somebody may be keeping it from us. What is not signed by the friend, or cannot be read, says
// nothing.
func (tx *Tx) Behind(ctx context.Context, node *reference.Reference) ([]Behind, error) {
	if node.Seen == nil {
		return nil, nil
	}
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return nil, err
	}
	friends := slices.SortedFunc(maps.Keys(authors.Friends), func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	m := merkle.NewMap(tx.Blocks, merkle.Whole, node.Seen.Target())
	var behind []Behind
	for _, friend := range friends[:min(len(friends), maxBehind)] {
		data, ok, err := m.Get(ctx, friend.Bytes())
		if err != nil {
			return behind, ctx.Err() // a map that cannot be read now, or at all
		}
		if !ok || friend.Equals(node.Owner.Cid) {
			continue
		}
		b, err := tx.behind(ctx, friend, data)
		if err != nil {
			return nil, err
		}
		if b != nil {
			behind = append(behind, *b)
		}
	}
	return behind, nil
}

// behind returns what an entry of a map of nodes that were seen tells of a friend; nil if nothing.
func (tx *Tx) behind(ctx context.Context, friend cid.Cid, data dagcbor.Raw) (*Behind, error) {
	seen, _, err := tx.decodeSeen(ctx, friend, data)
	if err != nil || seen == nil {
		return nil, ctx.Err()
	}
	if over, err := tx.isOver(ctx, friend, seen.Epoch); over || err != nil {
		return nil, err
	}
	mark, err := tx.Mark(ctx, seen.Slot())
	if err != nil {
		return nil, err
	}
	known := mark.Reference
	if p := mark.Pending; p != nil && p.After(known) {
		known = p
	}
	if !seen.After(known) || mark.ForkedFrom > seen.Epoch {
		return nil, nil
	}
	return &Behind{friend, seen, known}, nil
}
