package osfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"archivecache/store"
	"archivecache/unixfs"
	"archivecache/unixfs/osfs"

	"github.com/ipfs/go-cid"
)

// TestLargeFolder imports a folder in several pieces, with folders, excluded files and pipes in
// between.
func TestLargeFolder(t *testing.T) {
	const files, pipes = 9000, 200
	dir := t.TempDir()
	var want []unixfs.Entry
	for i := range files {
		name := fmt.Sprintf("file-%05d.txt", i)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o666); err != nil {
			t.Fatal(err)
		}
		if i%10 != 7 {
			want = append(want, leafEntry(name, name))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".skip"), []byte("*7.txt\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	want = append(want, leafEntry(".skip", "*7.txt\n"))
	for i := range pipes {
		if err := syscall.Mkfifo(filepath.Join(dir, fmt.Sprintf("pipe-%d", i)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		name := fmt.Sprintf("folder-%d", i)
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		_, e := unixfs.EmptyDir()
		e.Name = name
		want = append(want, e)
	}
	checkImport(t, dir, want, files-files/10+1)
}

// TestLargeFolderOfPipes has many entries, of which so few are kept that they fit into one block.
func TestLargeFolderOfPipes(t *testing.T) {
	dir := t.TempDir()
	for i := range 9000 {
		if err := syscall.Mkfifo(filepath.Join(dir, fmt.Sprintf("pipe-%d", i)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("alone"), 0o666); err != nil {
		t.Fatal(err)
	}
	checkImport(t, dir, []unixfs.Entry{leafEntry("a", "alone")}, 1)
}

func leafEntry(name, content string) unixfs.Entry {
	b := store.NewBlock(cid.Raw, []byte(content))
	return unixfs.Entry{Name: name, Cid: b.Cid, Tsize: uint64(len(content))}
}

func checkImport(t *testing.T, dir string, entries []unixfs.Entry, files int64) {
	t.Helper()
	want, err := unixfs.Build(ctx, new(memory), entries)
	if err != nil {
		t.Fatal(err)
	}
	got, err := osfs.Import(ctx, new(memory), dir, osfs.Options{IgnoreFile: ".skip", Skipped: func(string, error) {}})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Entry.Cid.Equals(want.Cid) || got.Entry.Tsize != want.Tsize || got.Files != files {
		t.Errorf("the folder is %v with %d files, want %v with %d", got.Entry, got.Files, want, files)
	}
}
