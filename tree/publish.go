package tree

import (
	"context"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// ErrDraftBase is a draft that was made on another reference than the one the state holds, and
// cannot be put on top of it.
var ErrDraftBase = errors.New("the draft was made on an older version, and the newer one cannot be read")

// Sign signs every draft of the signer, and returns the new references. Now is the time that they
// claim, in seconds since 1970. If only is given, drafts of other directories stay drafts.
func (r *Root) Sign(ctx context.Context, s reference.Signer, mark state.MarkFunc, now uint64, only func(*Draft) bool) ([]*reference.Reference, error) {
	var drafts []*Draft
	err := r.Drafts(ctx, func(d *Draft) error {
		if d.Author.Equals(s.ID()) && (only == nil || only(d)) {
			drafts = append(drafts, d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	chain, err := r.Chain(ctx, s.ID(), mark)
	if err != nil {
		return nil, err
	}
	var signed []*reference.Reference
	for _, d := range drafts {
		ref, err := r.signDraft(ctx, s, chain, mark, now, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Path, err)
		}
		signed = append(signed, ref)
	}
	return signed, nil
}

func (r *Root) signDraft(ctx context.Context, s reference.Signer, chain reference.Chain, mark state.MarkFunc, now uint64, d *Draft) (*reference.Reference, error) {
	slot := d.Slot()
	held, err := r.state.Get(ctx, slot)
	if err != nil {
		return nil, err
	}
	known, err := mark(ctx, slot)
	if err != nil {
		return nil, err
	}
	if held.Fork != nil || known.ForkedFrom > chain.Epoch() {
		return nil, ErrForked
	}
	if err := r.checkDraft(ctx, d, held.Reference); err != nil {
		return nil, err
	}
	previous, err := r.previous(ctx, slot, chain, held.Reference, known.Reference)
	if err != nil {
		return nil, err
	}
	ref := &reference.Reference{
		Policy: d.Directory.Policy, Directory: &d.Directory, Path: d.Path,
		Content: d.Content, Marks: d.Marks, Deleted: d.Deleted, Time: now, Epoch: chain.Epoch(),
	}
	if err := ref.Continue(ctx, r.blocks, previous); err != nil {
		return nil, err
	}
	if err := ref.Sign(s, chain); err != nil {
		return nil, err
	}
	if err := r.state.Set(ctx, slot, state.Value{Reference: ref}); err != nil {
		return nil, err
	}
	r.touch(&d.Directory)
	return ref, r.drafts.Delete(ctx, slot.Key())
}

// previous returns what a new reference in a slot continues: the newest one signed with the key of
// now that is held or known, else what the rotation names. Less than that may be held, if the
// content of what it names was missing in a merge.
func (r *Root) previous(ctx context.Context, slot reference.Slot, chain reference.Chain, held, known *reference.Reference) (*reference.Reference, error) {
	if known == nil || known.Epoch < chain.Epoch() || held.After(known) {
		known = held
	}
	rotation := chain.Rotation()
	if rotation == nil || known != nil && known.Epoch == chain.Epoch() {
		return known, nil
	}
	last, err := rotation.LastOf(ctx, r.blocks, slot)
	if err != nil || last == nil {
		return known, err
	}
	return last.Reference, nil
}

// WithoutDrafts returns the root as it is published: r, or what r would be without its drafts.
func (r *Root) WithoutDrafts(ctx context.Context) (*Root, error) {
	if r.record.Drafts == nil {
		return r, nil
	}
	published, err := OpenRoot(ctx, r.blocks, r.cid)
	if err != nil {
		return nil, err
	}
	published.drafts = merkle.NewMap(r.blocks, draftPosition, cid.Undef)
	published.allTouched = true
	published.opened, published.trusts = r.opened, r.trusts
	_, err = published.Commit(ctx)
	return published, err
}

// Merge joins the state of another root into r. What is not the same is returned. Before the next
// commit, [Root.Rebase] is due for every slot that changed, or [Root.TakeBack].
func (r *Root) Merge(ctx context.Context, rules state.Rules, theirs cid.Cid, proofs state.Proofs) ([]state.Change, error) {
	data, err := rules.Blocks.Get(ctx, theirs)
	if err != nil {
		return nil, err
	}
	record, err := decodeRoot(data)
	if err != nil {
		return nil, err
	}
	changes, err := r.state.Join(ctx, rules, record.State.Cid, proofs)
	r.touchChanged(changes)
	return changes, err
}

// touchChanged notes which directories changes are about.
func (r *Root) touchChanged(changes []state.Change) {
	for _, c := range changes {
		for _, ref := range []*reference.Reference{c.Offered, c.Old} {
			if ref != nil {
				r.touch(ref.Directory)
			}
		}
		if c.Outcome.Changes() && (c.Offered == nil || c.Offered.Directory == nil) {
			r.allTouched = true // such as a rotation, and a fork that it has ended
		}
	}
}

// OfferFork joins a fork that is proven into r.
func (r *Root) OfferFork(ctx context.Context, rules state.Rules, proof *state.Proof) ([]state.Change, error) {
	changes, err := r.state.OfferFork(ctx, rules, proof)
	r.touchChanged(changes)
	r.touch(proof.A.Directory)
	return changes, err
}

// Restrict removes what authors wrote who are not accepted any more, and returns how many slots
// that were.
func (r *Root) Restrict(ctx context.Context, accepted func(cid.Cid) bool) (int, error) {
	r.allTouched = true
	return r.state.Restrict(ctx, accepted)
}

// TakeBack puts old back into a slot that a merge has changed; nil is nothing.
func (r *Root) TakeBack(ctx context.Context, slot reference.Slot, old *reference.Reference) error {
	if old == nil {
		return r.state.Remove(ctx, slot)
	}
	return r.state.Set(ctx, slot, state.Value{Reference: old})
}

// Rebase puts the draft of a slot, if there is one, on top of the reference that a merge has
// brought: our own reference from elsewhere, such as another copy of this repository. Its content
// has to be here; [ErrDraftBase] says that what the draft was made on is not.
func (r *Root) Rebase(ctx context.Context, slot reference.Slot) error {
	d, err := r.draft(ctx, slot)
	if err != nil || d == nil {
		return err
	}
	held, err := r.state.Get(ctx, slot)
	if err != nil {
		return err
	}
	if held.Fork != nil {
		return nil // the draft is kept; it cannot be signed
	}
	top := held.Reference
	if top == nil { // taken out by a rotation
		empty, _ := unixfs.EmptyDir()
		if err := r.blocks.Put(ctx, empty); err != nil {
			return err
		}
		top = &reference.Reference{Path: d.Path, Content: dagcbor.LinkTo(empty.Cid)}
	}
	base, err := r.draftBase(ctx, d)
	if err == nil {
		err = replay(ctx, r.blocks, d, base, top)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", d.Path, ErrDraftBase, err)
	}
	return r.setDraft(ctx, d)
}

func (r *Root) draftBase(ctx context.Context, d *Draft) (*reference.Reference, error) {
	if d.Base == nil {
		return &reference.Reference{}, nil
	}
	data, err := r.blocks.Get(ctx, d.Base.Cid)
	if err != nil {
		return nil, err
	}
	return reference.Decode(data)
}

// replay changes d, made on base, to be made on top: what differs between base and d is
// done again to top.
func replay(ctx context.Context, blocks store.Blocks, d *Draft, base, top *reference.Reference) error {
	if d.Path == base.Path || base.Path == "" {
		d.Path = top.Path
	}
	if d.Deleted {
		return nil
	}
	content, err := replayDir(ctx, blocks, base.Content.Target(), d.Content.Target(), top.Content.Target())
	if err != nil {
		return err
	}
	d.Content = dagcbor.LinkTo(content)
	marks, err := shared.ReplayMarks(ctx, blocks, base.Marks.Target(), d.Marks.Target(), top.Marks.Target())
	if err != nil {
		return err
	}
	above := shared.Layer{Files: top.Content.Target(), Marks: top.Marks.Target()}
	marks, err = shared.Renonce(ctx, blocks, above, shared.Layer{Files: content, Marks: marks})
	d.Marks = dagcbor.LinkTo(marks)
	return err
}

// replayDir does to the directory top what was done from base to mine. Where both changed a file,
// mine has the name and the other stands beside it under a conflict name; what was changed in top
// is not deleted.
func replayDir(ctx context.Context, blocks store.Blocks, base, mine, top cid.Cid) (cid.Cid, error) {
	if !top.Defined() || top.Equals(base) {
		return mine, nil
	}
	if !mine.Defined() {
		return top, nil
	}
	var changes []unixfs.Entry
	err := unixfs.Diff(ctx, blocks, base, mine, func(name string, old, new *unixfs.Entry) error {
		theirs, err := lookup(ctx, blocks, top, name)
		if err != nil {
			return err
		}
		more, err := replayEntry(ctx, blocks, top, orNone(name, old), orNone(name, new), theirs)
		changes = append(changes, more...)
		return err
	})
	if err != nil {
		return cid.Undef, err
	}
	e, err := unixfs.Edit(ctx, blocks, top, changes)
	return e.Cid, err
}

// orNone returns e, or an entry without a CID.
func orNone(name string, e *unixfs.Entry) unixfs.Entry {
	if e == nil {
		return unixfs.Entry{Name: name}
	}
	return *e
}

// replayEntry returns the changes to the directory top for one name, which was changed from old
// to new, and is theirs in top.
func replayEntry(ctx context.Context, blocks store.Blocks, top cid.Cid, old, new, theirs unixfs.Entry) ([]unixfs.Entry, error) {
	if !theirs.Cid.Defined() || theirs.Cid.Equals(old.Cid) || theirs.Cid.Equals(new.Cid) {
		return []unixfs.Entry{new}, nil
	}
	if isDir(ctx, blocks, theirs.Cid) && (!new.Cid.Defined() || isDir(ctx, blocks, new.Cid)) {
		return replaySub(ctx, blocks, old, new, theirs)
	}
	if !new.Cid.Defined() {
		return nil, nil
	}
	name, err := shared.ConflictName(theirs.Name, theirs.Cid.Hash()[2:], func(n string) (bool, error) {
		e, err := lookup(ctx, blocks, top, n)
		return e.Cid.Defined(), err
	})
	theirs.Name = name
	return []unixfs.Entry{new, theirs}, err
}

// replaySub is replayEntry where theirs is a directory, and new another or nothing.
func replaySub(ctx context.Context, blocks store.Blocks, old, new, theirs unixfs.Entry) ([]unixfs.Entry, error) {
	empty, _ := unixfs.EmptyDir()
	if err := blocks.Put(ctx, empty); err != nil {
		return nil, err
	}
	before, mine := cid.Undef, new.Cid
	if old.Cid.Defined() && isDir(ctx, blocks, old.Cid) {
		before = old.Cid
	}
	if !mine.Defined() {
		mine = empty.Cid
	}
	c, err := replayDir(ctx, blocks, before, mine, theirs.Cid)
	if err != nil {
		return nil, err
	}
	if c.Equals(empty.Cid) && !new.Cid.Defined() {
		return []unixfs.Entry{new}, nil
	}
	merged, err := dirEntry(ctx, blocks, c)
	merged.Name = theirs.Name
	return []unixfs.Entry{merged}, err
}
