package exchange_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"archivecache/exchange"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
)

// blocksOf returns the blocks of a CAR.
func blocksOf(t testing.TB, data []byte) (blocks []store.Block) {
	t.Helper()
	r, err := car.NewBlockReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, err := r.Next()
		if err == io.EOF {
			return blocks
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, store.Block{Cid: b.Cid(), Data: b.RawData()})
	}
}

// carOf returns the CAR of blocks.
func carOf(t testing.TB, roots []cid.Cid, blocks ...store.Block) []byte {
	t.Helper()
	data := header(t, roots...)
	for _, b := range blocks {
		data = append(data, section(b.Cid, b.Data)...)
	}
	return data
}

// TestImportUnasked puts blocks that nobody asked for into a CAR, in any order: the others come in alone.
func TestImportUnasked(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	from := store.NewMemory()
	root := makeTree(t, from, 3, 10, text)
	wanted := blocksOf(t, export(t, from, root))
	junk := storetest.Blocks(60, 2000, 40)
	reversed := slices.Clone(wanted)
	slices.Reverse(reversed)
	random := slices.Concat(wanted, junk)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(random), func(i, j int) { random[i], random[j] = random[j], random[i] })
	for order, blocks := range map[string][]store.Block{
		"in order": wanted, "leaves first": reversed, "junk first": slices.Concat(junk, wanted),
		"junk last": slices.Concat(wanted, junk), "at random": random, "twice": slices.Concat(random, reversed, junk),
	} {
		st := store.NewMemory()
		got, err := exchange.ImportCAR(t.Context(), bytes.NewReader(carOf(t, []cid.Cid{root}, blocks...)), st, exchange.CarLimits{})
		unasked := int64(len(junk))
		if len(blocks) == len(wanted) {
			unasked = 0
		}
		if err != nil || got.Blocks != int64(len(wanted)) || got.New != got.Blocks || got.Unasked != unasked || got.MissingCount != 0 {
			t.Errorf("%s: %+v, %v", order, got, err)
		}
		storetest.Want(t, st, wanted...)
		if st.Len() != len(wanted) {
			t.Errorf("%s: %d blocks in the store, of %d", order, st.Len(), len(wanted))
		}
	}
	all, err := exchange.ImportCAR(t.Context(), bytes.NewReader(carOf(t, nil, random...)), store.NewMemory(), exchange.CarLimits{All: true})
	if err != nil || all.Blocks != int64(len(random)) || all.Unasked != 0 {
		t.Errorf("all: %+v, %v", all, err)
	}
	none, err := exchange.ImportCAR(t.Context(), bytes.NewReader(carOf(t, nil, random...)), store.NewMemory(), exchange.CarLimits{})
	if err != nil || none.Blocks != 0 || none.Unasked != int64(len(random)) {
		t.Errorf("without roots: %+v, %v", none, err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left in the folder for temporary files: %v, %v", left, err)
	}
}

// TestImportAside is about what may come before it is linked.
func TestImportAside(t *testing.T) {
	junk := storetest.Blocks(61, 100, 1000)
	data := carOf(t, []cid.Cid{junk[0].Cid}, junk...)
	st := store.NewMemory()
	if _, err := exchange.ImportCAR(t.Context(), bytes.NewReader(data), st, exchange.CarLimits{MaxAside: 50_000}); !errors.Is(err, exchange.ErrBudget) || st.Len() != 0 {
		t.Errorf("%v, %d blocks", err, st.Len())
	}
	t.Setenv("TMPDIR", "/nowhere")
	if _, err := exchange.ImportCAR(t.Context(), bytes.NewReader(data), st, exchange.CarLimits{}); !errors.Is(err, os.ErrNotExist) || st.Len() != 0 {
		t.Errorf("nowhere to keep them: %v, %d blocks", err, st.Len())
	}
}

// TestImportMissing leaves blocks out of a CAR: they are named, unless they are here.
func TestImportMissing(t *testing.T) {
	from := store.NewMemory()
	root := makeTree(t, from, 3, 10, text)
	all := blocksOf(t, export(t, from, root))
	leaves := slices.DeleteFunc(slices.Clone(all), func(b store.Block) bool { return b.Cid.Type() != cid.Raw })
	rest := slices.DeleteFunc(slices.Clone(all), func(b store.Block) bool { return b.Cid.Type() == cid.Raw })
	st := store.NewMemory()
	got, err := exchange.ImportCAR(t.Context(), bytes.NewReader(carOf(t, []cid.Cid{root}, rest...)), st, exchange.CarLimits{})
	if err != nil || got.MissingCount != int64(len(leaves)) || len(got.Missing) != 20 || got.Blocks != int64(len(rest)) {
		t.Errorf("%+v, %v, want %d missing", got, err, len(leaves))
	}
	for _, c := range got.Missing {
		if !slices.ContainsFunc(leaves, func(b store.Block) bool { return b.Cid.Equals(c) }) {
			t.Errorf("%s is missing, and no leaf", c)
		}
	}
	storetest.Put(t, st, leaves[1:]...)
	got, err = exchange.ImportCAR(t.Context(), bytes.NewReader(carOf(t, []cid.Cid{root}, rest...)), st, exchange.CarLimits{})
	if err != nil || fmt.Sprint(got.Missing) != fmt.Sprint([]cid.Cid{leaves[0].Cid}) {
		t.Errorf("%v, %v, want %s", got.Missing, err, leaves[0].Cid)
	}
	got, err = exchange.ImportCAR(t.Context(), bytes.NewReader(carOf(t, []cid.Cid{leaves[0].Cid})), store.NewMemory(), exchange.CarLimits{})
	if err != nil || got.MissingCount != 1 {
		t.Errorf("nothing but a root: %+v, %v", got, err)
	}
}

// TestImportUnclear has a block whose links cannot be read: what it wants nobody knows, so all is taken.
func TestImportUnclear(t *testing.T) {
	junk := storetest.Blocks(62, 50, 40)
	root := store.NewBlock(cid.DagCBOR, []byte("not CBOR"))
	st := store.NewMemory()
	got, err := exchange.ImportCAR(t.Context(), bytes.NewReader(carOf(t, []cid.Cid{root.Cid}, append(junk, root)...)), st, exchange.CarLimits{})
	if err != nil || got.Blocks != 51 || got.Unasked != 0 || got.MissingCount != 0 || st.Len() != 51 {
		t.Errorf("%+v, %v", got, err)
	}
}
