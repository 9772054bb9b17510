package state

import (
	"context"
	"fmt"
	"testing"

	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// kept returns how many bytes of proofs j holds.
func kept(j *joiner) int {
	n, seen := int(j.carried.Size()), map[*byte]bool{}
	for _, c := range j.changes {
		if c.Proof == nil {
			continue
		}
		for _, data := range c.Proof.Blocks {
			if len(data) > 0 && !seen[&data[0]] {
				seen[&data[0]] = true
				n += len(data)
			}
		}
	}
	return n
}

// TestBytesKeptOfProofs reports forks with proofs of 1 MiB each, good ones and bad ones, and forks of
// an author with very many rotations.
func TestBytesKeptOfProofs(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	j := Open(blocks, cid.Undef).newJoiner(Rules{
		Accepts: func(cid.Cid) bool { return true }, Blocks: store.NewMemory(),
		Mark: func(context.Context, reference.Slot) (Mark, error) { return Mark{}, nil },
	})
	young, old := treetest.NewSigner(1), treetest.NewSigner(2)
	for range 250 {
		if _, err := old.Rotate(ctx, blocks); err != nil {
			t.Fatal(err)
		}
	}
	offer := func(s *treetest.Signer, at string, bad bool) {
		var sides [2]*reference.Reference
		for i := range sides {
			var err error
			if sides[i], err = s.Layer(ctx, blocks, treetest.Shared(at), nil, uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		p := NewProof(sides[0], sides[1])
		if err := p.Gather(ctx, blocks); err != nil {
			t.Fatal(err)
		}
		for size := 0; size < MaxProofBytes*3/4; size += 1 << 18 {
			p.Blocks = append(p.Blocks, fmt.Appendf(make([]byte, 1<<18-100), "%s %d", at, size))
		}
		if bad {
			p.B = p.A
		}
		if err := j.offerFork(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	const n = 10
	for i := range n {
		offer(young, fmt.Sprint("root/good", i), false)
		offer(young, fmt.Sprint("root/bad", i), true)
		offer(old, fmt.Sprint("root/old", i), false)
	}
	forked := 0
	for _, c := range j.changes {
		if c.Outcome == Forked {
			forked++
		}
	}
	// Two identity documents, and each rotation once in the proofs and at most once for the state.
	if got := kept(j); forked != 2*n || got > 2*250*1024 {
		t.Errorf("%d forks, and %d bytes are kept of their proofs", forked, got)
	}
}

// TestBytesKeptOfTheirMap looks up a proof in each of many leaves that are full of junk.
func TestBytesKeptOfTheirMap(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	theirs := OpenProofs(blocks, cid.Undef)
	var slots []reference.Slot
	junk := append([]byte{0x5a, 0, 1, 0xe0, 0}, make([]byte, 120<<10)...) // bytes
	for i := range 300 {
		slot := reference.NodeSlot(store.Sum(cid.DagCBOR, fmt.Append(nil, i)))
		slots = append(slots, slot)
		if err := theirs.m.Set(ctx, slot.Key(), junk); err != nil {
			t.Fatal(err)
		}
	}
	root, err := theirs.Flush(ctx, blocks)
	if err != nil {
		t.Fatal(err)
	}
	theirs = OpenProofs(blocks, root)
	for _, slot := range slots {
		if _, err := theirs.Get(ctx, slot); err == nil {
			t.Fatal("junk is a proof")
		}
		if theirs.reader.read > maxProofsRead+store.MaxBlock+1<<16 {
			t.Fatalf("%d bytes are kept", theirs.reader.read)
		}
	}
}
