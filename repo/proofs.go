package repo

import (
	"context"
	"errors"
	"fmt"

	"archivecache/tree/proof"
	"archivecache/tree/reference"
	"archivecache/tree/state"
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
	isNew, err = tx.offerFork(ctx, p, authors)
	if err != nil {
		return false, err
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
