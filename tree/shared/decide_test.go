package shared

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// Decisions about what others wrote: conflicts resolved, and hidden versions restored.

// sides returns the sides of all conflicts that p sees, by plain path.
func (w *world) sides(p *person) map[string][]Conflict {
	all := map[string][]Conflict{}
	w.must(Conflicts(context.Background(), w.blocks, p.known, p.view, func(c Conflict) error {
		all[c.Plain] = append(all[c.Plain], c)
		return nil
	}))
	return all
}

// hidden returns what is hidden from p.
func (w *world) hidden(p *person) []HiddenVersion {
	var all []HiddenVersion
	w.must(Hidden(context.Background(), w.blocks, p.known, func(h HiddenVersion) error {
		all = append(all, h)
		return nil
	}))
	slices.SortFunc(all, func(a, b HiddenVersion) int { return bytes.Compare(a.ID, b.ID) })
	return all
}

// choices draws a decision about the sides of a conflict.
func (g *game) choices(sides []Conflict) []Choice {
	plain := sides[0].Entry().Name
	isDir := sides[0].ID == nil
	files := sides
	if isDir {
		files = sides[1:]
	}
	switch rapid.IntRange(0, 3).Draw(g.t, "decision") {
	case 0:
		if isDir {
			return nil // take the directory
		}
		return []Choice{{plain, rapid.SampledFrom(files).Draw(g.t, "side").Entry()}}
	case 1:
		if isDir {
			plain = "merged"
		}
		return []Choice{{plain, g.file(contents.Draw(g.t, "merged"))}}
	case 2:
		return []Choice{{base(files[0].Path) + "x", files[0].Entry()}} // no choice for the others
	}
	var all []Choice
	for _, s := range files {
		all = append(all, Choice{base(s.Path), s.Entry()})
	}
	return all
}

// resolve lets p resolve one of the conflicts they see, knowing what everybody else has written
// or not, and checks that it is gone for them and for everybody who knew the same.
func (g *game) resolve(p *person) {
	together := rapid.Bool().Draw(g.t, "everybody knows all")
	if together {
		g.syncAll()
	}
	all := g.sides(p)
	if len(all) == 0 {
		return
	}
	plain := rapid.SampledFrom(slices.Sorted(maps.Keys(all))).Draw(g.t, "conflict")
	sides := all[plain]
	choices := g.choices(sides)
	name := rapid.SampledFrom(sides).Draw(g.t, "called by").Path
	e := g.editor(p.known, p.view, p.author)
	if found, err := e.Sides(context.Background(), strings.Split(name, "/")); err != nil || len(found) != len(sides) {
		g.Fatalf("%s has the sides %v, %v; and the list %v", name, found, err, sides)
	}
	layer, err := e.Resolve(context.Background(), strings.Split(name, "/"), choices)
	if errors.Is(err, ErrExists) {
		return
	}
	g.must(err)
	before := g.list(p.view)
	g.learn(p, layer)
	g.checkResolved(p, before, sides, choices)
	if together {
		for _, q := range g.people {
			if q != p {
				g.learn(q, layer)
			}
			g.checkResolved(q, before, sides, choices)
			if !q.view.Equals(p.view) {
				g.Fatalf("people who know the same see different views")
			}
		}
	}
}

func (g *game) checkResolved(p *person, before map[string]cid.Cid, sides []Conflict, choices []Choice) {
	plain := sides[0].Plain
	if left := g.sides(p)[plain]; len(left) > 0 {
		g.Fatalf("%s is resolved, and there is %v", plain, left)
	}
	after := g.list(p.view)
	for _, c := range choices {
		at := dirOf(plain) + c.Name
		if c.Entry.Cid.Equals(emptyCid) {
			at += "/"
		}
		if !after[at].Equals(c.Entry.Cid) {
			g.Fatalf("%s should be %s: %v", at, c.Entry.Cid, after)
		}
	}
	g.checkKept(before, after, func(path string) bool {
		return slices.ContainsFunc(sides, func(s Conflict) bool { return s.ID != nil && s.Path == strings.TrimSuffix(path, "/") })
	})
}

// syncAll gives everybody the layers that everybody has now.
func (g *game) syncAll() {
	for _, from := range g.people {
		layer := newLevel(g.id, from.known.Layers).of(from.author)
		for _, p := range g.people {
			if p != from && !layer.absent() && newLevel(g.id, p.known.Layers).of(from.author) != layer {
				g.learn(p, layer)
			}
		}
	}
}

// restore lets p restore a hidden version, and checks that everybody who knew the same sees it.
func (g *game) restore(p *person) {
	g.syncAll()
	all := g.hidden(p)
	if len(all) == 0 {
		return
	}
	h := rapid.SampledFrom(all).Draw(g.t, "hidden")
	over := rapid.Bool().Draw(g.t, "over")
	layer, err := g.editor(p.known, p.view, p.author).Restore(context.Background(), strings.Split(h.Path, "/"), h.ID, over)
	if errors.Is(err, ErrExists) || errors.Is(err, ErrIsFile) || errors.Is(err, ErrIsDirectory) {
		return
	}
	g.must(err)
	before := g.list(p.view)
	for _, q := range g.people {
		g.learn(q, layer)
		after := g.list(q.view)
		if is := after[h.Path]; h.Kind != unixfs.Directory && !is.Equals(h.Content) {
			g.Fatalf("%s restored; before %v, after %v", h.Path, before, after)
		} else if _, ok := after[h.Path+"/"]; h.Kind == unixfs.Directory && !ok && !hasBelow(after, h.Path) {
			g.Fatalf("directory %s restored; before %v, after %v", h.Path, before, after)
		}
		g.checkKept(before, after, func(path string) bool { return path == h.Path || strings.HasSuffix(path, "/") })
	}
}

func hasBelow(list map[string]cid.Cid, dir string) bool {
	for path := range list {
		if strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}

// TestRestoreAfterAVandal lets somebody delete everything that is visible. What was in no conflict
// comes back for all, or is told of as ambiguous.
func TestRestoreAfterAVandal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGame(t)
		for range rapid.IntRange(1, 15).Draw(t, "moves") {
			p := rapid.SampledFrom(g.people).Draw(t, "person")
			switch rapid.IntRange(0, 5).Draw(t, "move") {
			case 0:
				g.delete(p)
			case 1, 2, 3:
				g.put(p)
			default:
				g.sync(p)
			}
		}
		vandal := &person{author: author(9), known: Directory{ID: g.id}}
		vandal.view = g.view(vandal.known)
		friend := rapid.SampledFrom(g.people).Draw(t, "friend")
		g.people = append(g.people, vandal)
		g.syncAll()
		before, conflicts := g.list(friend.view), g.sides(friend)
		g.deleteEverything(vandal)
		g.syncAll()
		ambiguous, restored := map[string]bool{}, map[string]bool{}
		layer, err := g.editor(friend.known, friend.view, friend.author).RestoreBelow(context.Background(), nil,
			func(h HiddenVersion) { restored[h.Path] = true },
			func(hs []HiddenVersion) { ambiguous[hs[0].Path] = true })
		g.must(err)
		for _, p := range g.people {
			g.learn(p, layer)
			after := g.list(p.view)
			for path := range restored {
				if _, file := after[path]; !file && !hasBelow(after, path) {
					g.Fatalf("%s is told as restored: %v", path, after)
				}
			}
			for path, c := range before {
				own := strings.TrimSuffix(path, "/")
				_, conflict := conflicts[g.plainOf(conflicts, own)]
				if !after[path].Equals(c) && !conflict && !ambiguous[own] && !hasBelow(after, own) {
					g.Fatalf("%s is not back; before %v, after %v, ambiguous %v", path, before, after, ambiguous)
				}
			}
		}
	})
}

// deleteEverything lets p delete what they see, name by name.
func (g *game) deleteEverything(p *person) {
	for len(g.list(p.view)) > 0 {
		top, _, _ := strings.Cut(slices.Sorted(maps.Keys(g.list(p.view)))[0], "/")
		layer, err := g.editor(p.known, p.view, p.author).Delete(context.Background(), []string{top})
		g.must(err)
		g.learn(p, layer)
	}
}

// plain returns the plain path of a side.
func (g *game) plainOf(conflicts map[string][]Conflict, path string) string {
	for plain, sides := range conflicts {
		for _, s := range sides {
			if s.Path == path {
				return plain
			}
		}
	}
	return path
}

// resolve lets somebody take the side with the given content, or a new file.
func (c *cast) resolve(who, path, content string) {
	c.Helper()
	p := c.who(who)
	choice := Choice{Name: base(path), Entry: c.file(content)}
	layer, err := c.editor(p.known, p.view, p.author).Resolve(context.Background(), strings.Split(path, "/"), []Choice{choice})
	c.must(err)
	c.set(p, layer)
}

// conflicting lets a and b write one file each, which all know of.
func conflicting(t *testing.T) *cast {
	c := newCast(t)
	c.put("a", "d/f", "of a")
	c.put("b", "d/f", "of b")
	c.meet()
	return c
}

func TestDecisions(t *testing.T) {
	t.Run("a third person decides", func(t *testing.T) {
		c := conflicting(t)
		c.resolve("c", "d/f", "of a")
		c.meet()
		c.shows("d/f=of a")
		if n := len(c.hidden(c.who("a"))); n != 2 {
			t.Errorf("%d versions are hidden, and both sides are replaced", n)
		}
	})
	t.Run("who wrote a side decides for it", func(t *testing.T) {
		c := conflicting(t)
		c.resolve("a", "d/f", "of a")
		c.resolve("b", "d/f", "of b")
		c.meet()
		if sides := c.sides(c.who("c")); len(sides["d/f"]) != 2 {
			t.Errorf("two decided for themselves: %v", sides)
		}
	})
	t.Run("different decisions are a new conflict, and a third ends it", func(t *testing.T) {
		c := conflicting(t)
		c.resolve("c", "d/f", "of c")
		c.resolve("d", "d/f", "of d")
		c.meet()
		if sides := c.sides(c.who("a")); len(sides["d/f"]) != 2 {
			t.Errorf("sides %v", sides)
		}
		c.resolve("a", "d/f", "of all")
		c.meet()
		c.shows("d/f=of all")
	})
	t.Run("equal decisions are one", func(t *testing.T) {
		c := conflicting(t)
		c.resolve("c", "d/f", "merged")
		c.resolve("d", "d/f", "merged")
		c.meet()
		c.shows("d/f=merged")
	})
	t.Run("without the one who decided the sides are back", func(t *testing.T) {
		c := conflicting(t)
		before := c.who("a").view
		c.resolve("c", "d/f", "merged")
		c.meet()
		d := Directory{ID: c.id, Layers: level{layers: c.who("a").known.Layers}.others(author(2))}
		if !c.view(d).Equals(before) {
			t.Errorf("%v", c.list(c.view(d)))
		}
	})
	t.Run("an edit of a side that the decision did not know of stays", func(t *testing.T) {
		c := conflicting(t)
		c.resolve("c", "d/f", "merged")
		c.put("a", "d/f", "of a, again")
		c.meet()
		if sides := c.sides(c.who("b")); len(sides["d/f"]) != 2 {
			t.Errorf("sides %v", sides)
		}
	})
	t.Run("an empty directory that was deleted comes back", func(t *testing.T) {
		c := newCast(t)
		c.putEntry("a", "d/e", c.tree(nil), true)
		c.meet()
		c.delete("b", "d")
		c.meet()
		c.shows()
		p := c.who("c")
		layer, err := c.editor(p.known, p.view, p.author).RestoreBelow(t.Context(), []string{"d"}, func(HiddenVersion) {}, func(all []HiddenVersion) {
			t.Errorf("ambiguous: %v", all)
		})
		c.must(err)
		c.set(p, layer)
		c.meet()
		c.shows("d/e/=")
	})
	t.Run("what was replaced before the vandal came stays hidden", func(t *testing.T) {
		c := newCast(t)
		c.put("a", "d/f", "1")
		c.meet()
		c.put("b", "d/f", "2")
		c.put("b", "d/f", "3") // which takes the place of 2
		c.meet()
		c.delete("c", "d")
		c.meet()
		p := c.who("d")
		layer, err := c.editor(p.known, p.view, p.author).RestoreBelow(t.Context(), []string{"d", "f"}, func(HiddenVersion) {}, func(all []HiddenVersion) {
			t.Errorf("ambiguous: %v", all)
		})
		c.must(err)
		c.set(p, layer)
		c.meet()
		c.shows("d/f=3")
	})
}
