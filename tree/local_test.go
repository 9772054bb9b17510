package tree_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// localTree returns everything in the plain directories below p: values by path. An empty
// directory ends in a slash.
func localTree(t tb, tr *tree.Tree, p path.Path, found map[string]string) map[string]string {
	n := 0
	err := tr.Each(context.Background(), p, func(name string, e tree.Entry) error {
		n++
		below, err := p.Join(name)
		if err != nil {
			return err
		}
		if e.Policy == tree.DirectoryPolicy {
			localTree(t, tr, below, found)
			return nil
		}
		found[below.String()] = string(e.Value)
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if n == 0 && !p.IsTop() {
		found[p.String()+"/"] = ""
	}
	return found
}

// TestLocalTree sets and removes values beside a map of all paths.
func TestLocalTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := store.NewOverlay(store.NewMemory())
		tr := tree.Open(blocks, cid.Undef)
		model := map[string]string{}
		for range rapid.IntRange(1, 30).Draw(t, "edits") {
			names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3).Draw(t, "path")
			p := path.MustParse(strings.Join(names, "/"))
			switch rapid.IntRange(0, 5).Draw(t, "edit") {
			case 0:
				if err := tr.Remove(t.Context(), p); err == nil {
					remove(model, p.String())
				} else if slices.ContainsFunc(slices.Collect(maps.Keys(model)), func(m string) bool { return m == p.String() || strings.HasPrefix(m, p.String()+"/") }) {
					t.Fatalf("%v", err)
				}
			case 1:
				head, err := tr.Flush(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				tr = tree.Open(blocks, head)
			default:
				value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
				err := tr.Set(t.Context(), p, tree.NewValue([]byte(value)))
				if errors.Is(err, tree.ErrNotDirectory) {
					continue // a value stands above it
				}
				if err != nil {
					t.Fatal(err)
				}
				remove(model, p.String())
				for up := p.Parent(); !up.IsTop(); up = up.Parent() {
					delete(model, up.String()+"/")
				}
				model[p.String()] = value
			}
			if got := localTree(t, tr, path.Path{}, map[string]string{}); !maps.Equal(got, model) {
				t.Fatalf("holds %v, want %v", got, model)
			}
		}
	})
}

// remove takes p and all below it out of the model. What it stood in stays, if empty.
func remove(model map[string]string, p string) {
	maps.DeleteFunc(model, func(m, _ string) bool { return m == p || strings.HasPrefix(m, p+"/") })
	up := path.MustParse(p).Parent()
	if up.IsTop() {
		return
	}
	for m := range model {
		if strings.HasPrefix(m, up.String()+"/") {
			return
		}
	}
	model[up.String()+"/"] = ""
}

func TestLocalRefusals(t *testing.T) {
	tr := tree.Open(store.NewOverlay(store.NewMemory()), cid.Undef)
	ctx := t.Context()
	value := tree.NewValue([]byte("1"))
	link := store.Sum(cid.DagCBOR, nil)
	for p, e := range map[string]tree.Entry{
		"root":        value,
		"root/a":      value,
		"root/a/b":    value,
		"root/b":      tree.NewLink(tree.RootPolicy, link),
		"friends/b":   tree.NewLink(tree.RootPolicy, link),
		"scratch/big": tree.NewValue(make([]byte, tree.MaxValue+1)),
		".":           value,
	} {
		if err := tr.Set(ctx, path.MustParse(p), e); err == nil {
			t.Errorf("%s: set", p)
		}
	}
	if err := tr.Set(ctx, path.MustParse("a/value"), value); err != nil {
		t.Fatal(err)
	}
	if err := tr.Set(ctx, path.MustParse("a/value/b"), value); !errors.Is(err, tree.ErrNotDirectory) {
		t.Errorf("below a value: %v", err)
	}
	if err := tr.Set(ctx, path.MustParse("root"), tree.NewLink(tree.RootPolicy, link)); err != nil {
		t.Errorf("the root itself: %v", err)
	}
	for p, want := range map[string]error{
		".": tree.ErrForbidden, "root": tree.ErrForbidden, "none": tree.ErrNotFound, "none/x": tree.ErrNotFound, "a/value/x": tree.ErrNotDirectory,
	} {
		if err := tr.Remove(ctx, path.MustParse(p)); !errors.Is(err, want) {
			t.Errorf("remove %s: %v, want %v", p, err, want)
		}
	}
	if _, err := tr.Get(ctx, path.MustParse("a")); err != nil {
		t.Errorf("a directory that was just made: %v", err)
	}
}
