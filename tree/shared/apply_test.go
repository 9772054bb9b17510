package shared

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// edits draws edits of which none stands below another.
func (g *game) edits(p *person) []Edit {
	var list []Edit
	for range rapid.IntRange(1, 6).Draw(g.t, "edits") {
		c := Edit{Number: len(list), Names: g.path(p), Remove: rapid.Bool().Draw(g.t, "remove")}
		if !c.Remove || rapid.IntRange(0, 2).Draw(g.t, "and put") == 0 {
			entry, _ := g.entry()
			c.Entry = &entry
		}
		if !slices.ContainsFunc(list, func(d Edit) bool { return nested(at(c), at(d)) || nested(at(d), at(c)) }) {
			list = append(list, c)
		}
	}
	return list
}

func at(c Edit) string { return strings.Join(c.Names, "/") }

func nested(path, top string) bool { return path == top || strings.HasPrefix(path, top+"/") }

// play makes a few moves, and returns somebody who sees what came of them.
func (g *game) play() *person {
	for range rapid.IntRange(1, 12).Draw(g.t, "moves") {
		p := rapid.SampledFrom(g.people).Draw(g.t, "person")
		switch rapid.IntRange(0, 6).Draw(g.t, "move") {
		case 0:
			g.delete(p)
		case 1, 2, 3:
			g.put(p)
		default:
			g.sync(p)
		}
	}
	return rapid.SampledFrom(g.people).Draw(g.t, "person")
}

// shownAs returns contents by plain path: what is shown beside something else counts as of the same
// name.
func shownAs(list map[string]cid.Cid) map[string]bool {
	shown := map[string]bool{}
	for path, c := range list {
		dir, name := dirOf(path), strings.TrimPrefix(path, dirOf(path))
		for plain, _, ok := plainName(name); ok; plain, _, ok = plainName(name) {
			name = plain
		}
		shown[fmt.Sprint(dir, name, " = ", c)] = true
	}
	return shown
}

// expected returns what list shows after the edits that can be made, and the numbers of the others.
func (g *game) expected(list map[string]cid.Cid, edits []Edit) (map[string]cid.Cid, []int) {
	after := maps.Clone(list)
	for _, c := range edits {
		if c.Remove {
			maps.DeleteFunc(after, func(path string, _ cid.Cid) bool { return nested(path, at(c)) })
		}
	}
	var refused []int
	for _, c := range edits {
		if c.Entry == nil {
			continue
		}
		if put := g.under(at(c), *c.Entry); fits(after, put) {
			maps.Copy(after, put)
		} else {
			refused = append(refused, c.Number)
		}
	}
	for path := range list { // directories stay, but those that are removed
		for dir := dirOf(path); dir != ""; dir = dirOf(dir) {
			if !slices.ContainsFunc(edits, func(c Edit) bool { return c.Remove && nested(dir, at(c)) }) {
				after[dir] = emptyCid
			}
		}
	}
	full := func(dir, path string) bool { return dir != path && strings.HasPrefix(path, dir) }
	maps.DeleteFunc(after, func(dir string, _ cid.Cid) bool {
		paths := slices.Collect(maps.Keys(after))
		return strings.HasSuffix(dir, "/") && slices.ContainsFunc(paths, func(path string) bool { return full(dir, path) })
	})
	return after, refused
}

// under returns what is shown if entry stands at path.
func (g *game) under(path string, entry unixfs.Entry) map[string]cid.Cid {
	kind, err := newReader(g.blocks).kind(context.Background(), entry.Cid)
	g.must(err)
	switch {
	case kind != unixfs.Directory:
		return map[string]cid.Cid{path: entry.Cid}
	case entry.Cid.Equals(emptyCid):
		return map[string]cid.Cid{path + "/": emptyCid}
	}
	all := map[string]cid.Cid{}
	for below, c := range g.list(entry.Cid) {
		all[path+"/"+below] = c
	}
	return all
}

// fits reports whether put puts no file over a directory of list, or the other way round.
func fits(list, put map[string]cid.Cid) bool {
	for path := range put {
		for p := range list {
			isDir := strings.HasSuffix(path, "/")
			if strings.HasPrefix(path, p+"/") || !isDir && strings.HasPrefix(p, path+"/") {
				return false
			}
		}
	}
	return true
}

// TestApplyDoesWhatItSays compares what is shown after edits with what was shown before and the
// edits alone.
func TestApplyDoesWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGame(t)
		p := g.play()
		list := g.edits(p)
		before := g.list(p.view)
		layer, refused, err := g.editor(p.known, p.view, p.author).Apply(context.Background(), list)
		g.must(err)
		want, refusals := g.expected(before, list)
		if got := slices.Sorted(maps.Keys(refused)); !slices.Equal(got, refusals) {
			g.Fatalf("refused %v, want %v of %v\nbefore %v", refused, refusals, list, before)
		}
		g.learn(p, layer)
		if after := g.list(p.view); !maps.Equal(shownAs(after), shownAs(want)) {
			g.Fatalf("edits %v\nbefore %v\nafter %v\nwant %v", list, before, after, want)
		}
	})
}

// oneByOne makes edits with Delete and Put, those through conflict names first, and returns what is
// shown then; false if one is refused.
func (g *game) oneByOne(p *person, list []Edit) (map[string]cid.Cid, bool) {
	p = &person{author: p.author, known: p.known, view: p.view}
	slices.SortFunc(list, func(a, b Edit) int { return strings.Compare(at(a), at(b)) })
	for _, conflict := range []bool{true, false} {
		for _, puts := range []bool{false, true} {
			for _, c := range list {
				e := g.editor(p.known, p.view, p.author)
				if _, _, ok := plainName(c.Names[len(c.Names)-1]); ok != conflict || puts != (c.Entry != nil) {
					continue
				}
				var layer Layer
				var err error
				if puts {
					layer, err = e.Put(context.Background(), c.Names, *c.Entry, true)
				} else if layer, err = e.Delete(context.Background(), c.Names); errors.Is(err, ErrNotFound) {
					continue
				}
				if errors.Is(err, ErrIsFile) || errors.Is(err, ErrIsDirectory) {
					return nil, false
				}
				g.must(err)
				p.known.Layers = append(level{layers: p.known.Layers}.others(p.author), layer)
				p.view = g.view(p.known)
			}
		}
	}
	return g.list(p.view), true
}

// TestApplyIsDeleteAndPut compares edits at once with edits one by one, but for the directories that
// stay empty.
func TestApplyIsDeleteAndPut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGame(t)
		p := g.play()
		list := g.edits(p)
		for i := range list {
			list[i].Remove = list[i].Entry == nil
		}
		want, ok := g.oneByOne(p, list)
		layer, refused, err := g.editor(p.known, p.view, p.author).Apply(context.Background(), list)
		g.must(err)
		if !ok || len(refused) > 0 {
			if ok {
				g.Fatalf("refused: %v", refused)
			}
			t.SkipNow()
		}
		g.learn(p, layer)
		after := g.list(p.view)
		isDir := func(path string, _ cid.Cid) bool { return strings.HasSuffix(path, "/") }
		maps.DeleteFunc(after, isDir)
		maps.DeleteFunc(want, isDir)
		if !maps.Equal(shownAs(after), shownAs(want)) {
			g.Fatalf("edits %v\nat once %v\none by one %v", list, after, want)
		}
	})
}

// TestApplyInAnyOrder checks that the order in which edits are given does not matter.
func TestApplyInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGame(t)
		p := g.play()
		list := g.edits(p)
		nonces := g.nonces
		want, _, err := g.editor(p.known, p.view, p.author).Apply(context.Background(), list)
		g.must(err)
		g.nonces = nonces // the same ones again
		got, _, err := g.editor(p.known, p.view, p.author).Apply(context.Background(), rapid.Permutation(list).Draw(t, "order"))
		g.must(err)
		if got != want {
			g.Fatalf("the layer depends on the order of the edits")
		}
	})
}
