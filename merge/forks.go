package merge

import (
	"context"

	"archivecache/repo"
	"archivecache/tree/reference"
	"archivecache/tree/state"
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
	if m.report.Node.Proofs == nil {
		return nil
	}
	proofs := state.OpenProofs(m.tx.Blocks, m.report.Node.Proofs.Target())
	for author := range m.authors.All() {
		slot := reference.NodeSlot(author)
		proof, err := proofs.Get(ctx, slot)
		if err == nil {
			err = proof.Verify(ctx, m.tx.Blocks)
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue // whoever does not say it well has not said it
		}
		if err := m.nodeFork(ctx, slot, proof); err != nil {
			return err
		}
	}
	return nil
}

// nodeFork records a fork of nodes that is proven.
func (m *merger) nodeFork(ctx context.Context, slot reference.Slot, proof *state.Proof) error {
	isNew, err := m.tx.RecordFork(ctx, proof)
	if err == nil && isNew {
		m.report.Changes = append(m.report.Changes, state.Change{
			Slot: slot, Outcome: state.Forked, Offered: proof.B, Proof: proof, Err: repo.ErrForked,
		})
	}
	return err
}
