package store_test

import (
	"errors"
	"testing"

	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

func TestMemory(t *testing.T) {
	storetest.Test(t, func(t *testing.T) store.Store { return store.NewMemory() })
}

func TestOverlay(t *testing.T) {
	base := store.NewMemory()
	below, above := storetest.Blocks(1, 3, 100), storetest.Blocks(2, 3, 50)
	storetest.Put(t, base, below...)
	o := store.NewOverlay(base)
	for _, b := range []store.Block{above[2], above[0], above[2], above[1]} {
		if err := o.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range append(below, above...) {
		if got, err := o.Get(t.Context(), b.Cid); err != nil || string(got) != string(b.Data) {
			t.Errorf("Get %s: %d bytes, %v", b.Cid, len(got), err)
		}
	}
	if _, err := o.Get(t.Context(), store.Sum(cid.Raw, nil)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what is in neither: %v", err)
	}
	pending := o.Pending()
	if len(pending) != 3 || o.Len() != 3 || o.Size() != 150 {
		t.Fatalf("%d pending, Len %d, Size %d", len(pending), o.Len(), o.Size())
	}
	for i, want := range []store.Block{above[2], above[0], above[1]} {
		if !pending[i].Cid.Equals(want.Cid) {
			t.Errorf("block %d of Pending is not the one put %d.", i, i+1)
		}
	}
	if base.Len() != 3 {
		t.Errorf("the base has %d blocks, want 3", base.Len())
	}
	if err := o.Put(t.Context(), storetest.Blocks(3, 1, store.MaxBlock+1)[0]); err == nil {
		t.Error("Put takes a block that no store takes")
	}
}
