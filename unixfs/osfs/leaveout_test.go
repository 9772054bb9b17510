package osfs_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"archivecache/unixfs/osfs"
)

func TestLeaveOut(t *testing.T) {
	src := t.TempDir()
	tree{"a": "alpha", "no/secret": "x", "sub/no/deep/secret": "y", "sub/b": "beta", "sub/nothing": "n"}.write(t, src)
	reason := errors.New("it says no")
	var mu sync.Mutex
	var asked, skipped []string
	opt := osfs.Options{
		Exclude: []string{"/excluded/"},
		LeaveOut: func(path string) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, path)
			if filepath.Base(path) == "no" {
				return reason
			}
			return nil
		},
	}
	tree{"excluded/x": "x"}.write(t, src)
	if _, err := osfs.Import(ctx, new(memory), src, opt); !errors.Is(err, reason) || !strings.Contains(err.Error(), "no:") {
		t.Errorf("without Skipped: %v", err)
	}
	asked = nil
	opt.Skipped = func(path string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if skipped = append(skipped, path); !errors.Is(err, reason) {
			t.Errorf("%s: %v", path, err)
		}
	}
	m := new(memory)
	got, err := osfs.Import(ctx, m, src, opt)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	list(t, m, got.Entry, "", &names)
	slices.Sort(names)
	if want := []string{"a", "sub/b", "sub/nothing"}; !slices.Equal(names, want) {
		t.Errorf("imported %q, want %q", names, want)
	}
	slices.Sort(skipped)
	if want := []string{filepath.Join(src, "no"), filepath.Join(src, "sub/no")}; !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
	slices.Sort(asked)
	if want := []string{filepath.Join(src, "no"), filepath.Join(src, "sub"), filepath.Join(src, "sub/no")}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q: neither the top, nor what is excluded, nor files", asked, want)
	}
}

func TestCheck(t *testing.T) {
	src := t.TempDir()
	long := "secret " + strings.Repeat("x", 9<<20) // read by the way for large files
	tree{"empty": "", "short": "abc", "sub/long": long}.write(t, src)
	var mu sync.Mutex
	heads := map[string]string{}
	check := func(path string, head []byte) error {
		mu.Lock()
		defer mu.Unlock()
		rel, _ := filepath.Rel(src, path)
		heads[rel] += string(head)
		return nil
	}
	plain, err := osfs.Import(ctx, new(memory), src, osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := osfs.Import(ctx, new(memory), src, osfs.Options{Check: check})
	if err != nil || got != plain {
		t.Errorf("%+v, %v; want %+v", got, err, plain)
	}
	if len(heads) != 2 || heads["short"] != "abc" || heads["sub/long"] != long[:64] {
		t.Errorf("heads %q", heads)
	}
	reason := errors.New("a secret")
	for _, name := range []string{"short", "sub/long"} {
		refuse := func(path string, head []byte) error {
			if strings.HasSuffix(path, name) {
				return reason
			}
			return nil
		}
		if _, err := osfs.Import(ctx, new(memory), src, osfs.Options{Check: refuse}); !errors.Is(err, reason) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s refused: %v", name, err)
		}
	}
}
