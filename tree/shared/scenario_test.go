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
)

// A cast is a world with people in it, for stories. Person 0 is a, person 1 is b...
type cast struct {
	*world
	people []*person
}

func newCast(t *testing.T) *cast {
	c := &cast{world: newWorld(t)}
	for i := range 4 {
		c.people = append(c.people, &person{author: author(i), known: Directory{ID: c.id}})
		c.people[i].view = c.view(c.people[i].known)
	}
	return c
}

func (c *cast) who(name string) *person { return c.people[name[0]-'a'] }

func (c *cast) put(who, path, content string) { c.putEntry(who, path, c.file(content), true) }

func (c *cast) putEntry(who, path string, entry unixfs.Entry, keep bool) {
	c.Helper()
	p := c.who(who)
	layer, err := c.editor(p.known, p.view, p.author).Put(context.Background(), strings.Split(path, "/"), entry, keep)
	c.must(err)
	c.set(p, layer)
}

func (c *cast) delete(who, path string) {
	c.Helper()
	p := c.who(who)
	layer, err := c.editor(p.known, p.view, p.author).Delete(context.Background(), strings.Split(path, "/"))
	c.must(err)
	c.set(p, layer)
}

func (c *cast) set(p *person, layer Layer) {
	p.known.Layers = append(level{layers: p.known.Layers}.others(layer.Author), layer)
	p.view = c.view(p.known)
}

func (c *cast) layer(who string) Layer {
	p := c.who(who)
	return level{layers: p.known.Layers}.of(p.author)
}

// meet gives everybody the newest layers of everybody, and checks that all see the same.
func (c *cast) meet() {
	c.Helper()
	for _, from := range []string{"a", "b", "c", "d"} {
		if layer := c.layer(from); !layer.absent() {
			for _, p := range c.people {
				c.set(p, layer)
			}
		}
	}
	for _, p := range c.people {
		if !p.view.Equals(c.people[0].view) {
			c.Fatalf("people who know the same layers see different views")
		}
	}
}

// shows checks what person a sees: the contents by path. A tilde stands for a conflict name.
func (c *cast) shows(want ...string) {
	c.Helper()
	var got []string
	for path, content := range c.list(c.people[0].view) {
		got = append(got, plainOf(path)+"="+c.content(content))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.Fatalf("shown %q, want %q", got, want)
	}
}

func plainOf(path string) string {
	dir, name := path[:strings.LastIndex(path, "/")+1], path[strings.LastIndex(path, "/")+1:]
	if plain, _, ok := plainName(name); ok {
		return dir + "~" + plain
	}
	return path
}

func (c *cast) content(f cid.Cid) string {
	if f.Equals(emptyCid) {
		return ""
	}
	data, err := c.blocks.Get(context.Background(), f)
	c.must(err)
	return string(data)
}

// conflict returns the path that content is shown under to who.
func (c *cast) conflict(who, content string) string {
	for path, f := range c.list(c.who(who).view) {
		if c.content(f) == content && plainOf(path) != path {
			return path
		}
	}
	c.Fatalf("%s is not shown under a conflict name", content)
	return ""
}

// where returns the path that content is shown under to who.
func (c *cast) where(who, content string) string {
	for path, f := range c.list(c.who(who).view) {
		if c.content(f) == content {
			return path
		}
	}
	c.Fatalf("%s is not shown", content)
	return ""
}

// sees reports whether content is shown.
func (c *cast) sees(content string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(c.list(c.people[0].view))), c.file(content).Cid.Equals)
}

// bothSides makes a conflict about f of which a has deleted b's side, and b a's: both are shown.
func (c *cast) bothSides() {
	c.put("a", "f", "of a")
	c.put("b", "f", "of b")
	c.meet()
	c.delete("a", c.where("a", "of b"))
	c.delete("b", c.where("b", "of a"))
	c.meet()
	if !c.sees("of a") || !c.sees("of b") {
		c.Fatalf("two sides that hide each other are not both shown")
	}
}

var stories = []struct {
	name string
	tell func(c *cast)
}{
	{"concurrent edits keep both", func(c *cast) {
		c.put("a", "f.txt", "of a")
		c.put("b", "f.txt", "of b")
		c.meet()
		first, second := "of a", "of b"
		if c.list(c.people[0].view)["f.txt"].Equals(c.file("of b").Cid) {
			first, second = second, first
		}
		c.shows("f.txt="+first, "~f.txt="+second)
	}},
	{"an edit replaces what was seen", func(c *cast) {
		c.put("a", "f", "1")
		c.meet()
		c.put("b", "f", "2")
		c.meet()
		c.shows("f=2")
		c.put("a", "f", "3")
		c.meet()
		c.shows("f=3")
	}},
	{"deleted stays deleted when an older layer comes again", func(c *cast) {
		c.put("a", "f", "1")
		old := c.layer("a")
		c.meet()
		c.delete("b", "f")
		c.meet()
		c.shows()
		c.set(c.who("a"), old)
		c.shows()
	}},
	{"the deleted again by its author is new", func(c *cast) {
		c.put("a", "f", "1")
		c.meet()
		c.delete("b", "f")
		c.meet()
		c.put("a", "f", "1")
		c.meet()
		c.shows("f=1")
	}},
	{"own file deleted and written again is not hit by a mark on what was before", func(c *cast) {
		c.put("a", "f", "1")
		c.meet()
		c.delete("b", "f")
		c.delete("a", "f")
		c.put("a", "f", "1")
		c.meet()
		c.shows("f=1")
	}},
	{"own directory deleted and written again is not hit either", func(c *cast) {
		dir := c.tree(map[string]string{"s/f": "1"})
		c.putEntry("a", "d", dir, true)
		c.meet()
		c.delete("b", "d/s/f")
		c.delete("a", "d")
		c.putEntry("a", "d", dir, true)
		c.meet()
		c.shows("d/s/f=1")
	}},
	{"two who resolve for opposite sides see both", func(c *cast) {
		c.put("a", "f", "of a")
		c.put("b", "f", "of b")
		c.meet()
		lost := otherOf(c)
		won := map[string]string{"of a": "of b", "of b": "of a"}[lost]
		c.delete("c", "f")
		c.delete("d", c.conflict("d", lost))
		c.meet()
		c.shows("~f="+lost, "f="+won)
		c.delete("d", "f") // somebody who sees that can still decide
		c.meet()
		c.shows("f=" + lost)
	}},
	{"deleting a directory spares later files", func(c *cast) {
		c.put("a", "d/f", "1")
		c.meet()
		c.delete("b", "d")
		c.put("a", "d/g", "2")
		c.meet()
		c.shows("d/g=2")
	}},
	{"writing through a conflict name", func(c *cast) {
		c.put("a", "f", "of a")
		c.put("b", "f", "of b")
		c.meet()
		lost := otherOf(c)
		c.put("c", c.conflict("c", lost), "new")
		c.meet()
		won := map[string]string{"of a": "of b", "of b": "of a"}[lost]
		c.shows("f="+won, "~f=new")
	}},
	{"deleting through a conflict name, and then the rest", func(c *cast) {
		c.put("a", "f", "of a")
		c.put("b", "f", "of b")
		c.meet()
		lost := otherOf(c)
		c.delete("c", c.conflict("c", lost))
		c.meet()
		c.shows("f=" + map[string]string{"of a": "of b", "of b": "of a"}[lost])
		c.delete("a", "f")
		c.meet()
		c.shows()
	}},
	{"writing the plain name with the own version under the conflict name", func(c *cast) {
		c.put("a", "f", "of a")
		c.put("b", "f", "of b")
		c.meet()
		lost := otherOf(c)
		c.put(lost[3:], "f", "new")
		c.meet()
		c.shows("f=new", "~f="+lost)
	}},
	{"both names of a conflict written at once", func(c *cast) {
		c.put("a", "f", "of a")
		c.put("b", "f", "of b")
		c.meet()
		lost := otherOf(c)
		dir := c.tree(map[string]string{"f": "new", c.conflict("c", lost): "newer"})
		who := c.who(lost[3:])
		layer, err := c.editor(who.known, who.view, who.author).Put(context.Background(), nil, dir, true)
		c.must(err)
		c.set(who, layer)
		c.meet()
		c.shows("f=new", "~f=newer")
	}},
	{"a directory takes the plain name before a file", func(c *cast) {
		c.put("a", "x", "file")
		c.put("b", "x/f", "1")
		c.meet()
		c.shows("x/f=1", "~x=file")
		c.delete("c", "x")
		c.meet()
		c.shows("x=file")
	}},
	{"an empty directory gives way to files in it", func(c *cast) {
		c.putEntry("a", "d", c.tree(nil), true)
		c.meet()
		c.shows("d/=")
		c.put("b", "d/f", "1")
		c.meet()
		c.shows("d/f=1")
		c.delete("b", "d")
		c.meet()
		c.shows()
		c.putEntry("a", "d", c.tree(nil), true)
		c.meet()
		c.shows("d/=")
	}},
	{"equal content is one entry until one edits it", func(c *cast) {
		c.put("a", "f", "1")
		c.put("b", "f", "1")
		c.meet()
		c.shows("f=1")
		c.put("a", "f", "2")
		c.meet()
		c.shows("f=2")
	}},
	{"a real name that looks like a conflict name, after and before", func(c *cast) {
		c.put("a", "f.txt", "of a")
		c.put("b", "f.txt", "of b")
		c.meet()
		lost := otherOf(c)
		name := c.conflict("c", lost)
		c.delete("c", name)
		c.put("c", name, "real")
		c.meet()
		c.shows("f.txt="+map[string]string{"of a": "of b", "of b": "of a"}[lost], "~f.txt=real")
	}},
	{"of two sides that hide each other one is deleted, and the other stays", func(c *cast) {
		c.bothSides()
		c.delete("a", c.where("a", "of b"))
		c.meet()
		c.shows("f=of a")
	}},
	{"of two sides that hide each other one is replaced, and the other stays", func(c *cast) {
		c.bothSides()
		c.put("c", "f", "of c")
		c.meet()
		c.shows("f=of c", "~f="+map[bool]string{true: "of b", false: "of a"}[c.sees("of b")])
	}},
	{"replacing a directory deletes own files and leaves those of others", func(c *cast) {
		c.put("a", "d/mine", "1")
		c.put("b", "d/theirs", "2")
		c.meet()
		c.putEntry("a", "d", c.tree(map[string]string{"new": "3"}), false)
		c.meet()
		c.shows("d/new=3", "d/theirs=2")
	}},
}

func TestStories(t *testing.T) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) { story.tell(newCast(t)) })
	}
}

// otherOf returns "of a" or "of b", whichever is shown under a conflict name.
func otherOf(c *cast) string {
	for path, f := range c.list(c.people[0].view) {
		if plainOf(path) != path {
			return c.content(f)
		}
	}
	c.Fatalf("no conflict: %v", slices.Collect(maps.Keys(c.list(c.people[0].view))))
	return ""
}

func TestRefusals(t *testing.T) {
	c := newCast(t)
	c.put("a", "file", "1")
	c.put("b", "file", "2")
	c.put("a", "dir/f", "1")
	c.meet()
	p := c.who("a")
	conflict := c.conflict("a", otherOf(c))
	for name, test := range map[string]struct {
		put, delete string
		dir         bool
		want        error
	}{
		"a file over a directory":      {put: "dir", want: ErrIsDirectory},
		"a directory over a file":      {put: "file", dir: true, want: ErrIsFile},
		"a directory over a conflict":  {put: conflict, dir: true, want: ErrIsFile},
		"below a file":                 {put: "file/x", want: ErrIsFile},
		"below a conflict":             {put: conflict + "/x", want: ErrIsFile},
		"delete nothing":               {delete: "none", want: ErrNotFound},
		"delete below nothing":         {delete: "none/x", want: ErrNotFound},
		"delete below a file":          {delete: "file/x", want: ErrNotFound},
		"delete what looks a conflict": {delete: "file~00000000", want: ErrNotFound},
	} {
		e := c.editor(p.known, p.view, p.author)
		var err error
		entry := c.file("x")
		if test.dir {
			entry = c.tree(map[string]string{"x": "y"})
		}
		if test.put != "" {
			_, err = e.Put(context.Background(), strings.Split(test.put, "/"), entry, true)
		} else {
			_, err = e.Delete(context.Background(), strings.Split(test.delete, "/"))
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// TestNameAfterConflictName makes views from those before, while names come and go that look like
// conflict names of a conflict name.
func TestNameAfterConflictName(t *testing.T) {
	c := newCast(t)
	c.put("a", "f", "of a")
	c.put("b", "f", "of b")
	c.meet()
	p := c.who("c")
	for _, name := range []string{c.conflict("c", otherOf(c)) + "~00000000", c.conflict("c", otherOf(c)) + "~00000000~11111111"} {
		before, view := p.known, p.view
		c.put("c", name, "of c")
		for _, to := range []Directory{p.known, before} {
			got, err := View(t.Context(), c.blocks, before, view, to)
			c.must(err)
			if want := c.view(to); !got.Equals(want) {
				t.Errorf("with %s, the view from before is %v, from nothing %v", name, c.list(got), c.list(want))
			}
			before, view = to, c.view(to)
		}
	}
}
