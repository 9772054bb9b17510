package tree_test

import (
	"errors"
	"maps"
	"slices"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// meet publishes, and so does somebody else; each merges the other.
func (p *actor) meet() {
	q := p.drawActor("whom")
	p.publish()
	q.publish()
	p.mergeNewestOf(q)
	q.mergeNewestOf(p)
}

// mergeNewest merges what somebody has published last.
func (p *actor) mergeNewest() { p.mergeNewestOf(p.drawActor("from")) }

func (p *actor) mergeNewestOf(from *actor) {
	for _, pub := range slices.Backward(p.published) {
		if pub.by == from {
			p.hear(pub, p.blocks, false)
			return
		}
	}
}

// mergeAny merges anything that was ever published: it may be old, and known.
func (p *actor) mergeAny() {
	if len(p.published) > 0 {
		p.hear(p.published[p.draw(len(p.published), "publication")], p.blocks, false)
	}
}

// mergeLossy merges while some blocks cannot be had.
func (p *actor) mergeLossy() {
	if len(p.published) > 0 {
		pub := p.published[p.draw(len(p.published), "publication")]
		p.hear(pub, lossy{p.blocks, byte(p.draw(8, "lost"))}, true)
	}
}

// offerOne takes one reference that somebody has signed, at any time.
func (p *actor) offerOne() {
	slots := slices.SortedFunc(maps.Keys(p.ledger), compareSlots)
	if len(slots) == 0 {
		return
	}
	refs := p.ledger[slots[p.draw(len(slots), "slot")]]
	ref := refs[p.draw(len(refs), "reference")].ref
	if p.parted(p.byID[ref.Owner.Cid]) {
		return
	}
	p.merging(func() ([]state.Change, error) { return p.offer(ref) }, false)
}

func compareSlots(a, b reference.Slot) int {
	if a.Directory.Equals(b.Directory) {
		return compareCids(a.Author, b.Author)
	}
	return compareCids(a.Directory, b.Directory)
}

func compareCids(a, b cid.Cid) int {
	switch {
	case a.KeyString() < b.KeyString():
		return -1
	case a.KeyString() > b.KeyString():
		return 1
	}
	return 0
}

// parted reports whether a partition stands between p and q.
func (p *actor) parted(q *actor) bool { return p.split != nil && p.split[p] != p.split[q] }

// hear merges a publication, if no partition keeps it away. With losses, content may be missing as
// well, or all of it.
func (p *actor) hear(pub publication, blocks store.Getter, losses bool) {
	if !p.parted(pub.by) {
		p.merging(func() ([]state.Change, error) { return p.merge(pub, blocks, losses) }, losses)
	}
}

// merge joins the state of a publication and settles what changes.
func (p *actor) merge(pub publication, blocks store.Getter, losses bool) ([]state.Change, error) {
	changes, err := p.join(pub, blocks)
	for i := range changes {
		c := &changes[i]
		if err == nil && losses && c.Outcome.Changes() && c.Slot != reference.RotationSlot(c.Slot.Author) && p.draw(4, "content is missing") == 0 {
			p.must(p.root.TakeBack(p.ctx, c.Slot, p.mayStay(c)))
			c.Outcome, c.Err = state.Incomplete, store.ErrNotFound
		}
		p.settle(c, losses)
	}
	return changes, err
}

// named reports whether the rotation of its author names ref as one that counts.
func (p *actor) named(ref *reference.Reference) bool {
	rotation, err := p.root.State().Rotation(p.ctx, ref.Owner.Cid)
	p.must(err)
	if rotation == nil {
		return false
	}
	last, err := rotation.LastOf(p.ctx, p.blocks, ref.Slot())
	p.must(err)
	return last != nil && p.find(last.Reference) == p.find(ref)
}

// mayStay returns what a slot holds while what was offered cannot be had: what it held before,
// unless a rotation says that this does not count.
func (p *actor) mayStay(c *state.Change) *reference.Reference {
	if c.Old == nil || c.Offered == nil || c.Old.Epoch == c.Offered.Epoch {
		return c.Old
	}
	if p.named(c.Old) {
		return c.Old
	}
	return nil
}

// join joins the state of a publication.
func (p *actor) join(pub publication, blocks store.Getter) ([]state.Change, error) {
	return p.root.Merge(p.ctx, p.rules(blocks), pub.root, state.OpenProofs(blocks, pub.proofs))
}

// offer joins one reference and settles what changes.
func (p *actor) offer(ref *reference.Reference) ([]state.Change, error) {
	changes, err := tree.Offer(p.ctx, p.root, p.rules(p.blocks), ref)
	for i := range changes {
		p.settle(&changes[i], false)
	}
	return changes, err
}

// merging does what changes the state, commits it, and checks that nothing has vanished that
// nobody has removed.
func (p *actor) merging(do func() ([]state.Change, error), losses bool) {
	root, before := p.root.Cid(), p.files()
	changes, err := do()
	if losses && errors.Is(err, store.ErrNotFound) {
		p.open(root)
		return
	}
	p.must(err)
	if !losses && !slices.ContainsFunc(changes, func(c state.Change) bool { return c.Outcome.Changes() }) {
		return
	}
	p.commit(root)
	if slices.ContainsFunc(changes, func(c state.Change) bool { return c.Outcome == state.Forked }) || !p.id.Defined() {
		return // a fork takes both sides out; a newcomer has not seen anything
	}
	after := p.files()
	for f, paths := range before {
		if after[f] == nil && !p.gone[f] {
			p.t.Fatalf("%v has vanished by a merge, and nobody has removed it", paths)
		}
	}
}

// settle remembers what a merge has brought, as a repository does.
func (p *actor) settle(c *state.Change, losses bool) {
	lawCounts.of(string(c.Outcome)).Add(1)
	mark := p.marks[c.Slot]
	switch c.Outcome {
	case state.New, state.Newer:
		known, offered := p.find(mark.Reference), p.find(c.Offered)
		byRotation := known != nil && known.ref.Epoch > c.Offered.Epoch && p.named(c.Offered) // and undone before
		if known != offered && known.continues(offered) && !byRotation {
			p.t.Fatalf("%s: sequence %d is %s, and %d was seen before", c.Offered.Path, c.Offered.Sequence, c.Outcome, known.ref.Sequence)
		}
		p.must(p.root.Rebase(p.ctx, c.Slot))
		if !byRotation {
			mark.Reference = c.Offered
		}
	case state.Forked:
		if c.Proof != nil {
			p.proofs[c.Slot] = c.Proof
			mark.ForkedFrom = max(mark.ForkedFrom, c.Proof.A.Epoch+1)
		}
	case state.Same, state.Stale, state.Unknown:
	case state.Incomplete:
		if !losses {
			p.t.Fatalf("incomplete without losses: %v", c.Err)
		}
	default:
		p.t.Fatalf("%s: %v", c.Outcome, c.Err)
	}
	p.marks[c.Slot] = mark
}

// hearAll gives p, in any order, the last publication of each of the given people, all references
// of theirs that nothing continues, and some others.
func (p *actor) hearAll(of ...*actor) {
	last := map[*actor]publication{}
	for _, pub := range p.published {
		last[pub.by] = pub
	}
	var joins []publication
	for _, q := range of {
		if pub, ok := last[q]; ok && q != p && p.draw(2, "leave out") == 0 {
			joins = append(joins, pub)
		}
	}
	var refs []*signedRef
	for _, slot := range slices.SortedFunc(maps.Keys(p.ledger), compareSlots) {
		if !slices.Contains(of, p.byID[slot.Author]) {
			continue
		}
		for _, r := range p.ledger[slot] {
			if p.isLast(r) || p.draw(8, "old") == 0 {
				refs = append(refs, r)
			}
		}
	}
	p.hearInAnyOrder(joins, refs)
}

// hearInAnyOrder merges the publications, and offers the references in the parts between.
func (p *actor) hearInAnyOrder(joins []publication, refs []*signedRef) {
	order := rapid.Permutation(numbers(len(joins)+len(refs))).Draw(p.t, "order")
	for len(order) > 0 {
		n := slices.IndexFunc(order, func(i int) bool { return i < len(joins) })
		if n == 0 {
			p.merging(func() ([]state.Change, error) { return p.merge(joins[order[0]], p.blocks, false) }, false)
			order = order[1:]
			continue
		}
		if n < 0 {
			n = len(order)
		}
		p.merging(func() (changes []state.Change, err error) {
			for _, i := range order[:n] {
				more, err := p.offerUnlessHeld(refs[i-len(joins)])
				if err != nil {
					return nil, err
				}
				changes = append(changes, more...)
			}
			return changes, nil
		}, false)
		order = order[n:]
	}
}

// numbers returns 0 to n-1.
func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// isLast reports whether no reference continues r.
func (s *schedule) isLast(r *signedRef) bool {
	return !slices.ContainsFunc(s.ledger[r.ref.Slot()], func(o *signedRef) bool { return o.parent == r })
}

// offerUnlessHeld offers r, unless it is what the state holds, which would change nothing.
func (p *actor) offerUnlessHeld(r *signedRef) ([]state.Change, error) {
	held, err := p.root.State().Get(p.ctx, r.ref.Slot())
	if err != nil || held.Reference != nil && p.find(held.Reference) == r {
		return nil, err
	}
	return p.offer(r.ref)
}
