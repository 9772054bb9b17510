package merge

import (
	"context"
	"errors"

	"archivecache/exchange"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// recordFork records the fork of a slot.
func (m *merger) recordFork(ctx context.Context, change *state.Change) error {
	mark, err := m.tx.Mark(ctx, change.Slot)
	if err != nil {
		return err
	}
	if change.Proof != nil {
		mark.Proof = change.Proof
		mark.ForkedFrom = max(mark.ForkedFrom, change.Proof.A.Epoch+1)
	}
	m.tx.SetMark(change.Slot, mark)
	return nil
}

// nodeForks records the forks of nodes that the author of the node has proofs of: no reference in
// the state shows those.
func (m *merger) nodeForks(ctx context.Context) error {
	proofs := m.report.Node.Proofs.Target()
	if !proofs.Defined() {
		return nil
	}
	err := m.present(ctx, proofs, cid.Undef, exchange.Scope{MetadataOnly: true})
	if err == nil {
		err = state.OpenProofs(m.tx.Blocks, proofs).Each(ctx, func(slot reference.Slot, proof *state.Proof) error {
			return m.nodeFork(ctx, slot, proof)
		})
	}
	if errors.Is(err, state.ErrNoProof) || errors.Is(err, merkle.ErrMalformed) || errors.Is(err, store.ErrNotFound) {
		return nil // whoever does not say it well has not said it
	}
	return err
}

func (m *merger) nodeFork(ctx context.Context, slot reference.Slot, proof *state.Proof) error {
	if slot != reference.NodeSlot(slot.Author) || !m.authors.Accepts(slot.Author) {
		return nil
	}
	if err := proof.Verify(ctx, m.tx.Blocks); err != nil {
		return err
	}
	isNew, err := m.tx.RecordFork(ctx, proof)
	if err == nil && isNew {
		m.report.Changes = append(m.report.Changes, state.Change{
			Slot: slot, Outcome: state.Forked, Offered: proof.B, Proof: proof, Err: repo.ErrForked,
		})
	}
	return err
}
