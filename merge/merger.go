package merge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"archivecache/exchange"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// A merger is one merge of one node. What is not an option is of the last attempt to commit.
type merger struct {
	tx      *repo.Tx
	fetcher *exchange.Fetcher
	opt     Options
	report  *Report
	authors repo.Authors
	changed bool  // whom friends accept
	failure error // why nothing could be had; the commit has marks only then
	stopped error // by the brake, in a dry run

	before, now []*tree.Directory // of the root
}

// node merges the node c, which report.Node is, into the tree of the commit.
func (m *merger) node(ctx context.Context, c cid.Cid) error {
	node := m.report.Node
	authors, err := m.tx.Accepted(ctx)
	if err != nil {
		return err
	}
	m.authors = authors
	if !authors.Accepts(node.Owner.Cid) {
		return fmt.Errorf("%s: %w", m.report.Path, repo.ErrNoFriend)
	}
	switch err := m.history(ctx, node); {
	case errors.Is(err, reference.ErrOldKey):
		return m.refuse(ctx, c, fmt.Errorf("%w; ask them for their newest node", reference.ErrOldKey))
	case errors.Is(err, state.ErrIdentityForked):
		return m.refuse(ctx, c, state.ErrIdentityForked)
	case err != nil:
		return err
	}
	if err := m.accept(ctx); err != nil {
		return err
	}
	if err := m.join(ctx); err != nil {
		return err
	}
	if err := m.nodeForks(ctx); err != nil {
		return err
	}
	if err := m.view(ctx); err != nil {
		return err
	}
	if err := m.brake(ctx); err != nil {
		return err
	}
	unread := m.unread()
	if unread == nil {
		m.tx.SetMerged(node.Owner.Cid, c)
		if err := m.tx.SetWhole(ctx, node); err != nil {
			return err
		}
	}
	if err := m.adopt(ctx, unread == nil); err != nil {
		return err
	}
	m.failure = nil
	if m.report.Changed() == 0 && !m.changed {
		m.failure = unread // what was learnt is recorded all the same; the tree does not change
	}
	m.report.Behind, err = m.tx.Behind(ctx, node)
	return err
}

// refuse leaves out the whole node c, whose key does not count any more. That never changes, so
// nobody has to try again.
func (m *merger) refuse(ctx context.Context, c cid.Cid, why error) error {
	node := m.report.Node
	m.report.Changes = []state.Change{{Slot: node.Slot(), Outcome: state.RefusedKey, Offered: node, Err: why}}
	m.tx.SetMerged(node.Owner.Cid, c)
	m.failure = nil
	root, err := m.tx.EditRoot(ctx)
	if err == nil {
		m.report.Root = root.Cid()
	}
	return err
}

// accept takes note of whom the author of the node accepts, before the join, which takes in what is
// theirs.
func (m *merger) accept(ctx context.Context) (err error) {
	m.report.Through = nil
	friend := m.authors.TrustOf(m.report.Node.Owner.Cid).Friends
	m.changed, err = m.tx.NoteAccepted(ctx, m.report.Node)
	switch {
	case err != nil && friend && errors.Is(err, store.ErrNotFound):
		return err // it is tried again with the next merge
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && friend:
		m.report.Through = err
	}
	m.authors, err = m.tx.Recount(ctx)
	return err
}

// adopt takes over what the author of the node has seen of ours.
func (m *merger) adopt(ctx context.Context, whole bool) error {
	complete := func(now, old cid.Cid) error { return m.present(ctx, now, old, exchange.Scope{}) }
	// What somebody says of one's own nodes keeps nothing else from being merged.
	m.report.Own = m.tx.Adopt(ctx, m.report.Node, whole, complete)
	return ctx.Err()
}

// history checks and keeps the history of the node.
func (m *merger) history(ctx context.Context, node *reference.Reference) error {
	mark, err := m.tx.Mark(ctx, node.Slot())
	if err != nil {
		return err
	}
	known := cid.Undef
	if mark.Reference != nil {
		known = mark.Reference.History.Target()
	}
	if err := m.tx.Settle(ctx, node); err != nil {
		return err
	}
	complete := func(now, old cid.Cid) error { return m.present(ctx, now, old, exchange.Scope{}) }
	if err := complete(node.History.Target(), known); err != nil {
		return fmt.Errorf("%w: %w", repo.ErrNoHistory, err)
	}
	return nil
}

// present makes now and all below it present, given that old is; either may be undefined.
func (m *merger) present(ctx context.Context, now, old cid.Cid, scope exchange.Scope) error {
	if !now.Defined() {
		return nil
	}
	var known []cid.Cid
	if old.Defined() {
		known = append(known, old)
	}
	if m.opt.MaxBytes > 0 {
		// At least one byte, since none would be no limit.
		scope.MaxBytes = max(1, m.opt.MaxBytes-m.fetcher.Stats().Bytes)
	}
	_, err := exchange.Complete(ctx, m.fetcher, now, known, scope)
	return err
}

func (m *merger) join(ctx context.Context) error {
	root, err := m.tx.EditRoot(ctx)
	if err != nil {
		return err
	}
	if m.before, err = root.Directories(ctx); err != nil {
		return err
	}
	node := m.report.Node
	rules := state.Rules{
		Accepts: m.authors.Accepts, Mark: m.tx.StateMark, Blocks: m.tx.Blocks,
		Present: func(ctx context.Context, c cid.Cid) error { return m.present(ctx, c, cid.Undef, exchange.Scope{}) },
	}
	proofs := state.OpenProofs(m.tx.Blocks, node.Proofs.Target())
	changes, err := root.Merge(ctx, rules, node.Content.Target(), proofs)
	if err != nil {
		return err
	}
	learnt, err := root.Learn(ctx, rules, node)
	if err != nil {
		return err
	}
	proven, err := m.proven(ctx, root, rules, append(changes, learnt...))
	if err != nil {
		return err
	}
	changes = state.OneEach(append(append(changes, learnt...), proven...))
	for i := range changes {
		if err := m.settle(ctx, root, &changes[i]); err != nil {
			return err
		}
	}
	m.report.Changes = changes
	return nil
}

// view drops what friends have said with keys that the join has shown to be replaced, and computes
// the view of those who are accepted then.
func (m *merger) view(ctx context.Context) error {
	for _, c := range m.report.Changes {
		if c.Slot != reference.RotationSlot(c.Slot.Author) {
			continue
		}
		dropped, err := m.tx.DropReplaced(ctx, c.Slot.Author)
		if err != nil {
			return err
		}
		m.changed = m.changed || dropped
	}
	var err error
	if m.authors, err = m.tx.Recount(ctx); err != nil {
		return err
	}
	for i, c := range m.report.Changes {
		if !m.authors.Accepts(c.Slot.Author) { // accepted until then
			m.report.Changes[i] = state.Change{Slot: c.Slot, Outcome: state.Unknown}
		}
	}
	root, err := m.tx.EditRoot(ctx)
	if err != nil {
		return err
	}
	if m.report.Root, err = root.Commit(ctx); err != nil {
		return err
	}
	if m.now, err = root.Directories(ctx); err != nil {
		return err
	}
	m.overQuota()
	return nil
}

// ErrQuota is a part that is more than the quota of its author.
var ErrQuota = errors.New("recorded, and not shown, since its author has more than the quota; see trust")

// overQuota tells which of the changes are recorded and left out of the view.
func (m *merger) overQuota() {
	over := map[reference.Slot]bool{}
	for _, d := range m.now {
		for _, p := range d.Parts {
			if p.OverQuota {
				over[reference.Slot{Directory: d.ID, Author: p.Author}] = true
			}
		}
	}
	for _, c := range m.report.Changes {
		if (c.Outcome == state.New || c.Outcome == state.Newer) && over[c.Slot] {
			m.report.Changes = append(m.report.Changes, state.Change{
				Slot: c.Slot, Outcome: state.OverQuota, Old: c.Old, Offered: c.Offered, Err: ErrQuota,
			})
		}
	}
}

// unread returns the first error of a change that could not be read now, or nil. That a rotation of
// somebody else is not in effect says nothing about the node: when it is, it says by itself what
// counts, and its author may never let it be.
func (m *merger) unread() error {
	for _, c := range m.report.Changes {
		_, own := m.authors.Own[c.Slot.Author]
		others := !own && !c.Slot.Author.Equals(m.report.Node.Owner.Cid)
		if c.Outcome == state.Incomplete && !(others && errors.Is(c.Err, state.ErrNotInEffect)) {
			return c.Err
		}
	}
	return nil
}

// proven offers again what is proven of authors whose rotations came into effect: a proof that came
// before could not show in the state. One of an epoch that the rotation has ended says nothing any
// more.
func (m *merger) proven(ctx context.Context, root *tree.Root, rules state.Rules, changes []state.Change) ([]state.Change, error) {
	rotated := map[cid.Cid]bool{}
	for _, c := range changes {
		if c.Slot == reference.RotationSlot(c.Slot.Author) && (c.Outcome == state.New || c.Outcome == state.Newer) {
			rotated[c.Slot.Author] = true
		}
	}
	if len(rotated) == 0 {
		return nil, nil
	}
	var all []state.Change
	err := m.tx.Repo().Proofs(ctx, func(slot reference.Slot, p *state.Proof) error {
		if !rotated[slot.Author] || p.A.Directory == nil {
			return nil
		}
		more, err := root.OfferFork(ctx, rules, p)
		all = append(all, slices.DeleteFunc(more, func(c state.Change) bool { return !c.Outcome.Changes() })...)
		return err
	})
	return all, err
}

// tell hands on what became of slots and paths. The commit is made, unless this is a dry run, so
// nothing is told twice.
func (m *merger) tell(ctx context.Context) error {
	if m.opt.Slot != nil {
		for _, c := range m.report.Changes {
			if err := m.opt.Slot(c); err != nil {
				return err
			}
		}
	}
	if m.opt.Path == nil {
		return nil
	}
	err := tree.Changes(ctx, m.tx.Blocks, m.before, m.now, func(c shared.Change) error {
		m.report.Paths[c.Outcome]++
		return m.opt.Path(c)
	})
	if err != nil {
		return fmt.Errorf("what changed cannot be listed: %w", err)
	}
	return nil
}
