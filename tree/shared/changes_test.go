package shared

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

// hasDir reports whether a listing has a directory at a path, which is not empty.
func hasDir(list map[string]cid.Cid, path string) bool {
	for p := range list {
		if strings.HasPrefix(p, path+"/") && p != path+"/" {
			return true
		}
	}
	return false
}

// checkChanges holds what Changes tells against the listings of the two views, and what
// EachNewlyHidden tells against the model.
func (w *world) checkChanges(from moment, now Directory, view cid.Cid) {
	w.Helper()
	before, after := w.list(from.view), w.list(view)
	want := map[string]bool{}
	for _, pair := range [][2]map[string]cid.Cid{{before, after}, {after, before}} {
		for p, content := range pair[0] {
			plain, empty := strings.CutSuffix(p, "/")
			if !pair[1][p].Equals(content) && !(empty && hasDir(pair[1], plain)) {
				want[plain] = true
			}
		}
	}
	got := map[string]bool{}
	w.must(Changes(context.Background(), w.blocks, from.d, from.view, now, view, func(c Change) error {
		if got[c.Path] {
			w.Fatalf("%s is told of twice", c.Path)
		}
		got[c.Path] = true
		w.checkChange(c, before, after)
		return nil
	}))
	for p := range want {
		if _, file := before[p]; !got[p] && file && hasDir(after, p) {
			delete(want, p) // shown beside the directory that took its name
		}
	}
	if !maps.Equal(got, want) {
		w.Fatalf("changes %v, want %v\nbefore %v\nafter  %v", got, want, before, after)
	}
	w.checkNewlyHidden(from.d, now)
}

func (w *world) checkChange(c Change, before, after map[string]cid.Cid) {
	w.Helper()
	old, was := before[c.Path]
	new, is := after[c.Path]
	if !was {
		old, was = before[c.Path+"/"]
	}
	if !is {
		new, is = after[c.Path+"/"]
	}
	ok := len(c.Authors) > 0 && (c.Plain != "") == (c.Outcome == PathConflict)
	switch c.Outcome {
	case PathAdded:
		ok = ok && !was && is
	case PathChanged:
		ok = ok && was && is
	case PathDeleted, PathHidden:
		ok = ok && was && !is && c.Content.Equals(old)
	}
	if is && !c.Content.Equals(new) {
		ok = false
	}
	if !ok {
		w.Fatalf("%+v\nbefore %v\nafter  %v", c, before, after)
	}
}

func (w *world) checkNewlyHidden(before, now Directory) {
	w.Helper()
	ctx := context.Background()
	var layers []plainLayer
	for _, l := range now.Layers {
		layers = append(layers, w.plain(l))
	}
	hiddenBefore := map[string]bool{}
	w.must(Hidden(ctx, w.blocks, before, func(h HiddenVersion) error {
		hiddenBefore[h.ID.String()] = true
		return nil
	}))
	want := map[string]bool{}
	w.must(Hidden(ctx, w.blocks, now, func(h HiddenVersion) error {
		isShown := slices.ContainsFunc(w.modelVersions(now.ID, layers, h.Path), func(v version) bool {
			return v.entry.Cid.Equals(h.Content)
		})
		if w.hasVersion(before, h) && !hiddenBefore[h.ID.String()] && !isShown {
			want[h.Path+" "+h.Content.String()] = true
		}
		return nil
	}))
	got := map[string]bool{}
	w.must(EachNewlyHidden(ctx, w.blocks, before, now, func(h HiddenVersion, by []cid.Cid) error {
		key := h.Path + " " + h.Content.String()
		if len(by) == 0 || got[key] {
			w.Fatalf("%v is hidden by %v, told of before: %v", h, by, got[key])
		}
		got[key] = true
		return nil
	}))
	if !maps.Equal(got, want) {
		w.Fatalf("newly hidden %v, want %v", got, want)
	}
}

// hasVersion reports whether the author of h has that version in d.
func (w *world) hasVersion(d Directory, h HiddenVersion) bool {
	for _, l := range d.Layers {
		p := w.plain(l)
		for _, at := range []string{h.Path, h.Path + "/"} {
			if c, ok := p.files[at]; ok && l.Author.Equals(h.Author) {
				id, err := versionID(l.Author, d.ID, h.Path, c, p.marks[h.Path].Nonce)
				w.must(err)
				return id.String() == h.ID.String()
			}
		}
	}
	return false
}

// TestChangesOfStories tells for each step of a story what changed for somebody who learns of it at
// once.
func TestChangesOfStories(t *testing.T) {
	c := newCast(t)
	name := map[string]string{}
	for _, who := range []string{"a", "b", "c", "d"} {
		name[c.who(who).author.String()] = who
	}
	step := func(why string, do func(), want ...string) {
		t.Helper()
		before := moment{c.who("a").known, c.who("a").view}
		do()
		c.meet()
		p := c.who("a")
		var got []string
		c.must(Changes(t.Context(), c.blocks, before.d, before.view, p.known, p.view, func(change Change) error {
			by := ""
			for _, author := range change.Authors {
				by += name[author.String()]
			}
			got = append(got, fmt.Sprintf("%s %s by %s", change.Outcome, plainOf(change.Path), by))
			return nil
		}))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", why, got, want)
		}
		c.checkChanges(before, p.known, p.view)
	}
	step("two files", func() { c.put("a", "x", "1"); c.put("b", "d/y", "1") }, "added d/y by b", "added x by a")
	step("the same again", func() { c.put("c", "d/y", "1") })
	step("written over", func() { c.put("b", "x", "2") }, "changed x by b")
	step("deleted by its author", func() { c.delete("b", "x") }, "deleted x by b")
	step("deleted by another", func() { c.delete("c", "d/y"); c.put("c", "z", "c"); c.put("d", "z", "d") }, "added z by d", "conflict-both-kept ~z by c", "hidden d/y by c")
	step("one side is taken", func() { c.put("a", "z", "both") }, "changed z by a")
	step("a hidden one is back", func() { c.put("b", "x", "1") }, "restored x by b")
}
