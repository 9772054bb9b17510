package embedded

import (
	"bytes"
	"testing"

	"archivecache/store"
	"archivecache/store/storetest"
)

// TestPutBorrowed uses one buffer for all blocks, of sizes on both sides of every border.
func TestPutBorrowed(t *testing.T) {
	s := openIn(t, t.TempDir())
	w := s.NewWriter()
	var blocks []store.Block
	buf := make([]byte, store.MaxBlock)
	for i, size := range []int{0, 1, smallBlock - 1, smallBlock, 50_000, smallBatch - 1, smallBatch, 1 << 20, 2000, store.MaxBlock} {
		b := storetest.Blocks(uint64(i), 1, size)[0]
		blocks = append(blocks, b)
		copy(buf, b.Data)
		if err := w.PutBorrowed(t.Context(), store.Block{Cid: b.Cid, Data: buf[:size]}); err != nil {
			t.Fatal(err)
		}
		clear(buf)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Want(t, s, blocks...)
}

// TestPutBorrowedFails has a block that stays queued after an error: its bytes must not be those
// that the buffer holds when it is tried again.
func TestPutBorrowedFails(t *testing.T) {
	s := openIn(t, t.TempDir())
	w := s.NewWriter()
	waiting, other := storetest.Blocks(1, 1, 2000)[0], storetest.Blocks(2, 1, 100_000)[0]
	if err := w.PutBorrowed(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	data := bytes.Clone(other.Data)
	s.db.Close() // place cannot ask what is there
	err := w.PutBorrowed(t.Context(), store.Block{Cid: other.Cid, Data: data})
	if err == nil {
		t.Fatal("no error")
	}
	clear(data)
	if last := w.queue[len(w.queue)-1]; !bytes.Equal(last.data, other.Data) {
		t.Error("what waits are bytes of the caller")
	}
}
