package exchange

import (
	"context"
	"errors"
	"testing"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

// linking returns a dag-cbor block with links to others.
func linking(t *testing.T, to ...cid.Cid) store.Block {
	t.Helper()
	var links []dagcbor.Link
	for _, c := range to {
		links = append(links, dagcbor.Link{Cid: c})
	}
	data, err := dagcbor.Marshal(links)
	if err != nil {
		t.Fatal(err)
	}
	return store.NewBlock(cid.DagCBOR, data)
}

func wantLive(t *testing.T, l *Live, want bool, blocks ...store.Block) {
	t.Helper()
	for _, b := range blocks {
		if d, err := store.DigestOf(b.Cid); err != nil || l.Has(d) != want {
			t.Errorf("block %s: %t, and it should be %t: %v", b.Cid, !want, want, err)
		}
	}
}

// TestLive follows links, past what is missing, malformed, and of other codecs; what comes later is
// found with the next Add.
func TestLive(t *testing.T) {
	leaves := storetest.Blocks(1, 8, 100)
	missing := linking(t, leaves[2].Cid)
	broken := store.NewBlock(cid.DagCBOR, append(linking(t, leaves[3].Cid).Data, 0xff))
	foreign := store.NewBlock(cid.DagJSON, []byte(`{"a":1}`))
	under := linking(t, leaves[0].Cid, leaves[1].Cid, missing.Cid, broken.Cid)
	root := linking(t, under.Cid, leaves[4].Cid)
	m := store.NewMemory()
	storetest.Put(t, m, root, under, broken, leaves[0], leaves[2], leaves[3], leaves[4], leaves[5], foreign)
	var l Live
	if err := l.Add(t.Context(), m, []cid.Cid{root.Cid, foreign.Cid}); err != nil {
		t.Fatal(err)
	}
	wantLive(t, &l, true, root, under, broken, missing, foreign, leaves[0], leaves[1], leaves[3], leaves[4])
	wantLive(t, &l, false, leaves[2], leaves[5])
	storetest.Put(t, m, missing)
	if err := l.Add(t.Context(), m, []cid.Cid{leaves[6].Cid, cid.NewCidV0(leaves[7].Cid.Hash())}); err != nil {
		t.Fatal(err)
	}
	wantLive(t, &l, true, missing, leaves[2], leaves[6], leaves[7])
	wantLive(t, &l, false, leaves[5])
}

// damagedStore has a block that cannot be read.
type damagedStore struct {
	store.Getter
	cid cid.Cid
}

func (d damagedStore) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if c.Equals(d.cid) {
		return nil, &store.MismatchError{Cid: c}
	}
	return d.Getter.Get(ctx, c)
}

// TestLiveDamaged does not take what hangs from a damaged block for garbage.
func TestLiveDamaged(t *testing.T) {
	under := linking(t, storetest.Blocks(1, 1, 100)[0].Cid)
	root := linking(t, under.Cid)
	m := store.NewMemory()
	storetest.Put(t, m, root, under)
	err := new(Live).Add(t.Context(), damagedStore{m, under.Cid}, []cid.Cid{root.Cid})
	if mismatch := (*store.MismatchError)(nil); !errors.As(err, &mismatch) {
		t.Errorf("a damaged block: %v", err)
	}
}
