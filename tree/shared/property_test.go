package shared

import (
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

// A person has a copy of the directory, with what they know of the others' layers.
type person struct {
	author cid.Cid
	known  Directory
	view   cid.Cid
}

// A moment is a directory and its view, as somebody had them.
type moment struct {
	d    Directory
	view cid.Cid
}

// A game is some people who edit one directory at the same time.
type game struct {
	*world
	t      *rapid.T
	people []*person
	past   []moment
}

func newGame(t *rapid.T) *game {
	g := &game{world: newWorld(t), t: t, past: []moment{{}}}
	for i := range rapid.IntRange(2, 4).Draw(t, "people") {
		p := &person{author: author(i), known: Directory{ID: g.id}}
		p.view = g.view(p.known)
		g.people = append(g.people, p)
	}
	return g
}

// learn replaces one layer in what p knows, and checks the new view in every way.
func (g *game) learn(p *person, l Layer) {
	ctx := context.Background()
	now := Directory{ID: g.id}
	for _, old := range p.known.Layers {
		if !old.Author.Equals(l.Author) {
			now.Layers = append(now.Layers, old)
		}
	}
	now.Layers = append(now.Layers, l)
	nothing := g.view(now)
	before := rapid.SampledFrom(g.past).Draw(g.t, "before")
	for _, from := range []moment{{p.known, p.view}, before} {
		c, err := View(ctx, g.blocks, from.d, from.view, now)
		g.must(err)
		if !c.Equals(nothing) {
			g.Fatalf("view from before %v\nfrom nothing %v\nbefore %v", g.list(c), g.list(nothing), g.list(from.view))
		}
		g.checkChanges(from, now, nothing)
	}
	backwards := Directory{ID: g.id, Layers: slices.Clone(now.Layers)}
	slices.Reverse(backwards.Layers)
	if c := g.view(backwards); !c.Equals(nothing) {
		g.Fatalf("the view depends on the order of the layers")
	}
	if got, want := g.list(nothing), g.model(now); !maps.Equal(got, want) {
		g.Fatalf("view  %v\nmodel %v", got, want)
	}
	conflicts := map[string]cid.Cid{}
	g.must(Conflicts(ctx, g.blocks, now, nothing, func(c Conflict) error {
		if c.Path != c.Plain {
			conflicts[c.Path] = c.Content
		} else if shown := g.list(nothing)[c.Path]; c.ID != nil && c.Kind != unixfs.Directory && !shown.Equals(c.Content) {
			g.Fatalf("conflict %s is %s, shown is %s", c.Path, c.Content, shown)
		}
		return nil
	}))
	if !maps.Equal(conflicts, g.conflicts) {
		g.Fatalf("conflicts %v\nmodel     %v", conflicts, g.conflicts)
	}
	p.known, p.view = now, nothing
	g.past = append(g.past, moment{now, nothing})
}

// path draws a path: one that p sees, or above it, or any.
func (g *game) path(p *person) []string {
	seen := slices.Sorted(maps.Keys(g.list(p.view)))
	if len(seen) > 0 && rapid.IntRange(0, 2).Draw(g.t, "a path that is there") > 0 {
		names := strings.Split(strings.TrimSuffix(rapid.SampledFrom(seen).Draw(g.t, "path"), "/"), "/")
		names = names[:rapid.IntRange(1, len(names)).Draw(g.t, "names")]
		if rapid.IntRange(0, 7).Draw(g.t, "looks like a conflict name of that") == 7 {
			names[len(names)-1] += "~00000000"
		}
		return names
	}
	return rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c.txt"}), 1, 3).Draw(g.t, "path")
}

var contents = rapid.SampledFrom([]string{"one", "two", "three"})

func (g *game) entry() (unixfs.Entry, map[string]string) {
	if rapid.Bool().Draw(g.t, "file") {
		return g.file(contents.Draw(g.t, "content")), nil
	}
	files := rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c.txt", "d/a", "d/b", "e/f/"}), contents, 0, 3).Draw(g.t, "files")
	return g.tree(files), files
}

func (g *game) put(p *person) {
	names, keep := g.path(p), rapid.Bool().Draw(g.t, "keep")
	entry, files := g.entry()
	layer, err := g.editor(p.known, p.view, p.author).Put(context.Background(), names, entry, keep)
	if errors.Is(err, ErrIsFile) || errors.Is(err, ErrIsDirectory) {
		return
	}
	g.must(err)
	before := g.list(p.view)
	g.learn(p, layer)
	after := g.list(p.view)
	at := strings.Join(names, "/")
	if files == nil {
		if !after[at].Equals(entry.Cid) {
			g.Fatalf("%s put at %s; shown: %v", entry.Cid, at, after)
		}
	} else {
		g.checkPutDir(entry.Cid, at, before, after)
	}
	if files == nil || keep {
		written := map[string]bool{at: true, at + "/": true}
		for f := range files {
			written[at+"/"+f] = true
		}
		g.checkKept(before, after, func(path string) bool {
			return written[path] || strings.HasSuffix(path, "/") // an empty directory may get files
		})
	}
}

func (g *game) checkPutDir(dir cid.Cid, at string, before, after map[string]cid.Cid) {
	for path, c := range g.list(dir) {
		is := after[at+"/"+path]
		if strings.HasSuffix(path, "/") {
			is = cid.Undef
			for p := range after {
				if strings.HasPrefix(p, at+"/"+path) {
					is = c // others may have files in it
				}
			}
		}
		if !is.Equals(c) {
			g.Fatalf("%s put at %s: %s is not shown; before %v, after %v", dir, at, path, before, after)
		}
	}
}

func (g *game) delete(p *person) {
	names := g.path(p)
	layer, err := g.editor(p.known, p.view, p.author).Delete(context.Background(), names)
	if errors.Is(err, ErrNotFound) {
		return
	}
	g.must(err)
	at := strings.Join(names, "/")
	before := g.list(p.view)
	g.learn(p, layer)
	after := g.list(p.view)
	gone := func(path string) bool { return path == at || strings.HasPrefix(path, at+"/") }
	for path, c := range after {
		if gone(path) && before[path].Equals(c) && count(before, path, c) <= count(after, path, c) {
			g.Fatalf("%s deleted, %s is still there: before %v, after %v", at, path, before, after)
		}
		if strings.HasPrefix(path, at+"/") {
			g.Fatalf("directory %s deleted, %s is there: before %v, after %v", at, path, before, after)
		}
	}
	g.checkKept(before, after, gone)
}

// count returns how many entries with that content stand beside path. One that had to give way
// to the name which was deleted may have it now.
func count(list map[string]cid.Cid, path string, content cid.Cid) int {
	n := 0
	for p, c := range list {
		if dirOf(p) == dirOf(path) && c.Equals(content) {
			n++
		}
	}
	return n
}

func dirOf(path string) string {
	path = strings.TrimSuffix(path, "/")
	return path[:strings.LastIndexByte(path, '/')+1]
}

// checkKept fails if content that was visible before is not visible in the same directory after,
// under whatever name, unless it was meant to go.
func (g *game) checkKept(before, after map[string]cid.Cid, gone func(path string) bool) {
	type place struct {
		dir string
		cid cid.Cid
	}
	visible := map[place]bool{}
	for path, c := range after {
		visible[place{dirOf(path), c}] = true
	}
	for path, c := range before {
		if !gone(path) && !visible[place{dirOf(path), c}] {
			g.Fatalf("%s has vanished\nbefore %v\nafter  %v", path, before, after)
		}
	}
}

// sync gives p the layer that another has now.
func (g *game) sync(p *person) {
	other := rapid.SampledFrom(g.people).Draw(g.t, "from")
	if layer := newLevel(g.id, other.known.Layers).of(other.author); other != p && !layer.absent() {
		g.learn(p, layer)
	}
}

// TestViewIsAFunctionOfTheLayers lets people edit a directory, each knowing some of what the
// others did.
func TestViewIsAFunctionOfTheLayers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGame(t)
		for range rapid.IntRange(1, 25).Draw(t, "moves") {
			p := rapid.SampledFrom(g.people).Draw(t, "person")
			switch rapid.IntRange(0, 9).Draw(t, "move") {
			case 0:
				g.delete(p)
			case 1, 2, 3:
				g.put(p)
			case 4:
				g.resolve(p)
			case 5:
				g.restore(p)
			default:
				g.sync(p)
			}
		}
	})
}
