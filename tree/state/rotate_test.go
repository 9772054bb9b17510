package state_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"archivecache/dagcbor"
	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// A copy of an identity's keys: the author's own, or one that a thief has.
type keyholder struct {
	*treetest.Signer
	known map[reference.Slot]*reference.Reference // the newest of each slot that it continues
}

func (k *keyholder) stolen() *keyholder {
	s := *k.Signer
	return &keyholder{&s, maps.Clone(k.known)}
}

// drawRotating returns references of two authors whose keys rotate, with what is signed by those
// who have copies of old keys.
func drawRotating(t *rapid.T, blocks *store.Overlay) []*reference.Reference {
	ctx := context.Background()
	var all []*reference.Reference
	var holders []*keyholder
	for n := range 2 {
		holders = append(holders, &keyholder{treetest.NewSigner(byte(n + 1)), map[reference.Slot]*reference.Reference{}})
	}
	for i := range rapid.IntRange(1, 20).Draw(t, "steps") {
		k := rapid.SampledFrom(holders).Draw(t, "who")
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0:
			holders = append(holders, k.stolen())
		case 1, 2:
			if k.Epoch() > 2 {
				continue
			}
			if rapid.Bool().Draw(t, "forget") { // does not count any more
				for slot := range k.known {
					delete(k.known, slot)
					break
				}
			}
			last := slices.SortedFunc(maps.Values(k.known), func(a, b *reference.Reference) int { return slices.Compare(a.Signature, b.Signature) })
			r, err := k.Rotate(ctx, blocks, last...)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		default:
			f := treetest.Shared("root/" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "directory"))
			slot := reference.Slot{Directory: f.ID(), Author: k.ID()}
			r, err := k.Layer(ctx, blocks, f, k.known[slot], uint64(i))
			if err != nil {
				t.Fatal(err)
			}
			k.known[slot] = r
			all = append(all, r)
		}
	}
	return all
}

// expectRotated returns the state that follows from all references by the rules, read naively.
func expectRotated(t *rapid.T, blocks *store.Overlay, all []*reference.Reference) cid.Cid {
	ctx := context.Background()
	s := state.Open(blocks, cid.Undef)
	set := func(slot reference.Slot, v state.Value) {
		if err := s.Set(ctx, slot, v); err != nil {
			t.Fatal(err)
		}
	}
	byAuthor := map[cid.Cid][]*reference.Reference{}
	for _, r := range all {
		byAuthor[r.Owner.Cid] = append(byAuthor[r.Owner.Cid], r)
	}
	for author, refs := range byAuthor {
		rotations := map[uint64][]*reference.Reference{} // by epoch, those that differ
		epoch, forked := uint64(0), false
		for _, r := range refs {
			if r.Policy == reference.RotationPolicy {
				same := func(o *reference.Reference) bool { return slices.Equal(o.NextSignature, r.NextSignature) }
				if !slices.ContainsFunc(rotations[r.Epoch], same) {
					rotations[r.Epoch] = append(rotations[r.Epoch], r)
				}
				epoch = max(epoch, r.Epoch+1)
				forked = forked || len(rotations[r.Epoch]) > 1
			}
		}
		if forked {
			r := rotations[0]
			for e := uint64(0); len(r) < 1; e++ {
				r = rotations[e]
			}
			set(reference.RotationSlot(author), state.Value{Fork: &state.Fork{Directory: r[0].Founding(), Owner: r[0].Owner}})
			continue
		}
		values := map[reference.Slot]state.Value{}
		if epoch > 0 {
			rotation := rotations[epoch-1][0]
			set(rotation.Slot(), state.Value{Reference: rotation})
			err := rotation.EachLast(ctx, blocks, func(r *reference.Last) error {
				values[r.Slot()] = state.Value{Reference: r.Reference}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range refs {
			if r.Policy == reference.RotationPolicy || r.Epoch != epoch {
				continue
			}
			slot := r.Slot()
			old := values[slot]
			switch {
			case old.Fork != nil:
			case old.Reference == nil || old.Reference.Epoch < epoch:
				values[slot] = state.Value{Reference: r}
			default:
				order, err := reference.Compare(ctx, blocks, old.Reference, r)
				if err != nil {
					t.Fatal(err)
				}
				switch order {
				case reference.Newer:
					values[slot] = state.Value{Reference: r}
				case reference.Forked:
					values[slot] = state.Value{Fork: &state.Fork{Directory: *r.Directory, Owner: r.Owner, Epoch: epoch}}
				}
			}
		}
		for slot, v := range values {
			set(slot, v)
		}
	}
	c, err := s.Flush(ctx, blocks)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scale sets how much rapid does by ARCHIVECACHE_LAWS and ARCHIVECACHE_LAWS_SEED, as for the laws
// of package tree.
func scale(t *testing.T) {
	for name, variable := range map[string]string{"rapid.checks": "ARCHIVECACHE_LAWS", "rapid.seed": "ARCHIVECACHE_LAWS_SEED"} {
		value, before := os.Getenv(variable), flag.Lookup(name).Value.String()
		if value == "" || name == "rapid.seed" && before != "0" {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
		t.Cleanup(func() { _ = flag.Set(name, before) })
	}
}

// TestRotationsConverge delivers references of identities whose keys rotate, and of thieves with
// old keys, in any order, with undos between, and once more in the end: all replicas end with the
// state that the rules say. How often is said by ARCHIVECACHE_LAWS.
func TestRotationsConverge(t *testing.T) {
	scale(t)
	rapid.Check(t, func(t *rapid.T) {
		blocks := store.NewOverlay(store.NewMemory())
		all := drawRotating(t, blocks)
		want := expectRotated(t, blocks, all)
		replicas := []*replica{newReplica(t, blocks), newReplica(t, blocks)}
		for _, r := range replicas {
			r.offer() // an empty state is one as well
			past := []cid.Cid{r.root}
			for _, ref := range rapid.Permutation(all).Draw(t, "order") {
				r.offer(ref)
				switch rapid.IntRange(0, 11).Draw(t, "merge") {
				case 0, 1:
					r.merge(rapid.SampledFrom(replicas).Draw(t, "from"))
				case 2: // an undo: marks stay
					r.root = rapid.SampledFrom(past).Draw(t, "undo")
				}
				past = append(past, r.root)
			}
			for _, ref := range rapid.Permutation(all).Draw(t, "order after undos") {
				r.offer(ref)
			}
		}
		for i, r := range replicas {
			if !r.root.Equals(want) {
				t.Fatalf("replica %d: %s, and the rules say %s", i, describe(r), describeState(r, want))
			}
			if c := r.merge(replicas[1-i]); slices.ContainsFunc(c, changed) {
				t.Fatalf("merged again, and it changed: %+v", c)
			}
		}
	})
}

func describe(r *replica) map[string]string { return describeState(r, r.root) }

func describeState(r *replica, root cid.Cid) map[string]string {
	found := map[string]string{}
	err := state.Open(r.blocks, root).Each(context.Background(), func(slot reference.Slot, v state.Value) error {
		name := slot.Author.String()[50:]
		switch {
		case v.Fork != nil:
			found[name+" "+v.Fork.Directory.Path] = "forked"
		default:
			found[name+" "+v.Reference.Founding().Path] = string(rune('0'+v.Reference.Epoch)) + "/" + string(rune('0'+v.Reference.Sequence))
		}
		return nil
	})
	r.must(err)
	return found
}

// TestOldKeyIsNothingWorth plays a theft: what the thief signed before the rotation and it does not
// name goes, and what they sign after it is refused.
func TestOldKeyIsNothingWorth(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	forum, other := treetest.Shared("root/forum"), treetest.Shared("root/other")
	owner := treetest.NewSigner(1)
	thief := *owner
	layer := func(s *treetest.Signer, f reference.Founding, previous *reference.Reference, time uint64) *reference.Reference {
		r, err := s.Layer(ctx, blocks, f, previous, time)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := layer(owner, forum, nil, 1)
	stolen := layer(&thief, forum, first, 2)
	elsewhere := layer(&thief, other, nil, 3)
	r := newReplica(t, blocks)
	r.offer(first, stolen, elsewhere)
	rotation, err := owner.Rotate(ctx, blocks, first)
	if err != nil {
		t.Fatal(err)
	}
	changes := r.offer(rotation)
	outcomes := map[state.Outcome]int{}
	for _, c := range changes {
		outcomes[c.Outcome]++
	}
	if outcomes[state.New] != 1 || outcomes[state.Newer] != 1 || outcomes[state.Revoked] != 1 {
		t.Errorf("the rotation did %v", outcomes)
	}
	if v := r.get(first.Slot()); v.Reference == nil || v.Reference.Sequence != 1 {
		t.Errorf("after the rotation the slot holds %+v", v)
	}
	for why, ref := range map[string]*reference.Reference{"known": stolen, "another slot": elsewhere, "new": layer(&thief, forum, stolen, 4)} {
		if c := r.offerOnly(ref); c.Outcome != state.RefusedKey || !errors.Is(c.Err, reference.ErrOldKey) {
			t.Errorf("%s: %+v", why, c)
		}
	}
	next := layer(owner, forum, first, 5)
	if c := r.offer(next); c[len(c)-1].Outcome != state.Newer {
		t.Errorf("with the new key: %+v", c)
	}
	// Without the new key no rotation: the thief cannot make another one of it.
	forged := *rotation
	forged.Last = nil
	if err := forged.Sign(&thief, thief.Chain); err != nil {
		t.Fatal(err)
	}
	if c := r.offerOnly(&forged); c.Outcome != state.RefusedSignature {
		t.Errorf("a rotation that only the old key has signed: %+v", c)
	}
	// Nor does a key of their own help, with both signatures: the owner has committed to another
	// one.
	mine := treetest.NewSigner(9)
	forged.NextKey = mine.Public()
	if err := errors.Join(forged.Sign(&thief, thief.Chain), forged.SignNext(mine)); err != nil {
		t.Fatal(err)
	}
	if c := r.offerOnly(&forged); c.Outcome != state.RefusedSignature || !errors.Is(c.Err, reference.ErrUnknownKey) {
		t.Errorf("a rotation to a key of the thief: %+v", c)
	}
	// What does not continue the reference that the rotation names is refused by everyone.
	astray := layer(owner, forum, nil, 6)
	if c := r.offerOnly(astray); c.Outcome != state.RefusedForm {
		t.Errorf("a reference that goes on from nothing: %+v", c)
	}
}

// TestLastComesLater has a rotation name a reference whose content cannot be had when the rotation
// comes, so that the slot keeps what it held, or nothing. It has to come in later.
func TestLastComesLater(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	var refs []*reference.Reference
	for i := range 2 {
		var previous *reference.Reference
		if i > 0 {
			previous = refs[i-1]
		}
		ref, err := owner.Layer(ctx, blocks, treetest.Shared("root/forum"), previous, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	rotation, err := owner.Rotate(ctx, blocks, refs[1])
	if err != nil {
		t.Fatal(err)
	}
	for why, kept := range map[string]*reference.Reference{"an older one": refs[0], "nothing": nil} {
		r := newReplica(t, blocks)
		slot := refs[0].Slot()
		if kept != nil {
			r.offer(kept)
		}
		s := state.Open(blocks, r.root)
		_, err := s.Offer(ctx, r.rules(), rotation)
		r.must(err)
		if kept == nil {
			r.must(s.Remove(ctx, slot))
		} else {
			r.must(s.Set(ctx, slot, state.Value{Reference: kept}))
		}
		r.root, err = s.Flush(ctx, blocks)
		r.must(err)
		c := r.offer(refs[1])
		if held := r.get(slot).Reference; !c[0].Outcome.Changes() || held == nil || held.Sequence != 2 {
			t.Errorf("the slot held %s, and what the rotation names is offered: %s, and it holds %+v", why, c[0].Outcome, held)
		}
		if c := r.offerOnly(refs[1]); c.Outcome != state.Same {
			t.Errorf("the slot held %s, and what the rotation names is offered twice: %s", why, c.Outcome)
		}
		if c := r.offerOnly(refs[0]); c.Outcome != state.Stale {
			t.Errorf("the slot held %s, and an older one is offered in the end: %s", why, c.Outcome)
		}
	}
}

// TestRotationWithoutLast offers two rotations of one key, one of which names what cannot be
// read: it is never put into effect, and whichever comes first, the two are a fork.
func TestRotationWithoutLast(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	before := *owner
	good, err := owner.Rotate(ctx, blocks)
	if err != nil {
		t.Fatal(err)
	}
	lacking := *good
	lacking.Last = dagcbor.LinkTo(store.Sum(cid.DagCBOR, []byte("nobody has it")))
	if err := errors.Join(lacking.Sign(&before, before.Chain), lacking.SignNext(owner)); err != nil {
		t.Fatal(err)
	}
	first, second := newReplica(t, blocks), newReplica(t, blocks)
	if c := first.offer(&lacking); c[0].Outcome != state.Incomplete {
		t.Errorf("what a rotation names is missing: %+v", c)
	}
	first.marks[good.Slot()] = state.Mark{Reference: &lacking} // as a merge remembers it
	second.offer(good)
	for order, c := range map[string][]state.Change{"the good one second": first.offer(good), "the good one first": second.offer(&lacking)} {
		if c[0].Outcome != state.Forked {
			t.Errorf("%s: %+v", order, c)
		}
	}
	if !first.root.Equals(second.root) {
		t.Error("the states differ")
	}
}

// TestForkAfterManyRotations has the proof of a fork carry all rotations of its author.
func TestForkAfterManyRotations(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	for range 100 {
		if _, err := owner.Rotate(ctx, blocks); err != nil {
			t.Fatal(err)
		}
	}
	r := newReplica(t, blocks)
	for time := range uint64(2) {
		ref, err := owner.Layer(ctx, blocks, treetest.Shared("root/forum"), nil, time)
		if err != nil {
			t.Fatal(err)
		}
		c := r.offer(ref)
		if time == 0 {
			continue
		}
		last := c[len(c)-1]
		if last.Outcome != state.Forked {
			t.Fatalf("%+v", last)
		}
		data, err := last.Proof.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := state.DecodeProof(last.Slot, data)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Verify(ctx, store.NewMemory()); err != nil {
			t.Errorf("read again, with nothing else: %v", err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keepRotations records the rotations that changes tell of, in effect or not, as a merge does.
func (r *replica) keepRotations(changes []state.Change) {
	for _, c := range changes {
		if c.Offered != nil && c.Offered.Policy == reference.RotationPolicy && c.Offered.After(r.marks[c.Slot].Reference) {
			r.marks[c.Slot] = state.Mark{Reference: c.Offered}
		}
	}
}

// wantForked checks that the identity of author is forked, and that nothing of it counts.
func (r *replica) wantForked(author cid.Cid) {
	r.Helper()
	if v := r.get(reference.RotationSlot(author)); v.Fork == nil {
		r.Fatalf("the identity is not forked: %v", describe(r))
	}
	if all := describe(r); len(all) != 1 {
		r.Fatalf("something of a forked identity counts: %v", all)
	}
}

// TestRotationNamesOtherKeys rotates twice, and names what is signed under another rotation of the
// first key: who sees the rotation alone must not hold what makes the identity forked for others.
func TestRotationNamesOtherKeys(t *testing.T) {
	ctx, blocks := t.Context(), store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	other := *owner
	named, err := owner.Layer(ctx, blocks, treetest.Shared("root/x"), nil, 1)
	must(t, err)
	_, err = owner.Rotate(ctx, blocks, named)
	must(t, err)
	_, err = other.Rotate(ctx, blocks)
	must(t, err)
	ref, err := other.Layer(ctx, blocks, treetest.Shared("root/forum"), nil, 1)
	must(t, err)
	second, err := owner.Rotate(ctx, blocks, ref)
	must(t, err)
	alone, both := newReplica(t, blocks), newReplica(t, blocks)
	if changes := alone.offer(second); len(changes) != 1 || changes[0].Outcome != state.RefusedForm {
		t.Errorf("alone: %+v, want that it is refused", changes)
	}
	both.keepRotations(both.offer(second))
	both.offer(ref)
	both.wantForked(owner.ID())
	alone.keepRotations(alone.offer(second))
	alone.offer(ref)
	if !alone.root.Equals(both.root) {
		t.Error("they have seen the same, and do not hold the same")
	}
}

// TestMalformedRotationIsLearnt sees a rotation that names a reference with a wrong signature, by
// what is signed under it, before and after another rotation of the key.
func TestMalformedRotationIsLearnt(t *testing.T) {
	ctx, blocks := t.Context(), store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	bad, err := owner.Layer(ctx, blocks, treetest.Shared("root/other"), nil, 1)
	must(t, err)
	bad.Time = 99
	thief := *owner
	good, err := owner.Rotate(ctx, blocks)
	must(t, err)
	malformed, err := thief.Rotate(ctx, blocks, bad)
	must(t, err)
	ref, err := thief.Layer(ctx, blocks, treetest.Shared("root/forum"), nil, 1)
	must(t, err)
	for _, order := range [][]*reference.Reference{{ref, good}, {good, ref}, {malformed, good}, {good, malformed}} {
		r := newReplica(t, blocks)
		for _, next := range order {
			r.keepRotations(r.offer(next))
		}
		r.wantForked(owner.ID())
	}
}

// TestForkOfIdentityIsRecalled knows of the fork of an identity by its mark alone, as after an
// undo.
func TestForkOfIdentityIsRecalled(t *testing.T) {
	ctx, blocks := t.Context(), store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	ref, err := owner.Layer(ctx, blocks, treetest.Shared("root/forum"), nil, 1)
	must(t, err)
	other := *owner
	rotation, err := owner.Rotate(ctx, blocks, ref)
	must(t, err)
	second, err := other.Rotate(ctx, blocks)
	must(t, err)
	for _, offered := range []*reference.Reference{ref, rotation, second} {
		r := newReplica(t, blocks)
		proofs := state.OpenProofs(blocks, cid.Undef)
		must(t, proofs.Add(ctx, state.NewProof(rotation, second)))
		r.proofs, err = proofs.Flush(ctx, blocks)
		must(t, err)
		r.marks[rotation.Slot()] = state.Mark{ForkedFrom: 1}
		r.offer(offered)
		r.wantForked(owner.ID())
	}
}

// TestRotationNotInEffect records a rotation that cannot be put into effect: the key before does
// not count any more, and an earlier rotation does.
func TestRotationNotInEffect(t *testing.T) {
	ctx, blocks := t.Context(), store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	thief := *owner
	first, err := owner.Rotate(ctx, blocks)
	must(t, err)
	before := *owner
	second, err := owner.Rotate(ctx, blocks)
	must(t, err)
	missing := *second
	missing.Last = dagcbor.LinkTo(store.Sum(cid.DagCBOR, []byte("nobody has it")))
	must(t, errors.Join(missing.Sign(&before, before.Chain), missing.SignNext(owner)))
	late, err := thief.Layer(ctx, blocks, treetest.Shared("root/forum"), nil, 1)
	must(t, err)
	r := newReplica(t, blocks)
	r.marks[second.Slot()] = state.Mark{Reference: &missing}
	if changes := r.offer(late); changes[len(changes)-1].Outcome != state.Incomplete {
		t.Errorf("of the old key: %+v, want incomplete", changes)
	}
	changes := r.offer(first)
	if last := changes[len(changes)-1]; last.Outcome != state.New || last.Offered != first {
		t.Errorf("the first rotation: %+v, want new", changes)
	}
	if changes := r.offer(late); changes[len(changes)-1].Outcome != state.RefusedKey {
		t.Errorf("of the old key, after the first rotation: %+v, want that it is refused", changes)
	}
}

// TestMalformedRotationStopsNobody sees what an author has signed before and after a rotation of
// theirs that names a reference with a wrong signature: it is never in effect.
func TestMalformedRotationStopsNobody(t *testing.T) {
	ctx, blocks := t.Context(), store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	ref, err := owner.Layer(ctx, blocks, treetest.Shared("root/forum"), nil, 1)
	must(t, err)
	bad, err := owner.Layer(ctx, blocks, treetest.Shared("root/other"), nil, 1)
	must(t, err)
	bad.Time = 99
	malformed, err := owner.Rotate(ctx, blocks, bad)
	must(t, err)
	before, after := newReplica(t, blocks), newReplica(t, blocks)
	for _, r := range []*reference.Reference{ref, malformed, ref} {
		before.keepRotations(before.offer(r))
	}
	for _, r := range []*reference.Reference{malformed, ref, malformed} {
		after.keepRotations(after.offer(r))
	}
	if !before.root.Equals(after.root) || len(describe(after)) != 1 {
		t.Errorf("before it %v, after it %v", describe(before), describe(after))
	}
}

// TestPendingRotationIsTriedOnce merges many references of an author whose rotation cannot be put
// into effect: it is looked at once, and not for each of them.
func TestPendingRotationIsTriedOnce(t *testing.T) {
	ctx, blocks := t.Context(), store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	sender, r := newReplica(t, blocks), newReplica(t, blocks)
	var refs []*reference.Reference
	for i := range 30 {
		ref, err := owner.Layer(ctx, blocks, treetest.Shared(fmt.Sprint("root/", i)), nil, 1)
		must(t, err)
		refs = append(refs, ref)
	}
	sender.offer(refs...)
	rotation, err := owner.Rotate(ctx, blocks, refs...)
	must(t, err)
	r.marks[rotation.Slot()] = state.Mark{Reference: rotation}
	rules, tries := r.rules(), 0
	rules.Present = func(_ context.Context, c cid.Cid) error {
		tries++
		return &store.MissingError{Cid: c}
	}
	changes, err := state.Open(blocks, r.root).Join(ctx, rules, sender.root, state.OpenProofs(blocks, cid.Undef))
	must(t, err)
	if tries != 1 || len(changes) != 31 {
		t.Errorf("tried %d times, %d changes; want once, and one for each reference and the rotation", tries, len(changes))
	}
}
