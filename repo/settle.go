package repo

import (
	"context"
	"fmt"

	"archivecache/store"
	"archivecache/tree/reference"
	"archivecache/tree/state"
)

// forked records that two nodes do not continue each other: no other node of that epoch is taken.
func (tx *Tx) forked(ctx context.Context, known, node *reference.Reference, mark Mark) error {
	proof, err := state.Prove(ctx, tx.Blocks, known, node)
	if err != nil {
		return err
	}
	mark.Proof = proof
	mark.ForkedFrom = max(mark.ForkedFrom, node.Epoch+1)
	tx.SetMark(node.Slot(), mark)
	if _, err := tx.DropReplaced(ctx, node.Owner.Cid); err != nil {
		return err
	}
	return Keep(fmt.Errorf("%w: sequences %d and %d", ErrForked, known.Sequence, node.Sequence))
}

// checkRotations checks that the rotations which node brings along are those that are known of
// its author. If not, the identity is forked, which is recorded: nothing of that author counts
// any more.
func (tx *Tx) checkRotations(ctx context.Context, node *reference.Reference, mark Mark) error {
	if node.Epoch == 0 {
		return nil
	}
	shown, err := lastRotation(node)
	if err != nil {
		return err
	}
	rotation, err := tx.Mark(ctx, reference.RotationSlot(node.Owner.Cid))
	if err != nil {
		return err
	}
	for _, known := range []*reference.Reference{mark.Reference, mark.Pending} {
		if known != nil && known.Epoch > 0 {
			last, err := lastRotation(known)
			if err == nil {
				err = tx.compareRotations(ctx, last, shown, known, node)
			}
			if err != nil {
				return err
			}
		}
	}
	if rotation.Reference == nil {
		return nil
	}
	return tx.compareRotations(ctx, rotation.Reference, shown, node)
}

// RecordRotation records a rotation, which is verified, whether it is in effect or not: what is
// signed with the keys before it does not count any more but for what it names, and another one of
// the same key is a fork, whichever came first.
func (tx *Tx) RecordRotation(ctx context.Context, rotation *reference.Reference) error {
	mark, err := tx.Mark(ctx, rotation.Slot())
	if err != nil || !rotation.After(mark.Reference) {
		return err
	}
	mark.Reference = rotation
	tx.SetMark(rotation.Slot(), mark)
	if _, err := tx.DropReplaced(ctx, rotation.Owner.Cid); err != nil {
		return err
	}
	return tx.KeepRotation(ctx, rotation)
}

// KeepRotation keeps a rotation as the block that later references link to.
func (tx *Tx) KeepRotation(ctx context.Context, rotation *reference.Reference) error {
	b, err := rotation.Block()
	if err != nil {
		return err
	}
	return tx.Blocks.Put(ctx, b)
}

// lastRotation returns the rotation by which a node is signed.
func lastRotation(node *reference.Reference) (*reference.Reference, error) {
	return reference.Decode(node.Rotations[len(node.Rotations)-1])
}

// compareRotations records a fork if two rotations do not continue each other; nodes bring along
// what they continue.
func (tx *Tx) compareRotations(ctx context.Context, known, shown *reference.Reference, nodes ...*reference.Reference) error {
	blocks := store.NewOverlay(tx.Blocks)
	for _, node := range nodes {
		for _, b := range node.RotationBlocks() {
			if err := blocks.Put(ctx, b); err != nil {
				return err
			}
		}
	}
	order, err := reference.Compare(ctx, blocks, known, shown)
	switch {
	case order == reference.Incomplete:
		return ctx.Err() // the merge will tell
	case err != nil || order != reference.Forked:
		return err
	}
	proof, err := state.Prove(ctx, blocks, known, shown)
	if err != nil {
		return err
	}
	if _, err := tx.ImportProof(ctx, proof); err != nil {
		return err
	}
	return Keep(fmt.Errorf("%s: %w", known.Owner, state.ErrIdentityForked))
}

// RecordFork records the fork that proof, which is verified, shows, with the blocks that it takes to
// see it. It reports whether that is news; of nodes of an epoch that a rotation has ended it is none.
func (tx *Tx) RecordFork(ctx context.Context, proof *state.Proof) (isNew bool, err error) {
	if isNew, err = tx.recordFork(ctx, proof); err != nil {
		return false, err
	}
	_, err = tx.DropReplaced(ctx, proof.A.Owner.Cid)
	return isNew, err
}

func (tx *Tx) recordFork(ctx context.Context, proof *state.Proof) (bool, error) {
	slot := proof.A.Slot()
	if proof.A.Policy == reference.NodePolicy {
		if over, err := tx.isOver(ctx, slot.Author, proof.A.Epoch); over || err != nil {
			return false, err
		}
	}
	mark, err := tx.Mark(ctx, slot)
	if err != nil || mark.ForkedFrom > proof.A.Epoch {
		return false, err
	}
	if err := proof.Gather(ctx, tx.Blocks); err != nil {
		return false, err
	}
	mark.Proof, mark.ForkedFrom = proof, proof.A.Epoch+1
	tx.SetMark(slot, mark)
	return true, nil
}

// Settle checks the history of a node against the newest one of its author that was checked
// before, now that the history can be read from the blocks of the commit. A node may have come
// before the rotation or the fork because of which it does not count.
func (tx *Tx) Settle(ctx context.Context, node *reference.Reference) error {
	if err := tx.checkNodeKey(ctx, node); err != nil {
		return err
	}
	slot := node.Slot()
	mark, err := tx.Mark(ctx, slot)
	if err != nil {
		return err
	}
	if mark.ForkedFrom > node.Epoch {
		return ErrForked
	}
	if mark.Reference != nil {
		order, err := reference.Compare(ctx, tx.Blocks, mark.Reference, node)
		switch order {
		case reference.Forked:
			return tx.forked(ctx, mark.Reference, node, mark)
		case reference.Incomplete:
			return fmt.Errorf("%w: %w", ErrNoHistory, err)
		case reference.Stale, reference.Same:
			return err
		}
		if err != nil {
			return err
		}
	} else if _, err := node.Log(ctx, tx.Blocks); err != nil {
		return fmt.Errorf("%w: %w", ErrNoHistory, err)
	}
	mark.Reference, mark.Complete = node, false
	if mark.Pending != nil && !mark.Pending.After(node) {
		mark.Pending = nil
	}
	tx.SetMark(slot, mark)
	return nil
}

// SetWhole records that all that node publishes is merged here, if it is the newest of its author.
func (tx *Tx) SetWhole(ctx context.Context, node *reference.Reference) error {
	mark, err := tx.Mark(ctx, node.Slot())
	if err != nil || mark.Complete || mark.Reference == nil || mark.Reference.After(node) {
		return err
	}
	mark.Complete = true
	tx.SetMark(node.Slot(), mark)
	return nil
}
