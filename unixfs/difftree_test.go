package unixfs_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// build writes a directory with files, given by their paths; a path that ends with a slash is an
// empty directory.
func buildTree(t *testing.T, blocks store.Blocks, files map[string]string) cid.Cid {
	t.Helper()
	below := map[string]map[string]string{}
	var entries []unixfs.Entry
	add := func(e unixfs.Entry, err error) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	for p, content := range files {
		name, rest, deep := strings.Cut(p, "/")
		if !deep {
			b := store.NewBlock(cid.Raw, []byte(content))
			add(unixfs.Entry{Name: name, Cid: b.Cid, Tsize: uint64(len(content))}, blocks.Put(t.Context(), b))
			continue
		}
		if below[name] == nil {
			below[name] = map[string]string{}
		}
		if rest != "" {
			below[name][rest] = content
		}
	}
	for name, files := range below {
		d, err := unixfs.OpenDir(t.Context(), blocks, buildTree(t, blocks, files))
		if err != nil {
			t.Fatal(err)
		}
		e := d.Entry()
		e.Name = name
		add(e, nil)
	}
	e, err := unixfs.Build(t.Context(), blocks, entries)
	if err != nil {
		t.Fatal(err)
	}
	return e.Cid
}

func diffLines(ctx context.Context, blocks store.Blocks, a, b cid.Cid) ([]string, error) {
	var lines []string
	err := unixfs.DiffTree(ctx, blocks, a, b, func(path string, old, updated *unixfs.Entry) error {
		lines = append(lines, fmt.Sprintf("%s %v %v", path, old != nil, updated != nil))
		return nil
	})
	slices.Sort(lines)
	return lines, err
}

func TestDiffTree(t *testing.T) {
	blocks := store.NewOverlay(store.NewMemory())
	old := buildTree(t, blocks, map[string]string{
		"same": "1", "changed": "1", "gone": "1", "dir/same": "1", "dir/gone": "1", "file": "1", "turned/in": "1",
		"emptied/a": "1", "filled/": "", "was empty/": "",
	})
	updated := buildTree(t, blocks, map[string]string{
		"same": "1", "changed": "2", "new": "1", "dir/same": "1", "dir/new": "1", "file/in": "1", "turned": "1",
		"emptied/": "", "filled/a": "1", "is empty/": "",
	})
	got, err := diffLines(t.Context(), blocks, old, updated)
	want := []string{
		"changed true true", "dir/gone true false", "dir/new false true", "emptied/a true false", "file true false",
		"file/in false true", "filled/a false true", "gone true false", "is empty false true", "new false true",
		"turned false true", "turned/in true false", "was empty true false",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := diffLines(t.Context(), blocks, cid.Undef, old); err != nil || len(got) != 10 {
		t.Errorf("from nothing: %q, %v", got, err)
	}
	if got, err := diffLines(t.Context(), blocks, updated, updated); err != nil || got != nil {
		t.Errorf("the same: %q, %v", got, err)
	}
}

// TestDiffTreeEnds compares directories that are deeper than paths may be, and some that unfold to
// 2^60 paths.
func TestDiffTreeEnds(t *testing.T) {
	blocks := store.NewOverlay(store.NewMemory())
	nest := func(depth int, names ...string) cid.Cid {
		e := unixfs.Entry{}
		leaf := buildTree(t, blocks, map[string]string{"f": names[0]})
		d, err := unixfs.OpenDir(t.Context(), blocks, leaf)
		if err != nil {
			t.Fatal(err)
		}
		e = d.Entry()
		for range depth {
			var entries []unixfs.Entry
			for _, name := range names {
				entries = append(entries, unixfs.Entry{Name: name, Cid: e.Cid, Tsize: 1})
			}
			if e, err = unixfs.Build(t.Context(), blocks, entries); err != nil {
				t.Fatal(err)
			}
		}
		return e.Cid
	}
	deep, err := diffLines(t.Context(), blocks, cid.Undef, nest(1000, "a"))
	if err != nil || len(deep) != 1 || strings.Count(deep[0], "/") != unixfs.MaxTreeDepth-1 {
		t.Errorf("a deep one: %.40q, %v", deep, err)
	}
	for _, sides := range [][2]cid.Cid{{{}, nest(60, "a", "b")}, {nest(60, "a", "b"), nest(60, "a", "c", "b")}} {
		wide, err := diffLines(t.Context(), blocks, sides[0], sides[1])
		if err != nil || len(wide) < 60 || len(wide) > 400_000 {
			t.Errorf("a wide one: %d lines, %v", len(wide), err)
		}
		paths := map[string]bool{}
		for _, line := range wide {
			paths[line] = true
		}
		if n := len(slices.Collect(maps.Keys(paths))); n != len(wide) {
			t.Errorf("%d lines for %d changes", len(wide), n)
		}
	}
}
