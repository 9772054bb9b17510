package repo

import (
	"context"
	"errors"
	"fmt"

	"archivecache/store"
	"archivecache/tree/proof"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// ErrProof is a proof that holds, and decides nothing here.
var ErrProof = errors.New("the proof is refused")

// ImportProof takes in a fork that somebody proves: nothing of its author in that directory counts
// any more, and the next node carries the proof. It returns whether the fork was not known. The
// error is [ErrNoFriend] if the author is not accepted here.
func (tx *Tx) ImportProof(ctx context.Context, p *state.Proof) (isNew bool, err error) {
	author := p.A.Owner.Cid
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return false, err
	}
	if !authors.Accepts(author) {
		return false, fmt.Errorf("%w: %s", ErrNoFriend, author)
	}
	if err := proof.Verify(ctx, p); err != nil {
		return false, err
	}
	if p.A.Policy == reference.NodePolicy {
		return tx.RecordFork(ctx, p) // which no state shows
	}
	pending := false
	if p.A.Policy != reference.RotationPolicy {
		if err = tx.recordKeys(ctx, p); err != nil {
			return false, err
		}
		if pending, err = tx.pendingKeys(ctx, p); err != nil {
			return false, err
		}
	}
	if !pending {
		if isNew, err = tx.offerFork(ctx, p, authors); err != nil {
			return false, err
		}
	}
	recorded, err := tx.RecordFork(ctx, p)
	return isNew || recorded, err
}

// offerFork joins a proven fork into the root, and reports whether it was not there.
func (tx *Tx) offerFork(ctx context.Context, p *state.Proof, authors Authors) (changed bool, err error) {
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return false, err
	}
	rules := state.Rules{Accepts: authors.Accepts, Mark: tx.StateMark, Blocks: tx.Blocks}
	changes, err := root.OfferFork(ctx, rules, p)
	if err != nil {
		return false, err
	}
	for _, c := range changes {
		switch {
		case c.Outcome == state.Forked:
			changed = true
		case c.Slot == p.A.Slot() && c.Outcome != state.Same:
			return false, fmt.Errorf("%w: %s of %s, epoch %d: %s", ErrProof, p.A.Path, p.A.Owner, p.A.Epoch, c.Outcome)
		}
	}
	if changed {
		_, err = root.Commit(ctx)
	}
	return changed, err
}

// recordKeys records the rotation that a proof, which is verified, is signed under, if it continues
// what is known.
func (tx *Tx) recordKeys(ctx context.Context, p *state.Proof) error {
	blocks := store.NewOverlay(tx.Blocks)
	for _, data := range p.Blocks {
		if err := blocks.Put(ctx, store.NewBlock(cid.DagCBOR, data)); err != nil {
			return err
		}
	}
	chain, err := reference.NewVerifier(blocks).Chain(ctx, p.A)
	if err != nil || chain.Rotation() == nil {
		return err
	}
	mark, err := tx.Mark(ctx, chain.Rotation().Slot())
	if err != nil || !chain.Rotation().After(mark.Reference) {
		return err
	}
	if mark.Reference != nil {
		if order, err := reference.Compare(ctx, blocks, mark.Reference, chain.Rotation()); order != reference.Newer {
			return err // a fork, and the state will show that
		}
	}
	for _, rotation := range chain.Rotations {
		if err := tx.KeepRotation(ctx, rotation); err != nil {
			return err
		}
	}
	return tx.RecordRotation(ctx, chain.Rotation())
}

// pendingKeys reports whether the rotation that p is signed under is not in effect: what it names
// did not come with the proof, so the fork is not for the state to show yet.
func (tx *Tx) pendingKeys(ctx context.Context, p *state.Proof) (bool, error) {
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return false, err
	}
	held, err := root.State().Rotation(ctx, p.A.Owner.Cid)
	if errors.Is(err, state.ErrIdentityForked) {
		return false, nil
	}
	return p.A.Epoch > 0 && (held == nil || held.Epoch+1 < p.A.Epoch), err
}
