package merge

import (
	"bytes"
	"context"
	"errors"

	"archivecache/dag"
	"archivecache/dagcbor"
	"archivecache/exchange"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// settle makes present what a change brought, and records it. If it cannot be had, the change is
// taken back.
func (m *merger) settle(ctx context.Context, root *tree.Root, change *state.Change) error {
	switch change.Outcome {
	case state.New, state.Newer:
	case state.Incomplete, state.RefusedForm:
		return errors.Join(m.remember(ctx, change), m.recordRotation(ctx, change))
	case state.Forked:
		return m.recordFork(ctx, change)
	case state.Revoked:
		return root.Rebase(ctx, change.Slot)
	default:
		return nil
	}
	mark, err := m.tx.Mark(ctx, change.Slot)
	if err != nil {
		return err
	}
	err = m.complete(ctx, mark, change.Offered)
	if err == nil {
		err = root.Rebase(ctx, change.Slot)
	}
	if err != nil {
		outcome := outcomeOf(err)
		if outcome == "" {
			return err
		}
		change.Outcome, change.Err = outcome, err
		return errors.Join(m.takeBack(ctx, root, change), m.remember(ctx, change))
	}
	if mark.Reference == nil || mark.Reference.Epoch <= change.Offered.Epoch {
		mark.Reference, mark.Complete = change.Offered, !m.opt.MetadataOnly
	} // else an undone rotation has put in what it names, and what was signed after it is the newest still
	if p := mark.Pending; p != nil && (!p.After(change.Offered) || p.Epoch < change.Offered.Epoch) {
		mark.Pending = nil
	}
	m.tx.SetMark(change.Slot, mark)
	if change.Offered.Policy != reference.RotationPolicy {
		return nil
	}
	return m.tx.KeepRotation(ctx, change.Offered)
}

// takeBack puts into a slot what it held before; nothing, if a rotation says that this does not
// count.
func (m *merger) takeBack(ctx context.Context, root *tree.Root, change *state.Change) error {
	old := change.Old
	if old != nil && !m.counts(ctx, root, old, change.Offered) {
		old = nil
	}
	return root.TakeBack(ctx, change.Slot, old)
}

// counts reports whether old may stay while offered cannot be had.
func (m *merger) counts(ctx context.Context, root *tree.Root, old, offered *reference.Reference) bool {
	if old.Epoch == offered.Epoch {
		order, err := reference.Compare(ctx, m.tx.Blocks, old, offered)
		return err == nil && order == reference.Newer
	}
	rotation, err := root.State().Rotation(ctx, old.Owner.Cid)
	if err != nil || rotation == nil {
		return false
	}
	last, err := rotation.LastOf(ctx, m.tx.Blocks, old.Slot())
	return err == nil && last != nil && bytes.Equal(last.Signature, old.Signature)
}

// recordRotation records a rotation that is signed, and that cannot be put into effect, as what it
// names is missing or malformed.
func (m *merger) recordRotation(ctx context.Context, change *state.Change) error {
	rotation := change.Offered
	if rotation == nil || rotation.Policy != reference.RotationPolicy || rotation.VerifyWith(ctx, m.tx.Blocks) != nil {
		return nil
	}
	return m.tx.RecordRotation(ctx, rotation)
}

// remember records a reference of one's own that could not be read now, so that nothing is signed
// in its place.
func (m *merger) remember(ctx context.Context, change *state.Change) error {
	_, own := m.authors.Own[change.Slot.Author]
	if !own || change.Outcome != state.Incomplete || change.Offered == nil {
		return nil
	}
	mark, err := m.tx.Mark(ctx, change.Slot)
	if err != nil || !change.Offered.After(mark.Reference) || !change.Offered.After(mark.Pending) {
		return err
	}
	mark.Pending = change.Offered
	m.tx.SetMark(change.Slot, mark)
	return nil
}

// outcomeOf returns what an error about the content of a reference means for it; "" if it is
// another kind of error.
func outcomeOf(err error) state.Outcome {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return state.Incomplete
	case errors.Is(err, shared.ErrTooLarge):
		return state.OverQuota
	case errors.Is(err, unixfs.ErrMalformed), errors.Is(err, unixfs.ErrNotDirectory), errors.Is(err, exchange.ErrBudget),
		errors.Is(err, merkle.ErrMalformed), errors.Is(err, reference.ErrMalformed), errors.Is(err, dagcbor.ErrMalformed), errors.Is(err, dag.ErrMalformed):
		return state.RefusedForm
	}
	return ""
}

// complete makes the history and the content of ref present, given what is complete already by
// the mark.
func (m *merger) complete(ctx context.Context, mark repo.Mark, ref *reference.Reference) error {
	known := &reference.Reference{}
	if mark.Complete && mark.Reference != nil {
		known = mark.Reference
	}
	content := exchange.Scope{MetadataOnly: m.opt.MetadataOnly, Progress: m.opt.Progress}
	parts := []struct {
		now, old cid.Cid
		scope    exchange.Scope
	}{
		{ref.History.Target(), known.History.Target(), exchange.Scope{}},
		{ref.Rotation.Target(), known.Rotation.Target(), exchange.Scope{}},
		{ref.Marks.Target(), known.Marks.Target(), exchange.Scope{}},
		{ref.Content.Target(), known.Content.Target(), content},
	}
	for _, p := range parts {
		if err := m.present(ctx, p.now, p.old, p.scope); err != nil {
			return err
		}
	}
	return m.check(ctx, known, ref)
}

// check reads what is new in ref, so that no author can bring in what the view cannot be made of.
func (m *merger) check(ctx context.Context, known, ref *reference.Reference) error {
	if _, err := ref.Log(ctx, m.fetcher); err != nil {
		return err
	}
	if ref.Policy == reference.SharedPolicy {
		return m.checkLayer(ctx, layerOf(known), layerOf(ref))
	}
	if !ref.Content.Target().Defined() {
		return nil // deleted, or a rotation
	}
	_, err := unixfs.OpenDir(ctx, m.fetcher, ref.Content.Target())
	return err
}

// checkLayer reads what is new in a layer, and how large all of it is.
func (m *merger) checkLayer(ctx context.Context, known, now shared.Layer) error {
	if err := shared.Check(ctx, m.fetcher, known, now); err != nil {
		return err
	}
	size, err := shared.MeasureLayer(ctx, m.fetcher, m.tx.Sizes(), known, now)
	if err != nil {
		return err
	}
	return size.Check()
}

func layerOf(ref *reference.Reference) shared.Layer {
	return shared.Layer{Files: ref.Content.Target(), Marks: ref.Marks.Target()}
}
