package osfs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archivecache/internal/kubotest"
	"archivecache/store"
	"archivecache/unixfs"
	"archivecache/unixfs/osfs"

	"github.com/ipfs/go-cid"
)

var ctx = context.Background()

// memory is a store of blocks in memory.
type memory struct{ blocks sync.Map }

func (m *memory) Get(_ context.Context, c cid.Cid) ([]byte, error) {
	data, ok := m.blocks.Load(c.KeyString())
	if !ok {
		return nil, &store.MissingError{Cid: c}
	}
	return data.([]byte), nil
}

func (m *memory) Put(_ context.Context, b store.Block) error {
	m.blocks.Store(b.Cid.KeyString(), b.Data)
	return nil
}

// A tree is what stands at paths: "/" for a folder, "-> target", "x content", or content.
type tree map[string]string

func (tr tree) write(t testing.TB, dir string) {
	t.Helper()
	for path, what := range tr {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
			t.Fatal(err)
		}
		var err error
		switch target, isLink := strings.CutPrefix(what, "-> "); {
		case what == "/":
			err = os.MkdirAll(full, 0o777)
		case isLink:
			err = os.Symlink(target, full)
		case strings.HasPrefix(what, "x "):
			err = os.WriteFile(full, []byte(what), 0o777)
		default:
			err = os.WriteFile(full, []byte(what), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readTree is the inverse of write, with all folders.
func readTree(t testing.TB, dir string) tree {
	t.Helper()
	tr := tree{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		switch {
		case err != nil || rel == ".":
		case d.IsDir():
			tr[rel] = "/"
		case d.Type() == fs.ModeSymlink:
			var target string
			target, err = os.Readlink(path)
			tr[rel] = "-> " + target
		default:
			var data []byte
			data, err = os.ReadFile(path)
			info, _ := d.Info()
			if tr[rel] = string(data); strings.HasPrefix(string(data), "x ") != (info.Mode()&0o111 != 0) {
				t.Errorf("%s has the mode %s", rel, info.Mode())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func equal(t *testing.T, got, want tree) {
	t.Helper()
	for path, what := range want {
		if got[path] != what {
			t.Errorf("%s is %.40q, want %.40q", path, got[path], what)
		}
	}
	for path, what := range got {
		if _, ok := want[path]; !ok && what != "/" {
			t.Errorf("%s is too much", path)
		}
	}
}

func sample() tree {
	tr := tree{
		"plain.txt": "some text", "empty": "", "tool": "x run", ".hidden/.file": "dots",
		"void": "/", "link": "-> plain.txt", "dangling": "-> ../../nowhere", "dirlink": "-> void",
		"a/b/c/d/e": "deep", "big": strings.Repeat("0123456789abcdef", 300<<10), "bad \xff\xfe name": "bytes",
		"largest": strings.Repeat("large files go another way", 500<<10), "line\nbreak": "1",
	}
	for i := range 300 {
		tr[fmt.Sprintf("many/%d/%d", i%7, i)] = fmt.Sprint(i)
	}
	return tr
}

func TestRoundTrip(t *testing.T) {
	src, want := t.TempDir(), sample()
	want.write(t, src)
	m := new(memory)
	var count osfs.Counter
	got, err := osfs.Import(ctx, m, src, osfs.Options{Counter: &count})
	if err != nil {
		t.Fatal(err)
	}
	var files, dirs, bytes int64
	for _, what := range readTree(t, src) {
		switch {
		case what == "/":
			dirs++
		case strings.HasPrefix(what, "-> "):
			files++
		default:
			files++
			bytes += int64(len(what))
		}
	}
	if got.Files != files || got.Dirs != dirs+1 || got.Bytes != bytes || !got.IsDir || count.Files.Load() != files || got.Entry.Name != filepath.Base(src) {
		t.Errorf("Import = %+v, want %d files, %d folders, %d bytes", got, files, dirs+1, bytes)
	}
	for range 3 {
		if again, err := osfs.Import(ctx, m, src, osfs.Options{}); err != nil || again != got {
			t.Errorf("again: %+v, %v, want %+v", again, err, got)
		}
	}
	dst := filepath.Join(t.TempDir(), "out")
	if err := osfs.Export(ctx, m, got.Entry.Cid, dst, osfs.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	equal(t, readTree(t, dst), readTree(t, src))
	if err := osfs.Export(ctx, m, got.Entry.Cid, dst, osfs.ExportOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Export onto what exists: %v", err)
	}
}

func TestSingles(t *testing.T) {
	src := t.TempDir()
	tree{"file": "content", "tool": "x", "link": "-> file"}.write(t, src)
	m := new(memory)
	for _, name := range []string{"file", "tool", "link"} {
		got, err := osfs.Import(ctx, m, filepath.Join(src, name), osfs.Options{})
		if err != nil || got.Files != 1 || got.Dirs != 0 || got.IsDir || got.Entry.Name != name {
			t.Errorf("Import of %s = %+v, %v", name, got, err)
		}
		dst := filepath.Join(t.TempDir(), "out")
		if err := osfs.Export(ctx, m, got.Entry.Cid, dst, osfs.ExportOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(dst); err != nil {
			t.Error(err)
		}
	}
}

func TestMtime(t *testing.T) {
	src := t.TempDir()
	tree{"d/file": "content", "d/tool": "x", "d/link": "-> file"}.write(t, src)
	when := time.Unix(1234567890, 987654321)
	for _, name := range []string{"file", "tool"} {
		if err := os.Chtimes(filepath.Join(src, "d", name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	m := new(memory)
	plain, _ := osfs.Import(ctx, m, src, osfs.Options{})
	got, err := osfs.Import(ctx, m, src, osfs.Options{Mtime: true})
	if err != nil || got.Entry == plain.Entry {
		t.Fatalf("with mtime: %+v, %v, without %+v", got, err, plain)
	}
	dst := filepath.Join(t.TempDir(), "out")
	if err := osfs.Export(ctx, m, got.Entry.Cid, dst, osfs.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "tool"} {
		if info, err := os.Stat(filepath.Join(dst, "d", name)); err != nil || !info.ModTime().Equal(when) {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestOddKinds(t *testing.T) {
	src, err := os.MkdirTemp("", "odd") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(src)
	tree{"file": "content"}.write(t, src)
	l, err := net.Listen("unix", filepath.Join(src, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := new(memory)
	if _, err := osfs.Import(ctx, m, src, osfs.Options{}); !errors.Is(err, osfs.ErrKind) || !strings.Contains(err.Error(), "socket") {
		t.Errorf("socket: %v", err)
	}
	var skipped []string
	got, err := osfs.Import(ctx, m, src, osfs.Options{Skipped: func(path string, reason error) { skipped = append(skipped, path) }})
	if err != nil || got.Files != 1 || len(skipped) != 1 || filepath.Base(skipped[0]) != "socket" {
		t.Errorf("skipping: %+v, %v, %q", got, err, skipped)
	}
	if _, err := osfs.Import(ctx, m, filepath.Join(src, "nothing"), osfs.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		// root reads everything; a folder that vanished stands for it
		m := new(memory)
		if _, err := osfs.Import(ctx, m, "/proc/self/mem", osfs.Options{}); err == nil || !strings.Contains(err.Error(), "/proc/self/mem") {
			t.Errorf("unreadable file: %v", err)
		}
		return
	}
	src := t.TempDir()
	tree{"d/secret": "x"}.write(t, src)
	path := filepath.Join(src, "d", "secret")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := osfs.Import(ctx, new(memory), src, osfs.Options{}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Errorf("unreadable file: %v", err)
	}
}

func TestExcludes(t *testing.T) {
	src := t.TempDir()
	tree{
		"a.log": "1", "keep.log": "2", "d/b.log": "3", "d/keep.txt": "4", "build/out": "5", "d/build/out": "6",
		".ignore": "*.log\n!keep.log\n/build\n", "d/.ignore": "!b.log\nbuild/\n", "top": "7", "d/top": "8", ".git/x": "9",
	}.write(t, src)
	m := new(memory)
	got, err := osfs.Import(ctx, m, src, osfs.Options{Exclude: []string{".git", "/top"}, IgnoreFile: ".ignore"})
	if err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "out")
	if err := osfs.Export(ctx, m, got.Entry.Cid, dst, osfs.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for path, what := range readTree(t, dst) {
		if what != "/" {
			names = append(names, path)
		}
	}
	slices.Sort(names)
	want := []string{".ignore", "d/.ignore", "d/b.log", "d/keep.txt", "d/top", "keep.log"}
	if !slices.Equal(names, want) {
		t.Errorf("taken in: %q, want %q", names, want)
	}
}

// TestHostileExport unfolds trees that are larger than they look, and ones with links to elsewhere.
func TestHostileExport(t *testing.T) {
	m := new(memory)
	file, err := unixfs.AddFile(ctx, m, strings.NewReader("x"), unixfs.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	bomb := unixfs.Entry{Cid: file.Cid, Tsize: file.Tsize}
	for range 40 {
		a, b := bomb, bomb
		a.Name, b.Name = "a", "b"
		if bomb, err = unixfs.Build(ctx, m, []unixfs.Entry{a, b}); err != nil {
			t.Fatal(err)
		}
	}
	deep := unixfs.Entry{Cid: file.Cid}
	for range 300 {
		deep.Name = "d"
		if deep, err = unixfs.Build(ctx, m, []unixfs.Entry{deep}); err != nil {
			t.Fatal(err)
		}
	}
	missing, err := unixfs.Build(ctx, m, []unixfs.Entry{{Name: "gone", Cid: store.Sum(cid.Raw, []byte("gone"))}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason string
		cid    cid.Cid
		opt    osfs.ExportOptions
		is     error
	}{
		{"two to the fortieth files", bomb.Cid, osfs.ExportOptions{MaxEntries: 1000}, osfs.ErrTooMuch},
		{"too many bytes", bomb.Cid, osfs.ExportOptions{MaxBytes: 20}, osfs.ErrTooMuch},
		{"too deep", deep.Cid, osfs.ExportOptions{}, osfs.ErrTooDeep},
		{"a missing block", missing.Cid, osfs.ExportOptions{}, store.ErrNotFound},
	} {
		dst := filepath.Join(t.TempDir(), "out")
		err := osfs.Export(ctx, m, c.cid, dst, c.opt)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), "incomplete") {
			t.Errorf("%s: %v", c.reason, err)
		}
	}
}

// TestCanceled stops in the middle of both.
func TestCanceled(t *testing.T) {
	src := t.TempDir()
	sample().write(t, src)
	m := new(memory)
	got, err := osfs.Import(ctx, m, src, osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := osfs.Import(canceled, m, src, osfs.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Import: %v", err)
	}
	dst := filepath.Join(t.TempDir(), "out")
	if err := osfs.Export(canceled, m, got.Entry.Cid, dst, osfs.ExportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Export: %v", err)
	}
}

// TestKuboFolder compares a folder with what the ipfs command makes of it.
func TestKuboFolder(t *testing.T) {
	repo := kubotest.NewRepo(t, "unixfs-v1-2025")
	src, tr := t.TempDir(), sample()
	delete(tr, "tool") // the command line cannot do one executable among others
	tr.write(t, src)
	got, err := osfs.Import(ctx, new(memory), src, osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := repo.Run(t, "add", "--only-hash", "--hidden", "-Qr", src); got.Entry.Cid.String() != want {
		t.Errorf("folder: %s, want %s", got.Entry.Cid, want)
	}
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	single, err := osfs.Import(ctx, new(memory), file, osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := repo.Run(t, "add", "--only-hash", "--raw-leaves=false", "--mode=0755", "-Q", file); single.Entry.Cid.String() != want {
		t.Errorf("executable: %s, want %s", single.Entry.Cid, want)
	}
}

// nowhere takes blocks and keeps nothing.
type nowhere struct{}

func (nowhere) Put(context.Context, store.Block) error { return nil }

// BenchmarkImport reads 10,000 files of 1 to 8 KiB in 100 folders.
func BenchmarkImport(b *testing.B) {
	src := b.TempDir()
	tr := tree{}
	for i := range 10000 {
		tr[fmt.Sprintf("%d/%d", i%100, i)] = strings.Repeat(fmt.Sprint(i), 1+(i*7919%7168+1024)/5)
	}
	tr.write(b, src)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := osfs.Import(ctx, nowhere{}, src, osfs.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
