package embedded

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

// TestGetMany reads blocks of the database and of a segment together, with missing ones and a
// damaged one among them.
func TestGetMany(t *testing.T) {
	s := openIn(t, t.TempDir())
	small, large := storetest.Blocks(1, 10, 100), storetest.Blocks(2, 5, 100_000)
	w := s.Writer()
	for _, b := range append(append([]store.Block{}, small[1:]...), large...) {
		if err := w.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Commit(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	damage(t, s, large[2].Data)
	var want []store.Block
	for i := range small {
		want = append(want, small[i], large[i%len(large)])
	}
	want = append(want, store.Block{Cid: cid.NewCidV1(cid.Raw, []byte{0, 2, 'h', 'i'}), Data: []byte("hi")})
	var cids []cid.Cid
	for _, b := range want {
		cids = append(cids, b.Cid)
	}
	next := 0
	err := s.GetMany(t.Context(), cids, func(i int, data []byte, err error) error {
		b := want[i]
		var missing *store.MissingError
		var mismatch *store.MismatchError
		switch {
		case i != next:
			t.Errorf("number %d comes after %d", i, next-1)
		case b.Cid.Equals(small[0].Cid):
			if !errors.As(err, &missing) {
				t.Errorf("missing: %v", err)
			}
		case b.Cid.Equals(large[2].Cid):
			if !errors.As(err, &mismatch) {
				t.Errorf("damaged: %v", err)
			}
		case err != nil || !bytes.Equal(data, b.Data):
			t.Errorf("number %d: %d bytes, %v", i, len(data), err)
		}
		next++
		return nil
	})
	if err != nil || next != len(want) {
		t.Errorf("%d of %d blocks, %v", next, len(want), err)
	}
	stop := errors.New("stop")
	if err := s.GetMany(t.Context(), cids, func(int, []byte, error) error { return stop }); err != stop {
		t.Errorf("stopped: %v", err)
	}
}

// damage changes the last byte of data in the only segment file.
func damage(t *testing.T, s *Store, data []byte) {
	t.Helper()
	name := segments(t, s)[0]
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(file, data)
	if at < 0 {
		t.Fatal("the block is not in the segment")
	}
	file[at+len(data)-1]++
	if err := os.WriteFile(name, file, 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestCache reads more than the cache holds: it stays small, and what is read often stays in it.
func TestCache(t *testing.T) {
	var c cache
	often := store.Digest{1}
	c.put(often, []byte("often"))
	for i := range 10_000 {
		c.put(store.Digest{2, byte(i), byte(i >> 8)}, make([]byte, 1024))
		if data, ok := c.get(often); !ok || string(data) != "often" {
			t.Fatalf("gone after %d blocks", i)
		}
		if c.size > cacheSize || len(c.now)+len(c.old) > 2*cacheSize/1024+4 {
			t.Fatalf("%d bytes, %d and %d blocks", c.size, len(c.now), len(c.old))
		}
	}
	if _, ok := c.get(store.Digest{2}); ok {
		t.Error("the first block is still there")
	}
}
