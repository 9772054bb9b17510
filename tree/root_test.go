package tree_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// known are the reasons for which an edit may be refused.
var known = []error{tree.ErrNotFound, tree.ErrNotDirectory, tree.ErrIsDirectory, tree.ErrForbidden, tree.ErrNotOwner}

// edit makes one random edit, which may be refused.
func (p *person) edit(t *rapid.T) {
	at := rapid.SampledFrom([]string{"root/a", "root/a/b", "root/a/b/f", "root/a/f", "root/b", "root/forum", "root/forum/f", "root/forum/d", "root/forum/d/f"})
	place := at.Draw(t, "at")
	if seen := slices.Sorted(maps.Keys(p.list())); rapid.Bool().Draw(t, "seen") {
		place = "root/" + strings.TrimSuffix(rapid.SampledFrom(seen).Draw(t, "at"), "/")
	}
	content := rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "content")
	var err error
	switch rapid.IntRange(0, 5).Draw(t, "edit") {
	case 0, 1:
		err = p.put(place, content)
	case 2, 3:
		files := map[string]string{"f": content, "d/g": content}
		err = p.putEntry(place, p.tree(files), rapid.Bool().Draw(t, "keep"))
	case 4:
		err = p.delete(place)
	case 5:
		err = p.root.Move(t.Context(), p.ID(), path.MustParse(place), path.MustParse(at.Draw(t, "to")))
		p.commit()
	}
	if err != nil && !slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) && !strings.Contains(err.Error(), "is a") && !strings.Contains(err.Error(), "no such") {
		t.Fatalf("%v", err)
	}
}

// TestPeople lets people edit, sign and merge at random; in the end all merge all, and see the
// same.
func TestPeople(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		people := newPeople(t, rapid.IntRange(2, 3).Draw(t, "people"))
		for range rapid.IntRange(1, 15).Draw(t, "moves") {
			p := rapid.SampledFrom(people).Draw(t, "person")
			switch rapid.IntRange(0, 3).Draw(t, "move") {
			case 0:
				p.sign()
			case 1:
				if from := rapid.SampledFrom(people).Draw(t, "from"); from != p {
					p.merge(from)
				}
			default:
				p.edit(t)
			}
		}
		for _, p := range people {
			p.sign()
		}
		for range 2 {
			for _, p := range rapid.Permutation(people).Draw(t, "order") {
				for _, from := range rapid.Permutation(people).Draw(t, "from") {
					if from != p {
						p.merge(from)
					}
				}
			}
		}
		for _, p := range people {
			if !p.root.Cid().Equals(people[0].root.Cid()) {
				t.Fatalf("%v\nand\n%v", people[0].list(), p.list())
			}
		}
	})
}

// TestMergeOrders merges three people in all orders, also by way of each other.
func TestMergeOrders(t *testing.T) {
	var want cid.Cid
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for _, chained := range []bool{false, true} {
			people := newPeople(t, 4)
			for i, p := range people[:3] {
				p.must(p.put("root/forum/f", fmt.Sprint("of ", i)))
				p.must(p.putEntry("root/go", p.tree(map[string]string{"f": fmt.Sprint(i)}), false))
				p.sign()
			}
			reader := people[3]
			for i, n := range order {
				if chained && i > 0 {
					people[n].merge(people[order[i-1]])
				} else if !chained {
					reader.merge(people[n])
				}
			}
			reader.merge(people[order[2]])
			if want.Defined() && !reader.root.Cid().Equals(want) {
				t.Errorf("order %v, chained %v: %v", order, chained, reader.list())
			}
			want = reader.root.Cid()
			if changes := reader.merge(people[order[0]]); len(changes) > 0 && chained == false {
				t.Errorf("merged again: %+v", changes)
			}
		}
	}
}

func TestLayout(t *testing.T) {
	people := newPeople(t, 3)
	a, b, c := people[0], people[1], people[2]
	a.must(a.putEntry("root/go", a.tree(map[string]string{"f": "of a"}), false))
	b.must(b.putEntry("root/go", b.tree(map[string]string{"f": "of b"}), false))
	c.must(c.putEntry("root/go/tools", c.tree(map[string]string{"f": "of c"}), false))
	c.must(c.put("root/forum/f", "in the forum"))
	for _, p := range people {
		p.sign()
	}
	for range 2 {
		a.merge(b)
		b.merge(c)
		c.merge(a)
	}
	a.merge(b)
	if !a.root.Cid().Equals(b.root.Cid()) || !a.root.Cid().Equals(c.root.Cid()) {
		t.Fatalf("not the same: %v, %v, %v", a.list(), b.list(), c.list())
	}
	contents := slices.Sorted(maps.Values(a.list()))
	if !slices.Equal(contents, []string{"in the forum", "of a", "of b", "of c"}) {
		t.Errorf("shown: %v", a.list())
	}
	dirs, err := a.root.Directories(t.Context())
	a.must(err)
	for _, d := range dirs {
		_, rest := d.Shown.First()
		if _, err := tree.Walk(t.Context(), a.blocks, a.root.View(), d.Shown, rest.Names()); err != nil {
			t.Errorf("%s is shown at %s: %v", d.Path, d.Shown, err)
		}
		if by, names := tree.Governor(dirs, d.Shown); by != d || len(names) != 0 {
			t.Errorf("%s is governed by another", d.Shown)
		}
	}
}

func TestOwnedLife(t *testing.T) {
	people := newPeople(t, 2)
	a, b := people[0], people[1]
	a.must(a.put("root/docs/2024/f", "1"))
	a.shows("docs/2024/f=1")
	if err := a.put("root/file", "1"); !errors.Is(err, tree.ErrForbidden) {
		t.Errorf("a file below root: %v", err)
	}
	a.sign()
	b.merge(a)
	b.shows("docs/2024/f=1")
	for what, err := range map[string]error{
		"write": b.put("root/docs/g", "2"), "delete": b.delete("root/docs"),
		"move": b.root.Move(t.Context(), b.ID(), path.MustParse("root/docs"), path.MustParse("root/x")),
	} {
		if !errors.Is(err, tree.ErrNotOwner) {
			t.Errorf("%s another's directory: %v", what, err)
		}
	}
	before, _ := a.root.Directories(t.Context())
	a.must(a.root.Move(t.Context(), a.ID(), path.MustParse("root/docs"), path.MustParse("root/old/docs")))
	a.commit()
	a.shows("old/docs/2024/f=1")
	after, _ := a.root.Directories(t.Context())
	for i := range before {
		if !before[i].ID.Equals(after[i].ID) {
			t.Errorf("a move has made another directory")
		}
	}
	a.must(a.put("root/docs/f", "2")) // the id of the old one is in use
	a.must(a.delete("root/old"))
	a.sign()
	b.merge(a)
	b.shows("docs/f=2")
	a.must(a.root.Copy(t.Context(), a.ID(), path.MustParse("root/docs"), path.MustParse("root/forum/docs")))
	a.commit()
	a.sign()
	b.merge(a)
	b.shows("docs/f=2", "forum/docs/f=2")
	b.must(b.delete("root/forum/docs"))
	b.sign()
	a.merge(b)
	a.shows("docs/f=2")
}

// TestTwoEditsInOneCommit checks that the second edit sees the first.
func TestTwoEditsInOneCommit(t *testing.T) {
	a := newPeople(t, 1)[0]
	for name, content := range map[string]string{"d/f": "1", "d/g": "2", "h": "3"} {
		a.must(a.root.Put(t.Context(), a.ID(), path.MustParse("root/forum/"+name), a.file(content), true))
	}
	err := a.root.Put(t.Context(), a.ID(), path.MustParse("root/forum/d"), a.file("4"), true)
	if err == nil {
		t.Error("a file has taken the place of a directory that the same commit made")
	}
	a.commit()
	a.shows("forum/d/f=1", "forum/d/g=2", "forum/h=3")
}

// TestRebase merges what a copy of the repository has signed while there are drafts.
func TestRebase(t *testing.T) {
	people := newPeople(t, 1)
	a := people[0]
	for _, top := range []string{"root/own", "root/forum"} {
		a.must(a.putEntry(top, a.tree(map[string]string{"same": "0", "mine": "0", "theirs": "0", "both": "0", "gone": "0", "d/x": "0"}), true))
	}
	a.sign()
	copied := *a
	copied.marks = maps.Clone(a.marks)
	var err error
	copied.root, err = tree.OpenRoot(t.Context(), a.blocks, a.root.Cid())
	a.must(err)
	for _, top := range []string{"root/own/", "root/forum/"} {
		for name, content := range map[string]string{"theirs": "T", "both": "T", "gone": "T", "d/y": "T", "new-t": "T"} {
			copied.must(copied.put(top+name, content))
		}
		for name, content := range map[string]string{"mine": "M", "both": "M", "new-m": "M"} {
			a.must(a.put(top+name, content))
		}
		a.must(a.delete(top + "gone"))
		a.must(a.delete(top + "d"))
	}
	copied.sign()
	a.merge(&copied)
	got := a.list()
	for _, top := range []string{"own/", "forum/"} {
		var lines []string
		for name, content := range got {
			if name, ok := strings.CutPrefix(name, top); ok {
				name, _, _ = strings.Cut(name, "~")
				lines = append(lines, name+"="+content)
			}
		}
		slices.Sort(lines)
		want := []string{"both=M", "both=T", "d/y=T", "gone=T", "mine=M", "new-m=M", "new-t=T", "same=0", "theirs=T"}
		if !slices.Equal(lines, want) {
			t.Errorf("%s: %q\nwant %q", top, lines, want)
		}
	}
	a.sign()
	if changes := copied.merge(a); len(changes) != 2 || changes[0].Outcome != state.Newer || changes[1].Outcome != state.Newer {
		t.Errorf("what was put on top is no continuation: %+v", changes)
	}
}

func FuzzRoot(f *testing.F) {
	blocks := store.NewOverlay(store.NewMemory())
	p := newPeople(f, 1)[0]
	p.must(p.put("root/forum/f", "1"))
	data, err := p.blocks.Get(f.Context(), p.root.Cid())
	p.must(err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		record, err := tree.DecodeRoot(data)
		if err != nil {
			return
		}
		if again, err := dagcbor.Marshal(record); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x is read and written as %x, %v", data, again, err)
		}
		b := store.NewBlock(cid.DagCBOR, data)
		if err := blocks.Put(t.Context(), b); err != nil {
			return // larger than a block may be
		}
		if r, err := tree.OpenRoot(t.Context(), blocks, b.Cid); err == nil {
			_, _ = r.Directories(t.Context())
		}
	})
}
