package tree

import (
	"context"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// Chain returns the keys of an identity up to the epoch that counts in the state, or by the marks:
// a rotation that was undone is put back, since the key that it replaced is gone.
func (r *Root) Chain(ctx context.Context, author cid.Cid, mark state.MarkFunc) (reference.Chain, error) {
	slot := reference.RotationSlot(author)
	known, err := mark(ctx, slot)
	if err != nil {
		return reference.Chain{}, err
	}
	held, err := r.state.Rotation(ctx, author)
	if err != nil {
		return reference.Chain{}, err
	}
	if known.ForkedFrom > 0 {
		return reference.Chain{}, fmt.Errorf("%s: %w", author, state.ErrIdentityForked)
	}
	if known.Reference.After(held) {
		if held, err = r.putBack(ctx, known.Reference, mark); err != nil {
			return reference.Chain{}, err
		}
	}
	var link *dagcbor.Link
	if held != nil {
		b, err := held.Block()
		if err != nil {
			return reference.Chain{}, err
		}
		link = dagcbor.LinkTo(b.Cid)
	}
	return reference.OpenChain(ctx, r.blocks, author, link)
}

// putBack puts a rotation that is recorded into the state. The error is [state.ErrNotInEffect] if
// what it names is missing.
func (r *Root) putBack(ctx context.Context, rotation *reference.Reference, mark state.MarkFunc) (*reference.Reference, error) {
	if _, err := r.offer(ctx, rotation, mark); err != nil {
		return nil, err
	}
	held, err := r.state.Rotation(ctx, rotation.Owner.Cid)
	if err == nil && rotation.After(held) {
		err = fmt.Errorf("identity %s, epoch %d: %w", rotation.Owner, rotation.Epoch+1, state.ErrNotInEffect)
	}
	return held, err
}

// offer joins a reference of one's own into the state, and puts drafts on top of what that changed.
func (r *Root) offer(ctx context.Context, ref *reference.Reference, mark state.MarkFunc) ([]state.Change, error) {
	rules := state.Rules{Accepts: func(cid.Cid) bool { return true }, Mark: mark, Blocks: r.blocks}
	changes, err := r.state.Offer(ctx, rules, ref)
	if err != nil {
		return nil, err
	}
	r.touchChanged(changes)
	for _, c := range changes {
		if !c.Outcome.Changes() {
			continue
		}
		if err := r.Rebase(ctx, c.Slot); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// Learn joins the rotation by which node is signed, if it is not known: its author may show it
// nowhere else.
func (r *Root) Learn(ctx context.Context, rules state.Rules, node *reference.Reference) ([]state.Change, error) {
	if len(node.Rotations) == 0 {
		return nil, nil
	}
	rotation, err := reference.Decode(node.Rotations[len(node.Rotations)-1])
	if err != nil {
		return nil, err
	}
	changes, err := r.state.Offer(ctx, rules, rotation)
	if len(changes) == 1 && changes[0].Outcome == state.Same {
		return nil, err
	}
	r.touchChanged(changes)
	return changes, err
}

// A Rotation is what [Root.Rotate] signs.
type Rotation struct {
	Old, New   reference.Signer
	Commitment []byte                 // the SHA-256 of the public key of the epoch after
	Last       []*reference.Reference // that count
	Time       uint64                 // that it claims, in seconds since 1970
}

// Rotate signs a rotation of the key and puts it into the state: of all that the old key has
// signed, what it names counts.
func (r *Root) Rotate(ctx context.Context, mark state.MarkFunc, rotation Rotation) (*reference.Reference, []state.Change, error) {
	chain, err := r.Chain(ctx, rotation.Old.ID(), mark)
	if err != nil {
		return nil, nil, err
	}
	ref := &reference.Reference{
		Policy: reference.RotationPolicy, Sequence: 1, Time: rotation.Time, NextKey: rotation.New.Public(), Next: rotation.Commitment,
	}
	if ref.Last, err = reference.MakeLast(ctx, r.blocks, rotation.Last); err != nil {
		return nil, nil, err
	}
	if err := ref.Sign(rotation.Old, chain); err != nil {
		return nil, nil, err
	}
	if err := ref.SignNext(rotation.New); err != nil {
		return nil, nil, err
	}
	b, err := ref.Block()
	if err != nil {
		return nil, nil, err
	}
	if err := r.blocks.Put(ctx, b); err != nil {
		return nil, nil, err
	}
	changes, err := r.offer(ctx, ref, mark)
	for _, c := range changes {
		if err == nil && c.Err != nil && !c.Outcome.Changes() {
			err = c.Err
		}
	}
	return ref, changes, err
}
