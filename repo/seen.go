package repo

import (
	"context"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// seenNode is what a node says of a friend: that its author accepts them, and the newest node of
// theirs that its author has seen, if any. The node is there as bytes, so that nothing that it
// publishes hangs from it, and its history as a link, so that the friend can go on from there after
// a loss.
type seenNode struct {
	Node    []byte        `cbor:"node,omitempty"`
	History *dagcbor.Link `cbor:"history,omitempty"`
	// Merged says that the root of the one who has seen it has all that the friend signed by then.
	Merged bool `cbor:"merged,omitempty"`
}

// seen returns the map of all friends with the newest nodes seen of them; nil if there are none.
func (tx *Tx) seen(ctx context.Context) (*dagcbor.Link, error) {
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return nil, err
	}
	m := merkle.NewMap(tx.Blocks, merkle.Whole, cid.Undef)
	for friend := range authors.Friends {
		mark, err := tx.Mark(ctx, reference.NodeSlot(friend))
		if err != nil {
			return nil, err
		}
		seen, err := tx.seenOf(ctx, friend, mark.Reference)
		if err != nil {
			return nil, err
		}
		data, err := dagcbor.Marshal(seen)
		if err != nil {
			return nil, err
		}
		if err := m.Set(ctx, friend.Bytes(), data); err != nil {
			return nil, err
		}
	}
	if n, err := m.Len(ctx); err != nil || n == 0 {
		return nil, err
	}
	c, err := m.Flush(ctx, tx.Blocks)
	return dagcbor.LinkTo(c), err
}

// seenOf returns what there is to say of a friend; node is nil if none was seen.
func (tx *Tx) seenOf(ctx context.Context, friend cid.Cid, node *reference.Reference) (seenNode, error) {
	if node == nil {
		return seenNode{}, nil
	}
	data, err := node.Encode()
	if err != nil {
		return seenNode{}, err
	}
	merged, err := tx.repo.inEffect(ctx, tx.head, friend, node)
	return seenNode{data, node.History, merged}, err
}

// Adopt takes over the nodes of one's own that the author of node has seen and this repository
// has not, because it was restored from a backup or the identity came from elsewhere: the next
// publication continues those. Whole says that all of node was merged here. Complete makes a
// history present. [ErrForked] means that one of them does not continue what is known here.
func (tx *Tx) Adopt(ctx context.Context, node *reference.Reference, whole bool, complete func(history, known cid.Cid) error) error {
	if node.Seen == nil {
		return nil
	}
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return err
	}
	m := merkle.NewMap(tx.Blocks, merkle.Whole, node.Seen.Target())
	for own := range authors.Own {
		data, ok, err := m.Get(ctx, own.Bytes())
		if err != nil {
			return fmt.Errorf("what %s has seen: %w", node.Owner, err)
		}
		if !ok || own.Equals(node.Owner.Cid) {
			continue
		}
		ref, merged, err := tx.decodeSeen(ctx, own, data)
		if err == nil && ref != nil {
			err = tx.adopt(ctx, ref, whole && merged, complete)
		}
		if err != nil {
			return fmt.Errorf("the node of %s that %s has seen: %w", own, node.Owner, err)
		}
	}
	return nil
}

// decodeSeen reads what somebody says of own. The reference is nil if they have not seen any.
func (tx *Tx) decodeSeen(ctx context.Context, own cid.Cid, data []byte) (ref *reference.Reference, merged bool, err error) {
	var seen seenNode
	if err := dagcbor.Unmarshal(data, &seen); err != nil {
		return nil, false, err
	}
	if seen.Node == nil {
		return nil, false, seen.checkEmpty()
	}
	ref, err = reference.Decode(seen.Node)
	switch {
	case err != nil:
		return nil, false, err
	case ref.Slot() != reference.NodeSlot(own):
		return nil, false, fmt.Errorf("%w: it is about something else", reference.ErrWrongOwner)
	case !ref.History.Target().Equals(seen.History.Target()):
		return nil, false, fmt.Errorf("%w: two histories", reference.ErrMalformed)
	}
	return ref, seen.Merged, ref.VerifyWith(ctx, tx.Blocks)
}

// checkEmpty checks a record without a node.
func (s seenNode) checkEmpty() error {
	if s.History != nil || s.Merged {
		return fmt.Errorf("%w: a record of a node that was seen, without the node", reference.ErrMalformed)
	}
	return nil
}

// adopt records ref, a node of one's own, if it is newer than what is known here.
func (tx *Tx) adopt(ctx context.Context, ref *reference.Reference, whole bool, complete func(history, known cid.Cid) error) error {
	mark, err := tx.Mark(ctx, ref.Slot())
	if err != nil {
		return err
	}
	known := cid.Undef
	if mark.ForkedFrom > ref.Epoch {
		return ErrForked // one of its sides
	}
	if mark.Reference != nil {
		known = mark.Reference.History.Target()
		switch order, err := reference.Compare(ctx, tx.Blocks, mark.Reference, ref); {
		case order == reference.Forked:
			return tx.forked(ctx, mark.Reference, ref, mark)
		case order == reference.Same && whole:
			return tx.SetWhole(ctx, ref)
		case order != reference.Newer:
			return err
		}
	}
	if err := complete(ref.History.Target(), known); err != nil {
		return err
	}
	if _, err := ref.Log(ctx, tx.Blocks); err != nil {
		return err
	}
	tx.SetMark(ref.Slot(), Mark{Mark: state.Mark{Reference: ref}, Complete: whole})
	return nil
}
