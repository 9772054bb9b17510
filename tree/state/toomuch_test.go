package state_test

import (
	"fmt"
	"testing"

	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree/reference"
	"archivecache/tree/state"
)

// TestRotationNamesTooMany offers a rotation that names more directories than an author may have.
func TestRotationNamesTooMany(t *testing.T) {
	blocks := store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	var last []*reference.Reference
	for i := range state.MaxDirectories + 1 {
		ref, err := owner.Layer(t.Context(), blocks, treetest.Shared(fmt.Sprint("root/", i)), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		last = append(last, ref)
	}
	r := newReplica(t, blocks)
	r.offer(last[0])
	before := r.root
	rotation, err := owner.Rotate(t.Context(), blocks, last...)
	if err != nil {
		t.Fatal(err)
	}
	if c := r.offerOnly(rotation); c.Outcome != state.RefusedForm || !r.root.Equals(before) {
		t.Errorf("%s: %v", c.Outcome, c.Err)
	}
}

// TestTooManyRotations rotates a key as often as it may be, and once more.
func TestTooManyRotations(t *testing.T) {
	blocks := store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	r := newReplica(t, blocks)
	n := 0
	for ; n <= reference.MaxRotations; n++ {
		if _, err := owner.Rotate(t.Context(), blocks); err != nil {
			break
		}
	}
	if n != reference.MaxRotations {
		t.Errorf("%d rotations, want %d", n, reference.MaxRotations)
	}
	ref, err := owner.Layer(t.Context(), blocks, treetest.Shared("root/a"), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := r.offer(ref); c[len(c)-1].Outcome != state.New {
		t.Errorf("after all of them: %+v", c)
	}
	ref.Epoch++
	if err := ref.Check(); err == nil {
		t.Error("an epoch more is not refused")
	}
}
