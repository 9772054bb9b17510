package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ncruces/go-sqlite3"
)

// openIn opens the store in dir. It must be closed with closeAll, or with the test.
func openIn(t testing.TB, dir string) *Store {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(dir, "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s, err := New(db, filepath.Join(dir, "segments"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeAll(t testing.TB, s *Store) {
	t.Helper()
	if err := errors.Join(s.Close(), s.db.Close()); err != nil {
		t.Fatal(err)
	}
}

func segments(t testing.TB, s *Store) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.files.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) store.Store { return openIn(t, t.TempDir()) })
	t.Run("shared", func(t *testing.T) {
		storetest.TestShared(t, func(t *testing.T) (a, b store.Store) {
			dir := t.TempDir()
			return openIn(t, dir), openIn(t, dir)
		})
	})
}

// TestSegments checks which batches leave a segment file.
func TestSegments(t *testing.T) {
	large, small := storetest.Blocks(1, 10, 50_000), storetest.Blocks(2, 500, 1000)
	tests := []struct {
		why    string
		blocks []store.Block
		commit bool
		want   int
	}{
		{"small blocks only, however many", small, true, 0},
		{"one large block", large[:1], true, 0},
		{"large blocks", large, true, 1},
		{"large blocks, given up", large, false, 0},
		{"nothing", nil, true, 0},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			s := openIn(t, t.TempDir())
			w := s.Writer()
			for _, b := range test.blocks {
				if err := w.Put(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			if test.commit {
				if err := w.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got := segments(t, s); len(got) != test.want {
				t.Errorf("%d segment files, want %d", len(got), test.want)
			}
		})
	}
}

// TestPutAgainWritesNothing puts a large batch that is there already.
func TestPutAgainWritesNothing(t *testing.T) {
	s := openIn(t, t.TempDir())
	blocks := storetest.Blocks(1, 20, 100_000)
	storetest.Put(t, s, blocks...)
	before := segments(t, s)
	storetest.Put(t, s, blocks...)
	if got := segments(t, s); len(before) != 1 || !slices.Equal(got, before) {
		t.Errorf("segments were %v, then %v", before, got)
	}
}

// TestSegmentFormat reads a segment file as the package comment says it is written.
func TestSegmentFormat(t *testing.T) {
	s := openIn(t, t.TempDir())
	blocks := append(storetest.Blocks(1, 3, 100_000), storetest.Blocks(2, 40, 5000)...)
	storetest.Put(t, s, blocks...)
	names := segments(t, s)
	if len(names) != 1 || !validName(filepath.Base(names[0])) {
		t.Fatalf("segments are %v", names)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := bytes.CutPrefix(data, []byte("archivecache-s1\n"))
	if !ok {
		t.Fatalf("the file begins with %q", data[:16])
	}
	for i, b := range blocks {
		length := binary.BigEndian.Uint32(rest[32:36])
		if !bytes.Equal(rest[:32], b.Cid.Hash()[2:]) || !bytes.Equal(rest[36:36+length], b.Data) {
			t.Fatalf("record %d is not block %d", i, i)
		}
		rest = rest[36+length:]
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes after the last record", len(rest))
	}
}

func TestValidName(t *testing.T) {
	digits := "0123456789abcdef0123456789abcdef"
	if !validName(digits + ".seg") {
		t.Error("a good name is refused")
	}
	for name, why := range map[string]string{
		digits:                      "no suffix",
		digits[1:] + ".seg":         "too short",
		digits + "0.seg":            "too long",
		"../" + digits[3:] + ".seg": "another folder",
		"A" + digits[1:] + ".seg":   "upper case",
		"":                          "empty",
	} {
		if validName(name) {
			t.Errorf("%q is taken: %s", name, why)
		}
	}
}

func TestDamagedBytes(t *testing.T) {
	large, small := storetest.Blocks(1, 3, 100_000), storetest.Blocks(2, 3, 100)
	sql := func(text string) func(*testing.T, *Store) {
		return func(t *testing.T, s *Store) {
			if err := s.db.Write(t.Context(), true, func(c *sqlite3.Conn) error { return c.Exec(text) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		why      string
		damage   func(t *testing.T, s *Store)
		block    store.Block
		mismatch bool
		says     string
	}{
		{"a bit in the segment", func(t *testing.T, s *Store) { flip(t, segments(t, s)[0], 16+36+500) }, large[0], true, ".seg"},
		{"the segment is cut", func(t *testing.T, s *Store) { os.Truncate(segments(t, s)[0], 250_000) }, large[2], true, ".seg"},
		{"the segment is gone", func(t *testing.T, s *Store) { os.Remove(segments(t, s)[0]) }, large[1], false, ".seg"},
		{"a byte in the row", sql("UPDATE block SET data = zeroblob(100) WHERE data IS NOT NULL"), small[0], true, "db"},
		{"too little in the row", sql("UPDATE block SET data = x'00' WHERE data IS NOT NULL"), small[1], true, "db"},
		{"no bytes in the row", sql("UPDATE block SET data = NULL WHERE data IS NOT NULL"), small[1], true, "db"},
		{"another offset", sql("UPDATE block SET offset = offset + 1"), large[0], true, ".seg"},
		{"a negative offset", sql("UPDATE block SET offset = -1"), large[0], true, ".seg"},
		{"a length for which nobody has memory", sql("UPDATE block SET length = 1 << 50"), large[0], true, ".seg"},
		{"a segment without a row", sql("DELETE FROM segment"), large[0], false, ""},
		{"a segment in another folder", sql("UPDATE segment SET name = '../db'"), large[0], false, "not the name"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			s := openIn(t, t.TempDir())
			storetest.Put(t, s, append(slices.Clone(large), small...)...)
			test.damage(t, s)
			_, err := s.Get(t.Context(), test.block.Cid)
			var mismatch *store.MismatchError
			if err == nil || errors.Is(err, store.ErrNotFound) || errors.As(err, &mismatch) != test.mismatch {
				t.Fatalf("got %v", err)
			}
			for _, part := range []string{test.block.Cid.String(), test.says} {
				if !bytes.Contains([]byte(err.Error()), []byte(part)) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
		})
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	f.ReadAt(b[:], at)
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// TestCommitWith checks that blocks and what else is committed come and go together.
func TestCommitWith(t *testing.T) {
	for _, test := range []struct {
		why    string
		blocks []store.Block
	}{
		{"small batch", storetest.Blocks(1, 10, 2000)},
		{"large batch", storetest.Blocks(2, 10, 50_000)},
	} {
		t.Run(test.why, func(t *testing.T) {
			s := openIn(t, t.TempDir())
			w := s.NewWriter()
			defer w.Close()
			for _, b := range test.blocks {
				if err := w.Put(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			own := errors.New("the head has moved")
			err := w.CommitWith(t.Context(), func(c *sqlite3.Conn) error {
				return errors.Join(c.Exec("CREATE TABLE head (n)"), own)
			})
			if !errors.Is(err, own) {
				t.Fatalf("got %v", err)
			}
			if st, err := s.Stat(t.Context()); err != nil || st.Blocks != 0 {
				t.Errorf("%d blocks after a commit that failed, %v", st.Blocks, err)
			}
			// Tried again, it has the blocks still.
			err = w.CommitWith(t.Context(), func(c *sqlite3.Conn) error { return c.Exec("CREATE TABLE head (n)") })
			if err != nil {
				t.Fatal(err)
			}
			storetest.Want(t, s, test.blocks...)
		})
	}
}

// TestCommitWithReturnsError checks that an error of fn comes back exactly as it is.
func TestCommitWithReturnsError(t *testing.T) {
	s := openIn(t, t.TempDir())
	own := errors.New("mine")
	if err := s.NewWriter().CommitWith(t.Context(), func(*sqlite3.Conn) error { return own }); err != own {
		t.Errorf("got %v", err)
	}
}

func TestStatAndAll(t *testing.T) {
	s := openIn(t, t.TempDir())
	blocks := append(storetest.Blocks(1, 2500, 40), storetest.Blocks(2, 2, 100_000)...)
	storetest.Put(t, s, blocks...)
	st, err := s.Stat(t.Context())
	if want := (Stat{Blocks: 2502, Bytes: 2500*40 + 200_000}); err != nil || st != want {
		t.Errorf("Stat is %+v, %v; want %+v", st, err, want)
	}
	want := make(map[store.Digest]bool)
	for _, b := range blocks {
		want[store.Digest(b.Cid.Hash()[2:])] = true
	}
	n := 0
	for d, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !want[d] {
			t.Errorf("%x is not a block, or came twice", d)
		}
		delete(want, d)
		n++
	}
	if n != len(blocks) {
		t.Errorf("%d blocks, want %d", n, len(blocks))
	}
	for range s.All(t.Context()) {
		break // ends early without harm
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.All(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("All with a context that has ended: %v", err)
		}
	}
}

// TestManySegments reads from more files than stay open, from several goroutines.
func TestManySegments(t *testing.T) {
	s := openIn(t, t.TempDir())
	var blocks []store.Block
	for i := range maxFiles + 10 {
		b := storetest.Blocks(uint64(i), 1, 70_000)
		storetest.Put(t, s, b...)
		blocks = append(blocks, b...)
	}
	if n := len(segments(t, s)); n <= maxFiles {
		t.Fatalf("only %d segment files", n)
	}
	done := make(chan bool)
	for range 4 {
		go func() {
			defer func() { done <- true }()
			for _, b := range blocks {
				if _, err := s.Get(t.Context(), b.Cid); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	if n := len(s.files.open); n > maxFiles {
		t.Errorf("%d files are open", n)
	}
}

// TestDamagedDatabase says so, and does not look like a store with nothing in it.
func TestDamagedDatabase(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	blocks := storetest.Blocks(1, 200, 500)
	storetest.Put(t, s, blocks...)
	closeAll(t, s)
	data, err := os.ReadFile(filepath.Join(dir, "db"))
	if err != nil {
		t.Fatal(err)
	}
	for page := 3; page*4096 < len(data); page++ {
		copy(data[page*4096:], bytes.Repeat([]byte{0xff}, 100))
	}
	if err := os.WriteFile(filepath.Join(dir, "db"), data, 0o666); err != nil {
		t.Fatal(err)
	}
	s = openIn(t, dir)
	damaged := 0
	for _, b := range blocks {
		if _, err := s.Get(t.Context(), b.Cid); errors.Is(err, sqlite.ErrDamaged) {
			damaged++
		} else if err != nil {
			t.Errorf("got %v", err)
		}
	}
	if damaged == 0 {
		t.Error("no block was refused")
	}
}

// TestCopiedFolder opens a copy of a folder while the first has a writer that wrote and did not
// commit.
func TestCopiedFolder(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	blocks := append(storetest.Blocks(1, 10, 50_000), storetest.Blocks(2, 10, 500)...)
	storetest.Put(t, s, blocks...)
	w := s.Writer()
	defer w.Close()
	for _, b := range storetest.Blocks(3, 10, 50_000) {
		if err := w.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	copied := openIn(t, other)
	storetest.Want(t, copied, blocks...)
	more := storetest.Blocks(4, 10, 50_000)
	storetest.Put(t, copied, more...)
	storetest.Want(t, copied, append(more, blocks...)...)
}

// TestSegmentFails lets writing to the segment fail: no row may name what is not on the disk.
func TestSegmentFails(t *testing.T) {
	s := openIn(t, t.TempDir())
	w := s.NewWriter()
	blocks := storetest.Blocks(1, 4, 100_000)
	for _, b := range blocks[:2] {
		if err := w.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	w.segment.file.Close()
	for range 2 {
		err := w.Put(t.Context(), blocks[2])
		if err = errors.Join(err, w.Commit(t.Context())); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if st, err := s.Stat(t.Context()); err != nil || st.Blocks != 0 {
		t.Errorf("%d blocks, %v", st.Blocks, err)
	}
	w.Close() // says that the file is closed already
	if got := segments(t, s); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	storetest.Put(t, s, blocks...)
	storetest.Want(t, s, blocks...)
}
