package unixfs_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archivecache/internal/kubotest"
	"archivecache/unixfs"
)

// TestKuboFiles compares files with what the ipfs command itself says.
func TestKuboFiles(t *testing.T) {
	repo := kubotest.NewRepo(t, "unixfs-v1-2025")
	for _, size := range []int64{0, 1, mib - 1, mib, mib + 1, 3*mib + 5, 1024 * mib, 1024*mib + 1} {
		cases := map[string]unixfs.Attr{"": {}}
		if size < 1024*mib {
			cases["--raw-leaves=false --mode=0755"] = unixfs.Attr{Executable: true}
			cases["--raw-leaves=false --mtime=1700000000"] = unixfs.Attr{Mtime: time.Unix(1700000000, 0)}
			cases["--raw-leaves=false --mode=0755 --mtime=1700000000 --mtime-nsecs=5"] = unixfs.Attr{Executable: true, Mtime: time.Unix(1700000000, 5)}
		}
		for flags, attr := range cases {
			args := append([]string{"add", "--only-hash", "-Q"}, strings.Fields(flags)...)
			cmd := repo.Command(args...)
			cmd.Stdin = content(size)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("ipfs %v: %v", args, err)
			}
			got, err := unixfs.AddFile(ctx, nowhereBorrower{}, content(size), attr)
			if want := strings.TrimSpace(string(out)); err != nil || got.Cid.String() != want {
				t.Errorf("%d bytes %s: %s, %v, want %s", size, flags, got.Cid, err, want)
			}
		}
	}
}

// TestKuboSharded compares a folder around the size at which it is sharded, which the ipfs
// command adds from disk.
func TestKuboSharded(t *testing.T) {
	repo := kubotest.NewRepo(t, "unixfs-v1-2025")
	const name = "a file with a name that is not short, so that few are needed: %0120d"
	leaf, err := unixfs.AddFile(ctx, nowhere{}, strings.NewReader("x"), unixfs.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	var entries []unixfs.Entry
	dir := t.TempDir()
	m := newMemory()
	for done := 0; done < 3; { // one block, then one file more, then many more
		for range [...]int{1, 1, 1000}[done] {
			e := unixfs.Entry{Name: fmt.Sprintf(name, len(entries)), Cid: leaf.Cid, Tsize: leaf.Tsize}
			entries = append(entries, e)
		}
		e := build(t, m, entries)
		if done == 0 && len(m.blocks[e.Cid.KeyString()])+240 < unixfs.MaxDirectory {
			continue
		}
		for i := len(entries) - 1; i >= 0; i-- {
			path := filepath.Join(dir, entries[i].Name)
			if _, err := os.Stat(path); err == nil {
				break
			}
			if err := os.WriteFile(path, []byte("x"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if want := repo.Run(t, "add", "--only-hash", "-Qr", dir); e.Cid.String() != want {
			t.Errorf("%d entries: %s, want %s", len(entries), e.Cid, want)
		}
		done++
	}
}

// TestKuboReads lets the ipfs command read what was written here, from a folder of files.
func TestKuboReads(t *testing.T) {
	repo := kubotest.NewRepo(t, "unixfs-v1-2025")
	m := newMemory()
	file, err := unixfs.AddFile(ctx, m, content(2*mib+3), unixfs.Attr{Executable: true})
	if err != nil {
		t.Fatal(err)
	}
	link, err := unixfs.AddSymlink(ctx, m, "tool", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	link.Name = "link"
	dir := build(t, m, []unixfs.Entry{{Name: "tool", Cid: file.Cid, Tsize: file.Tsize}, link})
	for key, data := range m.blocks {
		cmd := repo.Command("block", "put", "--allow-big-block", "--cid-codec="+codecName(key))
		cmd.Stdin = strings.NewReader(string(data))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ipfs block put: %v\n%s", err, out)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	repo.Run(t, "get", "-o", out, dir.Cid.String())
	got, err := os.ReadFile(filepath.Join(out, "link"))
	want, _ := io.ReadAll(content(2*mib + 3))
	if err != nil || string(got) != string(want) {
		t.Errorf("ipfs get: %v, or other content", err)
	}
	if info, err := os.Stat(filepath.Join(out, "tool")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("ipfs get made %v, %v", info.Mode(), err)
	}
}

// codecName tells the codec from the binary form of a CIDv1.
func codecName(key string) string {
	if key[1] == 0x55 {
		return "raw"
	}
	return "dag-pb"
}
