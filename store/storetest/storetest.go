// Package storetest is the suite that every [store.Store] passes.
package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"archivecache/store"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// Codecs of the blocks that are used.
const (
	raw     = cid.Raw
	dagCBOR = cid.DagCBOR
)

// Test runs the suite. open returns a new store that has nothing in it; the suite closes it.
func Test(t *testing.T, open func(t *testing.T) store.Store) {
	tests := map[string]func(*testing.T, store.Store){
		"empty store":        testEmpty,
		"get what was put":   testGet,
		"sizes":              testSizes,
		"one hash":           testOneHash,
		"identity":           testIdentity,
		"foreign hash":       testForeignHash,
		"oversize":           testOversize,
		"put twice":          testTwice,
		"writer used again":  testWriterAgain,
		"writer given up":    testGivenUp,
		"writer closed":      testClosedWriter,
		"big batch":          testBigBatch,
		"concurrent":         testConcurrent,
		"cancelled":          testCancelled,
		"has keeps order":    testHasOrder,
		"two writers at one": testTwoWriters,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			test(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// TestShared checks that two handles on one store see what the other has committed. open returns
// both, with nothing in the store; TestShared closes them.
func TestShared(t *testing.T, open func(t *testing.T) (a, b store.Store)) {
	a, b := open(t)
	for i, pair := range [][2]store.Store{{a, b}, {b, a}, {a, b}} {
		small, large := Blocks(uint64(100+i), 10, 200), Blocks(uint64(200+i), 3, 100_000)
		Put(t, pair[0], append(small, large...)...)
		Want(t, pair[1], append(small, large...)...)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// Blocks returns n raw blocks of size bytes each, the same for the same seed.
func Blocks(seed uint64, n, size int) []store.Block {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	random := rand.NewChaCha8(key)
	blocks := make([]store.Block, n)
	for i := range blocks {
		data := make([]byte, size)
		random.Read(data) // never fails
		blocks[i] = store.NewBlock(raw, data)
	}
	return blocks
}

// Put puts and commits blocks in one batch.
func Put(t testing.TB, s store.Store, blocks ...store.Block) {
	t.Helper()
	w := s.Writer()
	defer w.Close()
	for _, b := range blocks {
		if err := w.Put(context.Background(), b); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
	if err := w.Commit(context.Background()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// Want checks that every block is there, with its bytes.
func Want(t testing.TB, s store.Store, blocks ...store.Block) {
	t.Helper()
	cids := make([]cid.Cid, len(blocks))
	for i, b := range blocks {
		cids[i] = b.Cid
		got, err := s.Get(context.Background(), b.Cid)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		if !bytes.Equal(got, b.Data) {
			t.Fatalf("Get %s: %d other bytes, want %d", b.Cid, len(got), len(b.Data))
		}
	}
	has, err := s.Has(context.Background(), cids)
	if err != nil || len(has) != len(cids) {
		t.Fatalf("Has: %d answers to %d questions, %v", len(has), len(cids), err)
	}
	for i, ok := range has {
		if !ok {
			t.Fatalf("Has %s: no, but Get returns it", cids[i])
		}
	}
}

// wantMissing checks that none of the blocks is there.
func wantMissing(t *testing.T, s store.Store, blocks ...store.Block) {
	t.Helper()
	for _, b := range blocks {
		data, err := s.Get(t.Context(), b.Cid)
		var missing *store.MissingError
		if !errors.As(err, &missing) || !missing.Cid.Equals(b.Cid) || !errors.Is(err, store.ErrNotFound) || data != nil {
			t.Fatalf("Get of a missing block: %d bytes, %v", len(data), err)
		}
		if has, err := s.Has(t.Context(), []cid.Cid{b.Cid}); err != nil || len(has) != 1 || has[0] {
			t.Fatalf("Has of a missing block: %v, %v", has, err)
		}
	}
}

func testEmpty(t *testing.T, s store.Store) {
	wantMissing(t, s, Blocks(1, 3, 100)...)
	if has, err := s.Has(t.Context(), nil); err != nil || len(has) != 0 {
		t.Errorf("Has of nothing: %v, %v", has, err)
	}
	Put(t, s)
}

func testGet(t *testing.T, s store.Store) {
	blocks := Blocks(2, 20, 300)
	Put(t, s, blocks[:10]...)
	Want(t, s, blocks[:10]...)
	wantMissing(t, s, blocks[10:]...)
}

func testSizes(t *testing.T, s store.Store) {
	var blocks []store.Block
	for i, size := range []int{0, 1, 1023, 1024, 1025, 65535, 65536, 65537, 1 << 20, store.MaxBlock} {
		b := Blocks(uint64(10+i), 1, size)
		Put(t, s, b...) // each in a batch of its own
		blocks = append(blocks, b...)
	}
	Want(t, s, blocks...)
	for i, size := range []int{2, 1022, 1024, 65536, store.MaxBlock} {
		blocks = append(blocks, Blocks(uint64(30+i), 1, size)...)
	}
	Put(t, s, blocks...)
	Want(t, s, blocks...)
}

// testOneHash: the version and the codec of a CID do not matter, only the hash.
func testOneHash(t *testing.T, s store.Store) {
	data := []byte{0xa0}
	Put(t, s, store.NewBlock(dagCBOR, data))
	Want(t, s, store.NewBlock(raw, data), store.NewBlock(dagCBOR, data),
		store.Block{Cid: cid.NewCidV0(store.Sum(cid.DagProtobuf, data).Hash()), Data: data})
}

func identity(t *testing.T, data []byte) cid.Cid {
	hash, err := mh.Sum(data, mh.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(raw, hash)
}

func testIdentity(t *testing.T, s store.Store) {
	for _, size := range []int{0, 1, 127, store.MaxIdentity} {
		data := bytes.Repeat([]byte("i"), size)
		b := store.Block{Cid: identity(t, data), Data: data}
		Want(t, s, b) // without having been put
		Put(t, s, b)
	}
	long := store.Block{Cid: identity(t, make([]byte, store.MaxIdentity+1)), Data: make([]byte, store.MaxIdentity+1)}
	wrong := store.Block{Cid: identity(t, []byte("a")), Data: []byte("b")}
	w := s.Writer()
	defer w.Close()
	if err := w.Put(t.Context(), long); err == nil {
		t.Error("Put takes an identity CID that is too long")
	}
	if _, err := s.Get(t.Context(), long.Cid); err == nil {
		t.Error("Get answers an identity CID that is too long")
	}
	if err := w.Put(t.Context(), wrong); err == nil {
		t.Error("Put takes an identity CID with other bytes")
	}
}

func testForeignHash(t *testing.T, s store.Store) {
	hash, err := mh.Sum([]byte("x"), mh.SHA2_512, -1)
	if err != nil {
		t.Fatal(err)
	}
	c := cid.NewCidV1(raw, hash)
	if _, err := s.Get(t.Context(), c); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of a SHA-512 CID: %v", err)
	}
	if _, err := s.Has(t.Context(), []cid.Cid{c}); err == nil {
		t.Error("Has of a SHA-512 CID: no error")
	}
	w := s.Writer()
	defer w.Close()
	if err := w.Put(t.Context(), store.Block{Cid: c, Data: []byte("x")}); err == nil {
		t.Error("Put of a SHA-512 CID: no error")
	}
}

func testOversize(t *testing.T, s store.Store) {
	w := s.Writer()
	defer w.Close()
	big := Blocks(3, 1, store.MaxBlock+1)[0]
	if err := w.Put(t.Context(), big); err == nil {
		t.Errorf("Put takes %d bytes", len(big.Data))
	}
	fits := Blocks(4, 1, 10)[0]
	if err := errors.Join(w.Put(t.Context(), fits), w.Commit(t.Context())); err != nil {
		t.Errorf("after a refused block: %v", err)
	}
	Want(t, s, fits)
	wantMissing(t, s, big)
}

func testTwice(t *testing.T, s store.Store) {
	blocks := append(Blocks(5, 5, 100), Blocks(6, 5, 50_000)...)
	Put(t, s, append(blocks, blocks...)...)
	Put(t, s, blocks...)
	Want(t, s, blocks...)
}

func testWriterAgain(t *testing.T, s store.Store) {
	w := s.Writer()
	var all []store.Block
	for i := range 4 {
		blocks := append(Blocks(uint64(40+i), 3, 100), Blocks(uint64(50+i), 3, 60_000*(i%2)+2000)...)
		for _, b := range blocks {
			if err := w.Put(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, blocks...)
		Want(t, s, all...)
	}
	if err := errors.Join(w.Commit(t.Context()), w.Close(), w.Close()); err != nil {
		t.Errorf("empty Commit, Close, Close: %v", err)
	}
	Want(t, s, all...)
}

func testGivenUp(t *testing.T, s store.Store) {
	blocks := Blocks(7, 3, 100)
	w := s.Writer()
	for _, b := range blocks {
		if err := w.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, s, blocks...) // so few are in no store before Commit
	large := Blocks(8, 10, 100_000)
	w = s.Writer()
	for _, b := range large {
		if err := w.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	Put(t, s, large...)
	Want(t, s, large...)
}

func testClosedWriter(t *testing.T, s store.Store) {
	w := s.Writer()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Put(t.Context(), Blocks(9, 1, 10)[0]); err == nil {
		t.Error("Put after Close: no error")
	}
	if err := w.Commit(t.Context()); err == nil {
		t.Error("Commit after Close: no error")
	}
}

func testBigBatch(t *testing.T, s store.Store) {
	blocks := Blocks(11, 20_000, 40)
	blocks = append(blocks, Blocks(12, 500, 3000)...)
	blocks = append(blocks, Blocks(13, 12, 1<<20)...)
	Put(t, s, blocks...)
	Want(t, s, blocks...)
}

func testConcurrent(t *testing.T, s store.Store) {
	blocks := append(Blocks(14, 400, 500), Blocks(15, 100, 20_000)...)
	w := s.Writer()
	defer w.Close()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range blocks {
				b := blocks[(i+g*100)%len(blocks)]
				if err := w.Put(t.Context(), b); err != nil {
					t.Error(err)
				}
				if _, err := s.Get(t.Context(), b.Cid); err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
				if i%100 == 0 {
					if err := w.Commit(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	Want(t, s, blocks...)
}

func testCancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	b := Blocks(16, 1, 100)[0]
	w := s.Writer()
	defer w.Close()
	if err := w.Put(ctx, b); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := w.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v", err)
	}
	if _, err := s.Get(ctx, b.Cid); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.Has(ctx, []cid.Cid{b.Cid}); !errors.Is(err, context.Canceled) {
		t.Errorf("Has: %v", err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Errorf("Commit after one that was cancelled: %v", err)
	}
	Want(t, s, b)
}

func testHasOrder(t *testing.T, s store.Store) {
	blocks := Blocks(17, 50, 100)
	var cids []cid.Cid
	for i, b := range blocks {
		if i%3 == 0 {
			Put(t, s, b)
		}
		cids = append(cids, b.Cid)
	}
	has, err := s.Has(t.Context(), cids)
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range has {
		if ok != (i%3 == 0) {
			t.Errorf("Has of block %d: %v", i, ok)
		}
	}
}

func testTwoWriters(t *testing.T, s store.Store) {
	blocks := append(Blocks(18, 5, 100), Blocks(19, 5, 50_000)...)
	a, b := s.Writer(), s.Writer()
	defer a.Close()
	defer b.Close()
	for _, block := range blocks {
		if err := errors.Join(a.Put(t.Context(), block), b.Put(t.Context(), block)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Commit(t.Context()), b.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	Want(t, s, blocks...)
}
