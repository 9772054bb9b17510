package state_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"archivecache/dagcbor"
	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// tb is what the helpers need of *testing.T and *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// A replica is a state with the marks and the proofs that its owner keeps beside it.
type replica struct {
	tb
	blocks *store.Overlay
	root   cid.Cid
	marks  map[reference.Slot]state.Mark
	proofs cid.Cid
	trusts func(cid.Cid) bool
}

func newReplica(t tb, blocks *store.Overlay) *replica {
	return &replica{tb: t, blocks: blocks, marks: map[reference.Slot]state.Mark{}, trusts: func(cid.Cid) bool { return true }}
}

func (r *replica) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("%v", err)
	}
}

func (r *replica) rules() state.Rules {
	return state.Rules{
		Accepts: func(author cid.Cid) bool { return r.trusts(author) },
		Mark:    func(_ context.Context, slot reference.Slot) (state.Mark, error) { return r.marks[slot], nil },
		Blocks:  r.blocks,
	}
}

// commit writes s and remembers what changed.
func (r *replica) commit(s *state.State, changes []state.Change) {
	ctx := context.Background()
	proofs := state.OpenProofs(r.blocks, r.proofs)
	for _, c := range changes {
		if !c.Outcome.Changes() {
			continue
		}
		mark := r.marks[c.Slot]
		if c.Outcome == state.Forked {
			if c.Proof == nil && mark.ForkedFrom > 0 {
				continue // the mark alone told of it
			}
			mark.ForkedFrom = 1
			if c.Proof == nil {
				r.Fatalf("a fork without a proof")
			}
			r.must(c.Proof.Verify(ctx, r.blocks))
			r.must(proofs.Add(ctx, c.Proof))
		} else if c.Offered == nil || mark.Reference == nil || mark.Reference.Epoch <= c.Offered.Epoch {
			mark.Reference = c.Offered // else an undone rotation has put in what it names
		}
		r.marks[c.Slot] = mark
	}
	var err error
	r.root, err = s.Flush(ctx, r.blocks)
	r.must(err)
	r.proofs, err = proofs.Flush(ctx, r.blocks)
	r.must(err)
}

func (r *replica) offer(refs ...*reference.Reference) []state.Change {
	r.Helper()
	s := state.Open(r.blocks, r.root)
	var changes []state.Change
	for _, ref := range refs {
		c, err := s.Offer(context.Background(), r.rules(), ref)
		r.must(err)
		changes = append(changes, c...)
	}
	r.commit(s, changes)
	return changes
}

func (r *replica) merge(theirs *replica) []state.Change {
	r.Helper()
	s := state.Open(r.blocks, r.root)
	changes, err := s.Join(context.Background(), r.rules(), theirs.root, state.OpenProofs(r.blocks, theirs.proofs))
	r.must(err)
	r.commit(s, changes)
	return changes
}

func (r *replica) get(slot reference.Slot) state.Value {
	v, err := state.Open(r.blocks, r.root).Get(context.Background(), slot)
	r.must(err)
	return v
}

// draw returns references of three authors for three directories. Each continues an earlier one
// of its slot or none, so that there are forks, some of them long.
func draw(t *rapid.T, blocks *store.Overlay) []*reference.Reference {
	var all []*reference.Reference
	bySlot := map[reference.Slot][]*reference.Reference{}
	for i := range rapid.IntRange(1, 20).Draw(t, "references") {
		s := treetest.NewSigner(byte(rapid.IntRange(1, 3).Draw(t, "author")))
		f := treetest.Shared("root/" + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "directory"))
		slot := reference.Slot{Directory: f.ID(), Author: s.ID()}
		var previous *reference.Reference
		if known := bySlot[slot]; len(known) > 0 {
			previous = known[len(known)-1]
			if rapid.IntRange(0, 7).Draw(t, "fork") == 0 {
				previous = known[rapid.IntRange(0, len(known)-1).Draw(t, "from")]
			}
		}
		r, err := s.Layer(context.Background(), blocks, f, previous, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		bySlot[slot] = append(bySlot[slot], r)
		all = append(all, r)
	}
	return all
}

// expected returns the state that follows from all references, by the rule: the last one of a
// chain, else a fork.
func expected(t *rapid.T, blocks *store.Overlay, all []*reference.Reference, trusts func(cid.Cid) bool) cid.Cid {
	ctx := context.Background()
	s := state.Open(blocks, cid.Undef)
	bySlot := map[reference.Slot][]*reference.Reference{}
	for _, r := range all {
		if trusts(r.Owner.Cid) {
			bySlot[r.Slot()] = append(bySlot[r.Slot()], r)
		}
	}
	for slot, refs := range bySlot {
		slices.SortFunc(refs, func(a, b *reference.Reference) int { return int(a.Sequence) - int(b.Sequence) })
		v := state.Value{Reference: refs[len(refs)-1]}
		for i, r := range refs {
			if r.Sequence != uint64(i+1) { // two of one sequence
				v = state.Value{Fork: &state.Fork{Directory: *r.Directory, Owner: r.Owner}}
			}
		}
		if err := s.Set(ctx, slot, v); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.Flush(ctx, blocks)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestJoinConverges delivers the same references to replicas in any order, in groups, more than
// once, and by way of each other's states: all end with the same state.
func TestJoinConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := store.NewOverlay(store.NewMemory())
		all := draw(t, blocks)
		stranger := treetest.NewSigner(byte(rapid.IntRange(1, 4).Draw(t, "stranger"))).ID()
		trusts := func(author cid.Cid) bool { return !author.Equals(stranger) }
		want := expected(t, blocks, all, trusts)
		replicas := []*replica{newReplica(t, blocks), newReplica(t, blocks), newReplica(t, blocks)}
		pending := map[*replica][]*reference.Reference{}
		for _, r := range replicas {
			r.trusts = trusts
			pending[r] = rapid.Permutation(all).Draw(t, "order")
		}
		for len(pending) > 0 {
			r := rapid.SampledFrom(replicas).Draw(t, "replica")
			switch n := min(len(pending[r]), rapid.IntRange(0, 5).Draw(t, "group")); n {
			case 0:
				r.merge(rapid.SampledFrom(replicas).Draw(t, "from"))
			default:
				r.offer(pending[r][:n]...)
				if rapid.Bool().Draw(t, "again") {
					if changes := r.offer(pending[r][:n]...); slices.ContainsFunc(changes, changed) {
						t.Fatalf("the same again changes the state: %+v", changes)
					}
				}
				pending[r] = pending[r][n:]
			}
			if len(pending[r]) == 0 {
				delete(pending, r)
			}
		}
		for i, r := range replicas {
			if !r.root.Equals(want) {
				t.Fatalf("replica %d ends with %s, want %s", i, r.root, want)
			}
		}
	})
}

func changed(c state.Change) bool { return c.Outcome.Changes() }

// TestJoinIsASemilattice joins states of three people, who each have seen some of the references.
func TestJoinIsASemilattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := store.NewOverlay(store.NewMemory())
		all := draw(t, blocks)
		join := func(parts ...*replica) *replica {
			r := newReplica(t, blocks)
			for _, p := range parts {
				r.merge(p)
			}
			return r
		}
		var parts []*replica
		for range 3 {
			r := newReplica(t, blocks)
			n := rapid.IntRange(0, len(all)).Draw(t, "seen")
			r.offer(rapid.Permutation(all).Draw(t, "order")[:n]...)
			parts = append(parts, r)
		}
		a, b, c := parts[0], parts[1], parts[2]
		ab := join(a, b)
		if !ab.root.Equals(join(b, a).root) {
			t.Error("not commutative")
		}
		if !join(ab, c).root.Equals(join(a, join(b, c)).root) {
			t.Error("not associative")
		}
		if ab.merge(a); !ab.root.Equals(join(a, b).root) {
			t.Error("not idempotent")
		}
		if changes := a.merge(a); len(changes) != 0 {
			t.Errorf("a state joined with itself: %+v", changes)
		}
	})
}

func TestOutcomes(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	s := treetest.NewSigner(1)
	layer := func(previous *reference.Reference, time uint64) *reference.Reference {
		r, err := s.Layer(ctx, blocks, treetest.Shared("root/forum"), previous, time)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := layer(nil, 1)
	second, other := layer(first, 2), layer(first, 3)
	third := layer(second, 4)
	r := newReplica(t, blocks)
	expect := func(why string, want state.Outcome, changes []state.Change) {
		t.Helper()
		if len(changes) != 1 || changes[0].Outcome != want {
			t.Errorf("%s: %+v, want %s", why, changes, want)
		}
	}
	expect("the first", state.New, r.offer(first))
	expect("the first again", state.Same, r.offer(first))
	undone := r.root
	expect("the third", state.Newer, r.offer(third))
	expect("the second, late", state.Stale, r.offer(second))
	r.root = undone
	expect("an older one than the mark, after an undo", state.Stale, r.offer(second))
	if v := r.get(first.Slot()); v.Reference.Sequence != 1 {
		t.Errorf("an older one has been taken after an undo: %d", v.Reference.Sequence)
	}
	expect("the third again, after an undo", state.Newer, r.offer(third))
	r.root = cid.Undef
	expect("again, after the state was lost", state.New, r.offer(third))
	forged := *third
	forged.Time++
	expect("a forged one", state.RefusedSignature, r.offer(&forged))
	fresh := newReplica(t, blocks)
	fresh.trusts = func(cid.Cid) bool { return false }
	expect("of a stranger", state.Unknown, fresh.offer(third))
	expect("of a stranger, in a state", state.Unknown, fresh.merge(r))
	if n := len(fresh.marks); n != 0 {
		t.Errorf("%d marks of strangers", n)
	}
	expect("a fork", state.Forked, r.offer(other))
	expect("after a fork", state.Same, r.offer(layer(third, 5)))
	r.root = undone
	if c := r.offerOnly(third); c.Outcome != state.Forked || c.Proof != nil {
		t.Errorf("after a fork was undone: %+v", c)
	}
	node := &reference.Reference{Policy: reference.NodePolicy, Sequence: 1, Content: dagcbor.LinkTo(store.Sum(cid.DagCBOR, nil))}
	if err := node.Sign(s, s.Chain); err != nil {
		t.Fatal(err)
	}
	expect("a node", state.RefusedForm, fresh.trusting().offer(node))
}

// offerOnly offers without a commit.
func (r *replica) offerOnly(ref *reference.Reference) state.Change {
	c, err := state.Open(r.blocks, r.root).Offer(context.Background(), r.rules(), ref)
	r.must(err)
	return c[len(c)-1]
}

func (r *replica) trusting() *replica { return newReplica(r.tb, r.blocks) }

// TestReportedForks reports forks with proofs that do not hold.
func TestReportedForks(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	layer := func(n byte, path string, previous *reference.Reference, time uint64) *reference.Reference {
		r, err := treetest.NewSigner(n).Layer(ctx, blocks, treetest.Shared(path), previous, time)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := layer(1, "root/a", nil, 1)
	second, other := layer(1, "root/a", first, 2), layer(1, "root/a", first, 3)
	forged := *other
	forged.Time++
	for why, test := range map[string]struct {
		proof *state.Proof
		want  state.Outcome
	}{
		"two that fork":             {state.NewProof(second, other), state.Forked},
		"one continues the other":   {state.NewProof(first, second), state.RefusedProof},
		"twice the same":            {state.NewProof(second, second), state.RefusedProof},
		"of two authors":            {state.NewProof(second, layer(2, "root/a", nil, 1)), state.RefusedProof},
		"of two directories":        {state.NewProof(second, layer(1, "root/b", nil, 1)), state.RefusedProof},
		"one is forged":             {state.NewProof(second, &forged), state.RefusedProof},
		"none":                      {nil, state.RefusedProof},
		"one for another directory": {state.NewProof(layer(1, "root/b", nil, 1), layer(1, "root/b", nil, 2)), state.RefusedProof},
	} {
		liar := newReplica(t, blocks)
		s := state.Open(blocks, cid.Undef)
		slot := first.Slot()
		if err := s.Set(ctx, slot, state.Value{Fork: &state.Fork{Directory: *first.Directory, Owner: first.Owner}}); err != nil {
			t.Fatal(err)
		}
		liar.commit(s, nil)
		if test.proof != nil {
			m := merkle.NewMap(blocks, merkle.Split(reference.DirectoryKeySize), cid.Undef)
			data, err := test.proof.Encode()
			if err != nil {
				t.Fatal(err)
			}
			liar.must(m.Set(ctx, slot.Key(), data))
			liar.proofs, err = m.Flush(ctx, blocks)
			liar.must(err)
		}
		r := newReplica(t, blocks)
		r.offer(second)
		before := r.root
		changes := r.merge(liar)
		if len(changes) != 1 || changes[0].Outcome != test.want {
			t.Errorf("%s: %+v, want %s", why, changes, test.want)
		}
		if test.want != state.Forked && !r.root.Equals(before) {
			t.Errorf("%s: the state has changed", why)
		}
	}
}

func FuzzDecode(f *testing.F) {
	blocks := store.NewOverlay(store.NewMemory())
	r, err := treetest.NewSigner(1).Layer(context.Background(), blocks, treetest.Shared("root/a"), nil, 1)
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range []any{
		state.Value{Reference: r},
		state.Value{Fork: &state.Fork{Directory: *r.Directory, Owner: r.Owner}},
	} {
		data, err := dagcbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, parts := range [][][]byte{nil, {{0xa0}, {0xa1}}} {
		proof := state.NewProof(r, r)
		proof.Blocks = parts
		data, err := proof.Encode()
		if err != nil {
			f.Fatal(err)
		}
		if _, err := state.DecodeProof(r.Slot(), data); err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := state.Decode(r.Slot(), data); err == nil {
			if again, err := dagcbor.Marshal(v); err != nil || !bytes.Equal(again, data) {
				t.Errorf("%x is read and written as %x, %v", data, again, err)
			}
		}
		if p, err := state.DecodeProof(r.Slot(), data); err == nil {
			if again, err := p.Encode(); err != nil || !bytes.Equal(again, data) {
				t.Errorf("%x is read and written as %x, %v", data, again, err)
			}
			_ = p.Verify(t.Context(), blocks)
		}
	})
}
