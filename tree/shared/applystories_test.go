package shared

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// remove returns the edit that removes what stands at path.
func remove(path string) Edit { return Edit{Names: strings.Split(path, "/"), Remove: true} }

// write returns the edit that puts entry at path.
func write(path string, entry unixfs.Entry) Edit {
	return Edit{Names: strings.Split(path, "/"), Entry: &entry}
}

// replace returns the edit that does both.
func replace(path string, entry unixfs.Entry) Edit {
	return Edit{Names: strings.Split(path, "/"), Remove: true, Entry: &entry}
}

// apply makes edits, and returns why some are refused, by their paths.
func (c *cast) apply(who string, list ...Edit) map[string]error {
	c.Helper()
	for i := range list {
		list[i].Number = i
	}
	p := c.who(who)
	layer, refused, err := c.editor(p.known, p.view, p.author).Apply(context.Background(), list)
	c.must(err)
	c.set(p, layer)
	reasons := map[string]error{}
	for n, err := range refused {
		reasons[at(list[n])] = err
	}
	return reasons
}

// twoSides makes a conflict about name; it returns what has the plain name, and what has not.
func (c *cast) twoSides(name string) (won, lost string) {
	c.put("a", name, "of a")
	c.put("b", name, "of b")
	c.meet()
	lost = otherOf(c)
	return map[string]string{"of a": "of b", "of b": "of a"}[lost], lost
}

var applyStories = []struct {
	name string
	tell func(c *cast)
}{
	{"one side removed and the other written", func(c *cast) {
		_, lost := c.twoSides("f")
		c.apply("c", remove("f"), write(c.conflict("c", lost), c.file("new")))
		c.meet()
		c.shows("~f=new")
	}},
	{"one side written and the other removed", func(c *cast) {
		_, lost := c.twoSides("f")
		c.apply("c", write("f", c.file("new")), remove(c.conflict("c", lost)))
		c.meet()
		c.shows("f=new")
	}},
	{"both sides removed", func(c *cast) {
		_, lost := c.twoSides("f")
		c.apply("c", remove("f"), remove(c.conflict("c", lost)))
		c.meet()
		c.shows()
	}},
	{"both sides written, by the author of one", func(c *cast) {
		_, lost := c.twoSides("f")
		c.apply(lost[3:], write("f", c.file("new")), write(c.conflict("c", lost), c.file("newer")))
		c.meet()
		c.shows("f=new", "~f=newer")
	}},
	{"a side removed and written anew leaves the other", func(c *cast) {
		_, lost := c.twoSides("f")
		c.apply("c", replace("f", c.file("new")))
		c.meet()
		c.shows("f=new", "~f="+lost)
	}},
	{"a side that becomes a directory leaves the other", func(c *cast) {
		_, lost := c.twoSides("f")
		c.apply(lost[3:], replace("f", c.tree(map[string]string{"x": "1"})))
		c.meet()
		c.shows("f/x=1", "~f="+lost)
	}},
	{"a directory that becomes a file leaves a file beside it", func(c *cast) {
		var list []Edit
		var want []string
		for _, x := range strings.Split("stuvwxyz", "") { // by chance one may have the lower id
			c.put("a", x, "file "+x)
			c.put("b", x+"/f", "1")
			list = append(list, replace(x, c.file("new "+x)))
			want = append(want, x+"=new "+x, "~"+x+"=file "+x)
		}
		c.meet()
		c.apply("a", list[:4]...)
		c.apply("c", list[4:]...)
		c.meet()
		c.shows(want...)
	}},
	{"a directory replaced by another", func(c *cast) {
		c.put("a", "d/mine", "1")
		c.put("b", "d/theirs", "2")
		c.meet()
		c.apply("a", replace("d", c.tree(map[string]string{"new": "3"})))
		c.meet()
		c.shows("d/new=3")
	}},
	{"a directory merged into another", func(c *cast) {
		c.put("a", "d/mine", "1")
		c.put("b", "d/theirs", "2")
		c.meet()
		c.apply("a", write("d", c.tree(map[string]string{"new": "3", "theirs": "4"})))
		c.meet()
		c.shows("d/mine=1", "d/new=3", "d/theirs=4")
	}},
	{"the directory itself merged", func(c *cast) {
		c.put("a", "f", "1")
		c.apply("a", Edit{Entry: ptr(c.tree(map[string]string{"g": "2"}))})
		c.meet()
		c.shows("f=1", "g=2")
	}},
	{"what is removed and what is written beside it need the directory once", func(c *cast) {
		c.put("b", "d/e/f", "1")
		c.meet()
		c.apply("a", remove("d/e/f"), write("d/e/g", c.file("2")), remove("none"), remove("no/ne"))
		c.meet()
		c.shows("d/e/g=2")
	}},
	{"a removed name makes room for one with the same hash", func(c *cast) {
		many := filler()
		many["report.txt"] = "1"
		c.apply("a", Edit{Entry: ptr(c.tree(many))})
		other := nameWithHash(unixfs.HashName("report.txt"), 0)
		if refused := c.apply("b", remove("report.txt"), write(other, c.file("2"))); len(refused) > 0 {
			c.Fatalf("refused: %v", refused)
		}
		if c.where("b", "2") != other {
			c.Fatalf("%q is not shown", other)
		}
	}},
}

func ptr[T any](v T) *T { return &v }

func TestApplyStories(t *testing.T) {
	for _, story := range applyStories {
		t.Run(story.name, func(t *testing.T) { story.tell(newCast(t)) })
	}
}

// TestEmptied removes the last file of a directory, with Delete and with Apply.
func TestEmptied(t *testing.T) {
	for _, test := range []struct {
		name, by string
		deleted  []string // what Delete leaves
	}{
		{"an own file", "a", []string{"d/e/="}},
		{"another's file", "b", nil},
		{"another's file that replaced an own one", "ab", nil},
		{"an own file that replaced another's", "ba", []string{"d/e/="}},
	} {
		c := newCast(t)
		for _, who := range strings.Split(test.by, "") {
			c.put(who, "d/e/f", "of "+who)
			c.meet()
		}
		before := c.who("a").known
		c.delete("a", "d/e/f")
		c.meet()
		c.shows(test.deleted...)
		for _, p := range c.people {
			p.known, p.view = before, c.view(before)
		}
		c.apply("a", remove("d/e/f"))
		c.meet()
		c.shows("d/e/=")
		c.apply("b", write("d/e/g", c.file("new")))
		c.meet()
		c.shows("d/e/g=new")
		c.apply("b", remove("d/e/g"))
		c.apply("c", remove("d/e"))
		c.meet()
		c.shows("d/e/=") // which is b's, and c did not know it
		c.apply("c", remove("d/e"))
		c.meet()
		c.shows("d/=")
	}
}

// TestShownEmpty makes an empty directory where the author has files that are hidden.
func TestShownEmpty(t *testing.T) {
	c := newCast(t)
	c.put("a", "d/f", "1")
	c.meet()
	c.delete("b", "d")
	c.meet()
	c.shows()
	c.apply("a", write("d", c.tree(nil)))
	c.meet()
	c.shows("d/=")
	marks := c.layer("b")
	c.set(c.who("a"), Layer{Author: marks.Author}) // as if b were nobody's friend any more
	c.apply("a", write("d/f", c.file("1")))
	c.set(c.who("a"), marks)
	c.shows("d/f=1")
}

func TestApplyRefusals(t *testing.T) {
	c := newCast(t)
	c.put("a", "file", "1")
	c.put("b", "file", "2")
	c.put("a", "dir/f", "1")
	c.meet()
	conflict := c.conflict("a", otherOf(c))
	dir := c.tree(map[string]string{"x": "y"})
	for name, test := range map[string]struct {
		edit Edit
		want error
	}{
		"a file over a directory":            {write("dir", c.file("x")), ErrIsDirectory},
		"a directory over a file":            {write("file", dir), ErrIsFile},
		"a directory over a conflict":        {write(conflict, dir), ErrIsFile},
		"below a file":                       {write("file/x", c.file("x")), ErrIsFile},
		"below a conflict":                   {write(conflict+"/x", c.file("x")), ErrIsFile},
		"a directory in one over a file":     {write("dir", c.tree(map[string]string{"f/x": "y"})), ErrIsFile},
		"the directory itself removed":       {Edit{Remove: true}, ErrForbidden},
		"the directory itself replaced":      {Edit{Remove: true, Entry: &dir}, ErrForbidden},
		"a file for the directory":           {Edit{Entry: ptr(c.file("x"))}, ErrIsDirectory},
		"a file and a directory in the way":  {write("dir", c.tree(map[string]string{"f/x": "y", "g": "z"})), ErrIsFile},
		"what is not there removed":          {remove("none"), nil},
		"what is not there removed below":    {remove("none/x"), nil},
		"removed below a file":               {remove("file/x"), nil},
		"what looks like a conflict removed": {remove("file~00000000"), nil},
	} {
		list := []Edit{test.edit}
		if len(test.edit.Names) > 0 {
			list = append(list, write("new", c.file(name)), write("dir2/new", c.file(name)))
		}
		refused := c.apply("a", list...)
		if err := refused[at(test.edit)]; !errors.Is(err, test.want) || (err != nil) != (len(refused) > 0) {
			t.Errorf("%s: %v, want %v", name, refused, test.want)
		}
		if len(list) > 1 && !c.list(c.who("a").view)["dir2/new"].Equals(c.file(name).Cid) {
			t.Errorf("%s: the rest was not made", name)
		}
		if shown := c.list(c.who("a").view); !shown["dir/f"].Equals(c.file("1").Cid) || !shown[conflict].Defined() || shown["none/"].Defined() {
			t.Errorf("%s: shown is %v", name, shown)
		}
	}
}

// TestApplyCollisions writes names with the same hash into directories that are large or become so.
func TestApplyCollisions(t *testing.T) {
	hash := unixfs.HashName("report.txt")
	names := []string{"report.txt", nameWithHash(hash, 0), nameWithHash(hash, 1)}
	slices.Sort(names)
	for _, before := range []map[string]string{nil, {names[0]: "x"}, filler()} {
		c := newCast(t)
		c.putEntry("a", "d", c.tree(before), true)
		c.meet()
		var list []Edit
		for name := range filler() {
			list = append(list, write("d/"+name, c.file("x")))
		}
		for _, name := range names {
			list = append(list, write("d/"+name, c.file("x")))
		}
		refused := c.apply("b", list...)
		if len(refused) != 2 || !errors.Is(refused["d/"+names[1]], unixfs.ErrCollision) || !errors.Is(refused["d/"+names[2]], unixfs.ErrCollision) {
			t.Errorf("beside %d names: %d refused", len(before), len(refused))
		}
		if shown := c.list(c.who("b").view); len(shown) != 1001 || !shown["d/"+names[0]].Defined() {
			t.Errorf("beside %d names: shown are %d", len(before), len(shown))
		}
	}
}

// TestApplyCollidesWithOwn writes many names, one of which has the hash of one that the author has:
// that one is refused, wherever it stands in the order.
func TestApplyCollidesWithOwn(t *testing.T) {
	c := newCast(t)
	low := ""
	for n := 0; low == "" || low > "0"; n++ {
		low = nameWithHash(unixfs.HashName("report.txt"), n)
	}
	c.put("a", "report.txt", "1")
	list := []Edit{write(low, c.file("x"))}
	for name := range filler() {
		list = append(list, write(name, c.file("x")))
	}
	if refused := c.apply("a", list...); len(refused) != 1 || !errors.Is(refused[low], unixfs.ErrCollision) {
		t.Errorf("%d are refused, not %q alone", len(refused), low)
	}
}

// TestApplyUnread makes edits that need a block which is not there.
func TestApplyUnread(t *testing.T) {
	c := newCast(t)
	lost := unixfs.Entry{Cid: store.Sum(cid.DagProtobuf, []byte("lost")), Tsize: 10}
	p := c.who("a")
	_, _, err := c.editor(p.known, p.view, p.author).Apply(t.Context(), []Edit{write("f", c.file("1")), write("g", lost)})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an entry that cannot be read: %v", err)
	}
}
