package unixfs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

const mib = 1 << 20

var (
	ctx      = context.Background()
	someTime = time.Unix(1700000000, 123456789)
)

func TestFileCids(t *testing.T) {
	cases := []struct {
		name string
		size int64
	}{
		{"empty", 0}, {"one byte", 1}, {"small", 1000},
		{"chunk less one", mib - 1}, {"chunk", mib}, {"chunk and one", mib + 1},
		{"two chunks", 2 * mib}, {"some", 20*mib + 5},
	}
	for _, c := range cases {
		plain := oracleFile(t, content(c.size), true, 0, time.Time{})
		exec := oracleFile(t, content(c.size), false, 0o755, time.Time{})
		timed := oracleFile(t, content(c.size), false, 0, someTime)
		both := oracleFile(t, content(c.size), false, 0o755, time.Unix(-5, 0))
		for _, a := range []struct {
			name string
			attr unixfs.Attr
			want interface {
				Cid() cid.Cid
				Size() (uint64, error)
			}
		}{
			{"plain", unixfs.Attr{}, plain},
			{"executable", unixfs.Attr{Executable: true}, exec},
			{"with mtime", unixfs.Attr{Mtime: someTime}, timed},
			{"with both", unixfs.Attr{Executable: true, Mtime: time.Unix(-5, 0)}, both},
		} {
			t.Run(c.name+" "+a.name, func(t *testing.T) {
				for _, put := range []store.Putter{nowhere{}, nowhereBorrower{}} {
					got, err := unixfs.AddFile(ctx, put, content(c.size), a.attr)
					if err != nil {
						t.Fatal(err)
					}
					size, _ := a.want.Size()
					if want := (unixfs.Added{Cid: a.want.Cid(), Tsize: size, Size: uint64(c.size)}); got != want {
						t.Errorf("AddFile = %v, want %v", got, want)
					}
					for _, hint := range []int64{-1, 0, c.size, 3, c.size * 2} {
						again, err := unixfs.AddSerial(ctx, put, iotest.HalfReader(content(c.size)), hint, a.attr)
						if err != nil || again != got {
							t.Errorf("AddSerial with hint %d = %v, %v, want %v", hint, again, err, got)
						}
					}
				}
			})
		}
	}
}

// TestHugeFileCids checks files that need a second and, at one chunk more, a third level.
func TestHugeFileCids(t *testing.T) {
	if testing.Short() {
		t.Skip("1 GiB")
	}
	for _, size := range []int64{1024 * mib, 1024*mib + 1} {
		got, err := unixfs.AddFile(ctx, nowhereBorrower{}, content(size), unixfs.Attr{})
		if err != nil {
			t.Fatal(err)
		}
		want := oracleFile(t, content(size), true, 0, time.Time{})
		if !got.Cid.Equals(want.Cid()) {
			t.Errorf("%d bytes: %s, want %s", size, got.Cid, want.Cid())
		}
	}
}

func TestSymlinkCids(t *testing.T) {
	for _, target := range []string{"a", "../x/y", strings.Repeat("z", unixfs.MaxTarget)} {
		for _, mtime := range []time.Time{{}, someTime} {
			got, err := unixfs.AddSymlink(ctx, nowhere{}, target, mtime)
			if err != nil {
				t.Fatal(err)
			}
			if want := oracleSymlink(t, target, mtime); !got.Cid.Equals(want.Cid()) {
				t.Errorf("symlink to %.10q: %s, want %s", target, got.Cid, want.Cid())
			}
		}
	}
	for _, target := range []string{"", "a\x00b", strings.Repeat("z", unixfs.MaxTarget+1)} {
		if _, err := unixfs.AddSymlink(ctx, nowhere{}, target, time.Time{}); err == nil {
			t.Errorf("symlink to %.10q was written", target)
		}
	}
}

// failing is a reader or a putter that fails after a while.
type failing struct {
	left int
	err  error
}

func (f *failing) Put(context.Context, store.Block) error {
	if f.left--; f.left < 0 {
		return f.err
	}
	return nil
}

func TestAddFileFails(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int64{10, mib, 3*mib + 7, 40 * mib} {
		r := io.MultiReader(content(size), iotest.ErrReader(broken))
		if _, err := unixfs.AddFile(ctx, nowhere{}, r, unixfs.Attr{}); !errors.Is(err, broken) {
			t.Errorf("reader that breaks after %d bytes: %v", size, err)
		}
		if _, err := unixfs.AddSerial(ctx, &failing{err: broken}, content(size), size, unixfs.Attr{}); !errors.Is(err, broken) {
			t.Errorf("putter that breaks, %d bytes: %v", size, err)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := unixfs.AddFile(canceled, nowhere{}, content(40*mib), unixfs.Attr{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestReadBack(t *testing.T) {
	for _, size := range []int64{0, 1, mib, mib + 1, 21*mib + 3} {
		for _, attr := range []unixfs.Attr{{}, {Executable: true, Mtime: someTime}} {
			m := newMemory()
			added, err := unixfs.AddFile(ctx, m, content(size), attr)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := io.ReadAll(content(size))
			checkStat(t, m, added, attr)
			var copied bytes.Buffer
			if n, err := unixfs.Copy(ctx, m, added.Cid, &copied); err != nil || n != size || !bytes.Equal(copied.Bytes(), want) {
				t.Errorf("Copy of %d bytes = %d, %v, or other content", size, n, err)
			}
			r, err := unixfs.NewReader(ctx, m, added.Cid)
			if err != nil {
				t.Fatal(err)
			}
			if err := iotest.TestReader(io.MultiReader(r), want[:min(len(want), 2*mib)]); size <= 2*mib && err != nil {
				t.Error(err)
			}
			checkSeeks(t, r, want)
		}
	}
}

func checkStat(t *testing.T, m *memory, added unixfs.Added, attr unixfs.Attr) {
	t.Helper()
	info, err := unixfs.Stat(ctx, m, added.Cid)
	if err != nil {
		t.Fatal(err)
	}
	if info.Kind != unixfs.File || info.Size != added.Size || info.Tsize != added.Tsize ||
		info.Executable != attr.Executable || !info.Mtime.Equal(attr.Mtime) {
		t.Errorf("Stat = %+v of %+v with %+v", info, added, attr)
	}
}

func checkSeeks(t *testing.T, r *unixfs.Reader, want []byte) {
	t.Helper()
	for _, at := range []int{0, len(want) / 2, len(want) - 1, mib - 1, mib, 3, len(want) + 5} {
		if at < 0 {
			continue
		}
		if _, err := r.Seek(int64(at), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		n, err := io.ReadFull(r, buf)
		rest := want[min(at, len(want)):]
		if !bytes.Equal(buf[:n], rest[:min(10, len(rest))]) {
			t.Errorf("at %d of %d: read %d bytes (%v), which are others", at, len(want), n, err)
		}
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("seek to -1 went well")
	}
	var all bytes.Buffer
	if _, err := r.Seek(-int64(len(want)), io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if n, err := r.WriteTo(&all); err != nil || n != int64(len(want)) || !bytes.Equal(all.Bytes(), want) {
		t.Errorf("WriteTo = %d, %v, or other content", n, err)
	}
}

// putFile writes a File node by hand.
func putFile(m *memory, n *unixfs.Node) cid.Cid {
	n.Kind = unixfs.File
	b := store.NewBlock(cid.DagProtobuf, n.Encode())
	m.Put(ctx, b)
	return b.Cid
}

func TestHostileFiles(t *testing.T) {
	m := newMemory()
	leaf := store.NewBlock(cid.Raw, []byte("hello"))
	m.Put(ctx, leaf)
	short := putFile(m, &unixfs.Node{Size: 9, BlockSizes: []uint64{9}, Links: []unixfs.Link{unixfs.NewLink("", leaf.Cid, 5)}})
	missing := putFile(m, &unixfs.Node{Size: 9, BlockSizes: []uint64{9}, Links: []unixfs.Link{unixfs.NewLink("", leafCid(1), 5)}})
	empty, _ := unixfs.EmptyDir()
	m.Put(ctx, empty)
	dirInside := putFile(m, &unixfs.Node{Size: 9, BlockSizes: []uint64{9}, Links: []unixfs.Link{unixfs.NewLink("", empty.Cid, 5)}})
	deep := leaf.Cid
	for range 20 {
		deep = putFile(m, &unixfs.Node{Size: 5, BlockSizes: []uint64{5}, Links: []unixfs.Link{unixfs.NewLink("", deep, 5)}})
	}
	big := leaf.Cid // nothing below is as long as it says, at any level
	for range 3 {
		big = putFile(m, &unixfs.Node{Size: 9 << 30, BlockSizes: []uint64{9 << 30}, Links: []unixfs.Link{unixfs.NewLink("", big, 5)}})
	}
	for _, c := range []struct {
		reason string
		cid    cid.Cid
		is     error
	}{
		{"leaf shorter than declared", short, unixfs.ErrMalformed},
		{"leaf missing", missing, store.ErrNotFound},
		{"directory as a part", dirInside, unixfs.ErrNotFile},
		{"too deep", deep, unixfs.ErrMalformed},
		{"a directory", empty.Cid, unixfs.ErrNotFile},
		{"longer than its leaves", big, unixfs.ErrMalformed},
	} {
		if _, err := unixfs.Copy(ctx, m, c.cid, io.Discard); !errors.Is(err, c.is) {
			t.Errorf("%s: Copy says %v", c.reason, err)
		}
		r, err := unixfs.NewReader(ctx, m, c.cid)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, c.is) {
			t.Errorf("%s: Reader says %v", c.reason, err)
		}
	}
}

// TestRepeatedLeaf reads a file that names one leaf many times and stops with the writer.
func TestRepeatedLeaf(t *testing.T) {
	m := newMemory()
	b := store.NewBlock(cid.Raw, []byte("0123456789"))
	m.Put(ctx, b)
	c, size := b.Cid, uint64(10)
	for range 5 {
		n := &unixfs.Node{}
		for range 1000 {
			n.Links = append(n.Links, unixfs.NewLink("", c, size))
			n.BlockSizes = append(n.BlockSizes, size)
			n.Size += size
		}
		c, size = putFile(m, n), n.Size
	}
	full := errors.New("full")
	w := &limitedWriter{left: 1 << 20, err: full}
	if _, err := unixfs.Copy(ctx, m, c, w); !errors.Is(err, full) {
		t.Errorf("Copy of %d bytes into a small place: %v", size, err)
	}
	r, err := unixfs.NewReader(ctx, m, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Seek(int64(size)-3, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "789" {
		t.Errorf("the end reads %q, %v", got, err)
	}
}

type limitedWriter struct {
	left int
	err  error
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}

// zeros is an endless reader that costs nothing.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func BenchmarkAddFile(b *testing.B) {
	for _, c := range []struct {
		name string
		size int64
	}{{"4KiB", 4 << 10}, {"256MiB", 256 * mib}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(c.size)
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if c.size < mib {
					_, err = unixfs.AddSerial(ctx, nowhere{}, io.LimitReader(zeros{}, c.size), c.size, unixfs.Attr{})
				} else {
					_, err = unixfs.AddFile(ctx, nowhere{}, io.LimitReader(zeros{}, c.size), unixfs.Attr{})
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAddBrokenOff expects the error of a reader that ends too early, as those of archives and of
// HTTP do.
func TestAddBrokenOff(t *testing.T) {
	for _, size := range []int{0, 10, unixfs.ChunkSize, unixfs.ChunkSize + 10, 3*unixfs.ChunkSize + 1} {
		broken := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(io.ErrUnexpectedEOF))
		_, err := unixfs.AddFile(t.Context(), store.NewOverlay(store.NewMemory()), broken, unixfs.Attr{})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: %v", size, err)
		}
	}
}
