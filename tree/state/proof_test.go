package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"archivecache/dagcbor"
	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// fork returns the proof that s has forked a directory, with all that it takes, after some
// references that both sides continue.
func fork(t testing.TB, s *treetest.Signer, blocks *store.Overlay, at string, before int) *state.Proof {
	t.Helper()
	ctx := context.Background()
	layer := func(previous *reference.Reference, time uint64) *reference.Reference {
		r, err := s.Layer(ctx, blocks, treetest.Shared(at), previous, time)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var last *reference.Reference
	for i := range before {
		last = layer(last, uint64(i))
	}
	p, err := state.Prove(ctx, blocks, layer(last, 1000), layer(layer(last, 1001), 1002))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rotated returns a signer who has rotated n times.
func rotated(t testing.TB, blocks *store.Overlay, n int) *treetest.Signer {
	t.Helper()
	s := treetest.NewSigner(1)
	for range n {
		if _, err := s.Rotate(context.Background(), blocks); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// padded returns p with a block that it does not take, up to a size.
func padded(p *state.Proof, size int) *state.Proof {
	with := &state.Proof{A: p.A, B: p.B, Blocks: append([][]byte{}, p.Blocks...)}
	with.Blocks = append(with.Blocks, bytes.Repeat([]byte("junk"), (size-sizeOf(p))/4))
	return with
}

func sizeOf(p *state.Proof) int {
	n := 0
	for _, data := range p.Blocks {
		n += len(data)
	}
	return n
}

// TestGatherKeepsWhatItTakes leaves out one block after the other: every one is needed, and a proof
// that lacks one is one that cannot be read now, whichever of its references is the later one.
func TestGatherKeepsWhatItTakes(t *testing.T) {
	ctx := t.Context()
	for _, length := range []int{0, 1, 40, 1100} {
		blocks := store.NewOverlay(store.NewMemory())
		whole := fork(t, rotated(t, blocks, 2), blocks, "root/forum", length)
		again := padded(whole, state.MaxProofBytes)
		if err := again.Gather(ctx, store.NewMemory()); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%x", again.Blocks) != fmt.Sprintf("%x", whole.Blocks) {
			t.Errorf("%d before: %d blocks of a proof that takes %d", length, len(again.Blocks), len(whole.Blocks))
		}
		for i := range whole.Blocks {
			lacking := &state.Proof{A: whole.A, B: whole.B}
			lacking.Blocks = append(append(lacking.Blocks, whole.Blocks[:i]...), whole.Blocks[i+1:]...)
			if err := lacking.Verify(ctx, store.NewMemory()); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%d before, without block %d: %v", length, i, err)
			}
		}
	}
}

// TestLargeProofsArePublished puts proofs into one leaf that have together more than a block may have.
func TestLargeProofsArePublished(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	owner := rotated(t, blocks, 250)
	proofs := state.OpenProofs(blocks, cid.Undef)
	var all []*state.Proof
	size := 0
	deep := strings.Repeat("/"+strings.Repeat("x", path.MaxName), reference.MaxPath/(path.MaxName+1)-1)
	for i := range merkle.LeafSize {
		p := fork(t, owner, blocks, fmt.Sprint("root/d", i, deep), 0)
		if err := proofs.Add(ctx, p); err != nil {
			t.Fatal(err)
		}
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		size += len(data)
		all = append(all, p)
	}
	if size < store.MaxBlock {
		t.Fatalf("%d bytes of proofs are too few for this test", size)
	}
	published := store.NewOverlay(store.NewMemory())
	root, err := proofs.Flush(ctx, published)
	if err != nil {
		t.Fatal(err)
	}
	theirs := state.OpenProofs(published, root)
	for _, p := range all {
		got, err := theirs.Get(ctx, p.A.Slot())
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%x", got.Blocks) != fmt.Sprintf("%x", p.Blocks) {
			t.Errorf("%s: %d blocks are read, and %d were written", p.A.Path, len(got.Blocks), len(p.Blocks))
		}
	}
}

// TestProofsHaveOneSpelling reads maps of proofs that nobody writes.
func TestProofsHaveOneSpelling(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	small := fork(t, treetest.NewSigner(1), blocks, "root/forum", 0)
	encode := func(p *state.Proof) []byte {
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	link := func(codec uint64, data []byte) []byte {
		b := store.NewBlock(codec, data)
		if err := blocks.Put(ctx, b); err != nil {
			t.Fatal(err)
		}
		value, err := dagcbor.Marshal(dagcbor.Link{Cid: b.Cid})
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	nowhere, err := dagcbor.Marshal(dagcbor.Link{Cid: store.Sum(cid.DagCBOR, []byte("nobody has it"))})
	if err != nil {
		t.Fatal(err)
	}
	large := encode(padded(small, 2*state.MaxInlineProof))
	for why, test := range map[string]struct {
		value []byte
		want  error
	}{
		"a small one": {encode(small), nil},
		"a large one": {link(cid.DagCBOR, large), nil},
		"a large one that is not a block of its own": {large, state.ErrNoProof},
		"a small one that is a block of its own":     {link(cid.DagCBOR, encode(small)), state.ErrNoProof},
		"a raw block":                                {link(cid.Raw, large), state.ErrNoProof},
		"a link to a link":                           {link(cid.DagCBOR, link(cid.DagCBOR, large)), state.ErrNoProof},
		"junk in a large block":                      {link(cid.DagCBOR, make([]byte, 2*state.MaxInlineProof)), state.ErrNoProof},
		"more than a proof may have":                 {link(cid.DagCBOR, encode(padded(small, state.MaxProofBytes+8))), state.ErrNoProof},
		"one that is missing":                        {nowhere, store.ErrNotFound},
	} {
		m := merkle.NewMap(blocks, merkle.Split(reference.DirectoryKeySize), cid.Undef)
		if err := m.Set(ctx, small.A.Slot().Key(), test.value); err != nil {
			t.Fatal(err)
		}
		root, err := m.Flush(ctx, blocks)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := state.OpenProofs(blocks, root).Get(ctx, small.A.Slot()); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", why, err, test.want)
		}
	}
}

// branches returns the last rotations of two branches of an identity that part at its n-th rotation.
func branches(t testing.TB, blocks *store.Overlay, n, long, short int) (a, b *reference.Reference) {
	t.Helper()
	s := rotated(t, blocks, n)
	other := *s
	rotate := func(s *treetest.Signer, times int, time uint64) (last *reference.Reference) {
		named, err := s.Layer(t.Context(), blocks, treetest.Shared("root/forum"), nil, time)
		if err == nil {
			last, err = s.Rotate(t.Context(), blocks, named)
		}
		for i := 1; i < times && err == nil; i++ {
			last, err = s.Rotate(t.Context(), blocks)
		}
		if err != nil {
			t.Fatal(err)
		}
		return last
	}
	return rotate(s, long, 1), rotate(&other, short, 2)
}

// TestLongBranches forks identities that go on rotating: the proof is one that anybody can check,
// whichever branch came first.
func TestLongBranches(t *testing.T) {
	ctx := t.Context()
	for _, test := range [][3]int{{0, 170, 170}, {0, 250, 250}, {240, 10, 1}, {0, 250, 1}, {3, 1, 1}} {
		blocks := store.NewOverlay(store.NewMemory())
		a, b := branches(t, blocks, test[0], test[1], test[2])
		first, second := newReplica(t, blocks), newReplica(t, blocks)
		first.offer(a)
		second.offer(b)
		for order, changes := range map[string][]state.Change{"the long one first": first.offer(b), "the short one first": second.offer(a)} {
			c := changes[len(changes)-1]
			for i := range changes {
				if changes[i].Slot == a.Slot() {
					c = changes[i]
				}
			}
			if c.Outcome != state.Forked || c.Proof == nil {
				t.Fatalf("%v, %s: %+v", test, order, c)
			}
			if p := c.Proof; p.A.Epoch != uint64(test[0]) || p.B.Epoch != p.A.Epoch {
				t.Errorf("%v, %s: proven by rotations of the keys %d and %d", test, order, p.A.Epoch, p.B.Epoch)
			}
			elsewhere := newReplica(t, store.NewOverlay(store.NewMemory()))
			got, err := state.Open(elsewhere.blocks, cid.Undef).OfferFork(ctx, elsewhere.rules(), c.Proof)
			if err != nil || len(got) != 1 || got[0].Outcome != state.Forked {
				t.Errorf("%v, %s, on a third machine: %+v, %v", test, order, got, err)
			}
		}
		if !first.root.Equals(second.root) {
			t.Errorf("%v: the states differ", test)
		}
	}
}

// TestProofCountsForItself reports two forks of one author at once, of which one has the blocks that
// the other one lacks: what becomes of it is the same as alone, whatever came first.
func TestProofCountsForItself(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	firsts := func(at string) *state.Proof { // takes the identity document alone
		var sides []*reference.Reference
		for i := range uint64(2) {
			r, err := treetest.NewSigner(1).Layer(ctx, blocks, treetest.Shared(at), nil, i)
			if err != nil {
				t.Fatal(err)
			}
			sides = append(sides, r)
		}
		p, err := state.Prove(ctx, blocks, sides[0], sides[1])
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := firsts("root/a"), firsts("root/b")
	bare := func(p *state.Proof) *state.Proof { return state.NewProof(p.A, p.B) }
	for why, reported := range map[string][2]*state.Proof{"a whole": {a, bare(b)}, "b whole": {b, bare(a)}} {
		liar := newReplica(t, store.NewOverlay(store.NewMemory()))
		theirs, proofs := state.Open(liar.blocks, cid.Undef), state.OpenProofs(liar.blocks, cid.Undef)
		for _, p := range reported {
			liar.must(theirs.Set(ctx, p.A.Slot(), state.Value{Fork: &state.Fork{Directory: *p.A.Directory, Owner: p.A.Owner}}))
			liar.must(proofs.Add(ctx, p))
		}
		var err error
		liar.root, err = theirs.Flush(ctx, liar.blocks)
		liar.must(err)
		liar.proofs, err = proofs.Flush(ctx, liar.blocks)
		liar.must(err)
		r := newReplica(t, liar.blocks)
		outcomes := map[reference.Slot]state.Outcome{}
		for _, c := range r.merge(liar) {
			outcomes[c.Slot] = c.Outcome
		}
		if outcomes[reported[0].A.Slot()] != state.Forked || outcomes[reported[1].A.Slot()] != state.Incomplete {
			t.Errorf("%s: %v", why, outcomes)
		}
	}
}
