package repo

import (
	"bytes"
	"context"
	"fmt"

	"archivecache/store"
	"archivecache/tree/reference"
	"archivecache/tree/state"
)

// forked records that two nodes do not continue each other: no other node of that epoch is taken.
func (tx *Tx) forked(ctx context.Context, known, node *reference.Reference, mark Mark) error {
	if !known.Rotation.Target().Equals(node.Rotation.Target()) {
		return tx.forkedIdentity(ctx, known, node)
	}
	mark.Proof = state.NewProof(known, node)
	if err := mark.Proof.Gather(ctx, tx.Blocks); err != nil {
		return err
	}
	mark.ForkedFrom = max(mark.ForkedFrom, node.Epoch+1)
	tx.SetMark(node.Slot(), mark)
	return Keep(fmt.Errorf("%w: sequences %d and %d", ErrForked, known.Sequence, node.Sequence))
}

// forkedIdentity records that two nodes are signed by two rotations of one key, which the nodes have
// brought along: nothing of their author counts any more.
func (tx *Tx) forkedIdentity(ctx context.Context, known, node *reference.Reference) error {
	blocks := store.NewOverlay(tx.Blocks)
	for _, b := range append(known.RotationBlocks(), node.RotationBlocks()...) {
		if err := blocks.Put(ctx, b); err != nil {
			return err
		}
	}
	i := 0
	for bytes.Equal(known.Rotations[i], node.Rotations[i]) { // they differ in the last one at least
		i++
	}
	a, err := reference.Decode(known.Rotations[i])
	if err != nil {
		return err
	}
	b, err := reference.Decode(node.Rotations[i])
	if err != nil {
		return err
	}
	proof := state.NewProof(a, b)
	if err := proof.Gather(ctx, blocks); err != nil {
		return err
	}
	if _, err := tx.ImportProof(ctx, proof); err != nil {
		return err
	}
	return Keep(fmt.Errorf("%w: %w: of epoch %d", ErrForked, state.ErrIdentityForked, node.Epoch))
}

// RecordFork records the fork of an author's nodes that proof, which is verified, shows. It reports
// whether that is news; of an epoch that a rotation has ended it is none.
func (tx *Tx) RecordFork(ctx context.Context, proof *state.Proof) (bool, error) {
	slot := proof.A.Slot()
	if proof.A.Policy == reference.NodePolicy {
		if over, err := tx.isOver(ctx, proof.A); over || err != nil {
			return false, err
		}
	}
	mark, err := tx.Mark(ctx, slot)
	if err != nil || mark.ForkedFrom > proof.A.Epoch {
		return false, err
	}
	mark.Proof, mark.ForkedFrom = proof, proof.A.Epoch+1
	tx.SetMark(slot, mark)
	return true, nil
}

// Settle checks the history of a node against the newest one of its author that was checked
// before, now that the history can be read from the blocks of the commit.
func (tx *Tx) Settle(ctx context.Context, node *reference.Reference) error {
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
