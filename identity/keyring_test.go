package identity

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestKeyring(t *testing.T) {
	k := OpenKeyring(filepath.Join(t.TempDir(), "new", "keys"))
	if ids, err := k.List(); err != nil || len(ids) != 0 {
		t.Errorf("List of no folder: %v, %v", ids, err)
	}
	plain, sealed := generate(t), generate(t)
	if err := k.Create(plain, nil); err != nil {
		t.Fatal(err)
	}
	if err := k.Create(sealed, []byte("a")); err != nil {
		t.Fatal(err)
	}
	want := []string{plain.ID().String(), sealed.ID().String()}
	slices.Sort(want)
	ids, err := k.List()
	if err != nil || len(ids) != 2 || ids[0].String() != want[0] || ids[1].String() != want[1] {
		t.Errorf("List = %v, %v; want %v", ids, err, want)
	}
	if got, err := k.Load(plain.ID(), nil); err != nil || !bytes.Equal(got.text(), plain.text()) {
		t.Errorf("Load without passphrase: %v, %v", got, err)
	}
	var asked ID
	got, err := k.Load(sealed.ID(), func(id ID) ([]byte, error) { asked = id; return []byte("a"), nil })
	if err != nil || !bytes.Equal(got.text(), sealed.text()) || asked != sealed.ID() {
		t.Errorf("Load with passphrase: %v, %v, asked for %v", got, err, asked)
	}
	if _, err := k.Load(sealed.ID(), answer("b")); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("Load: %v; want %v", err, ErrWrongPassphrase)
	}
	if err := k.Remove(plain.ID()); err != nil {
		t.Error(err)
	}
	if err := k.Remove(plain.ID()); !errors.Is(err, ErrNoKey) {
		t.Errorf("Remove again: %v; want %v", err, ErrNoKey)
	}
	_, err = k.Load(plain.ID(), nil)
	if !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), k.Path(plain.ID())) {
		t.Errorf("Load of a removed key: %v; want %v with the file", err, ErrNoKey)
	}
	if _, err := k.Load(ID{}, nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("Load of no id: %v; want %v", err, ErrNoKey)
	}
}

func TestKeyringModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "keys")
	k, s := OpenKeyring(dir), generate(t)
	if err := k.Create(s, nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, k.Path(s.ID()): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666, 0o777} {
		if err := os.Chmod(k.Path(s.ID()), mode); err != nil {
			t.Fatal(err)
		}
		_, err := k.Load(s.ID(), nil)
		if !errors.Is(err, ErrKeyMode) || !strings.Contains(err.Error(), "chmod 600 ") {
			t.Errorf("mode %v: %v; want %v with the way out", mode, err, ErrKeyMode)
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		if err := os.Chmod(k.Path(s.ID()), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Load(s.ID(), nil); err != nil {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestCreateTwice(t *testing.T) {
	dir := t.TempDir()
	k, s := OpenKeyring(dir), generate(t)
	var made, refused int
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			err := k.Create(s, []byte("a"))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case errors.Is(err, ErrKeyExists):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if made != 1 || refused != 7 {
		t.Errorf("made %d times, refused %d times", made, refused)
	}
	if err := k.Create(s, nil); !errors.Is(err, ErrKeyExists) {
		t.Errorf("Create: %v; want %v", err, ErrKeyExists)
	}
	if got, err := k.Load(s.ID(), answer("a")); err != nil || got.ID() != s.ID() {
		t.Errorf("the key that was there: %v, %v", got, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want one file", entries, err)
	}
}

func TestCreateFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := OpenKeyring(file).Create(generate(t), nil); err == nil {
		t.Error("a key folder that is a file")
	}
	if _, err := OpenKeyring(file).List(); err == nil {
		t.Error("List of a file")
	}
	// A dangling link in the place of the key must not be followed.
	dir := t.TempDir()
	k, s := OpenKeyring(dir), generate(t)
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), k.Path(s.ID())); err != nil {
		t.Fatal(err)
	}
	if err := k.Create(s, nil); !errors.Is(err, ErrKeyExists) {
		t.Errorf("Create over a link: %v; want %v", err, ErrKeyExists)
	}
	if _, err := os.Stat(filepath.Join(dir, "elsewhere")); err == nil {
		t.Error("the key went to where a link pointed")
	}
}

func TestLoadKinds(t *testing.T) {
	dir := t.TempDir()
	k, s, other := OpenKeyring(dir), generate(t), generate(t)
	if err := OpenKeyring(filepath.Join(dir, "stick")).Create(s, nil); err != nil {
		t.Fatal(err)
	}
	put := func(make func(path string) error) {
		t.Helper()
		os.Remove(k.Path(s.ID()))
		if err := make(k.Path(s.ID())); err != nil {
			t.Fatal(err)
		}
	}
	put(func(path string) error {
		return os.Symlink(OpenKeyring(filepath.Join(dir, "stick")).Path(s.ID()), path)
	})
	if got, err := k.Load(s.ID(), nil); err != nil || got.ID() != s.ID() {
		t.Errorf("Load through a link: %v, %v", got, err)
	}
	for name, make := range map[string]func(path string) error{
		"another's key":  func(path string) error { return os.WriteFile(path, other.text(), 0o600) },
		"empty":          func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"long":           func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("a"), MaxKeyFile+1), 0o600) },
		"a folder":       func(path string) error { return os.Mkdir(path, 0o700) },
		"a named pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"an endless one": func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		put(make)
		if got, err := k.Load(s.ID(), nil); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, ErrKeyFile)
		}
	}
}

// TestSealedFileDamaged checks that no byte of a sealed key file can change unnoticed.
func TestSealedFileDamaged(t *testing.T) {
	k, s := OpenKeyring(t.TempDir()), generate(t)
	if err := k.Create(s, []byte("a")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(k.Path(s.ID()))
	if err != nil {
		t.Fatal(err)
	}
	damaged(data, func(what string, at int, bad []byte) {
		if err := os.WriteFile(k.Path(s.ID()), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Load(s.ID(), answer("a")); !errors.Is(err, ErrKeyFile) && !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("key file %s at %d: %v; want %v", what, at, err, ErrKeyFile)
		}
	})
}

func TestListIgnores(t *testing.T) {
	dir := t.TempDir()
	k, s := OpenKeyring(dir), generate(t)
	if err := k.Create(s, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".new-1.tmp", "note.txt", "x.key", ".key", s.ID().String(), s.ID().String() + ".key~",
		"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy.key", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnvNBJ.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := k.List(); err != nil || len(ids) != 1 || ids[0] != s.ID() {
		t.Errorf("List = %v, %v; want %v", ids, err, s.ID())
	}
}
