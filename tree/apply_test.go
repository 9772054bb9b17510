package tree_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

func gone(at string) tree.Change { return tree.Change{Path: path.MustParse(at), Remove: true} }

func write(at string, e unixfs.Entry) tree.Change {
	return tree.Change{Path: path.MustParse(at), Entry: &e}
}

func replace(at string, e unixfs.Entry) tree.Change {
	return tree.Change{Path: path.MustParse(at), Remove: true, Entry: &e}
}

// apply makes changes, and returns why some are refused, by their paths.
func (p *person) apply(changes ...tree.Change) map[string]error {
	p.Helper()
	refusals, err := p.root.Apply(context.Background(), p.ID(), changes)
	p.must(err)
	p.commit()
	refused := map[string]error{}
	for _, r := range refusals {
		refused[r.Change.Path.String()] = r.Err
	}
	return refused
}

// stand makes an owned directory with files at a path, and plain directories above it.
func (p *person) stand(at string, files map[string]string) {
	p.Helper()
	p.must(p.putEntry("root/made", p.tree(files), true))
	p.must(p.root.Move(context.Background(), p.ID(), path.MustParse("root/made"), path.MustParse(at)))
	p.commit()
}

func TestApplyRefusals(t *testing.T) {
	people := newPeople(t, 2)
	a, b := people[0], people[1]
	b.stand("root/mixed/theirs", map[string]string{"f": "1"})
	b.sign()
	a.merge(b)
	a.must(a.putEntry("root/own", a.tree(map[string]string{"f": "1", "d/g": "2"}), true))
	a.stand("root/mixed/own", nil)
	a.stand("root/mine/own", nil)
	a.must(a.putEntry("root/forum", a.tree(map[string]string{"f": "1", "d/g": "2"}), true))
	file, sub := a.file("x"), a.tree(map[string]string{"x": "y"})
	before := a.list()
	for i, test := range []struct {
		change tree.Change
		want   error
	}{
		{write("root/own", file), tree.ErrIsDirectory},
		{replace("root/own", file), tree.ErrForbidden},
		{write("root/own/d", file), tree.ErrIsDirectory},
		{write("root/own/f", sub), tree.ErrNotDirectory},
		{write("root/own/f/x", file), tree.ErrNotDirectory},
		{replace("root/own/f/x", file), tree.ErrNotDirectory},
		{write("root/own", a.tree(map[string]string{"f/x": "y"})), tree.ErrNotDirectory},
		{gone("root/own/f/x"), nil},
		{gone("root/own/none/x"), nil},
		{write("root/forum", file), tree.ErrIsDirectory},
		{write("root/forum/d", file), tree.ErrIsDirectory},
		{write("root/forum/f", sub), tree.ErrNotDirectory},
		{write("root/forum/f/x", file), tree.ErrNotDirectory},
		{gone("root/forum"), tree.ErrForbidden},
		{replace("root/forum", sub), tree.ErrForbidden},
		{gone("root/forum/none/x"), nil},
		{write("root/mixed/theirs/g", file), tree.ErrNotOwner},
		{gone("root/mixed/theirs"), tree.ErrNotOwner},
		{gone("root/mixed"), tree.ErrNotOwner},
		{replace("root/mixed", sub), tree.ErrNotOwner},
		{write("root/mixed", sub), tree.ErrForbidden},
		{write("root/mixed/f", file), tree.ErrForbidden},
		{replace("root/mixed/f", file), tree.ErrForbidden},
		{write("root/mine", file), tree.ErrForbidden},
		{replace("root/mine", file), tree.ErrForbidden},
		{write("root/f", file), tree.ErrForbidden},
		{write("root/bad\u202e", sub), path.ErrInvalid},
		{gone("root/none/x"), nil},
	} {
		changes := []tree.Change{test.change}
		for _, c := range []tree.Change{write("root/own/new", a.file(fmt.Sprint(i))), write("root/forum/new", a.file(fmt.Sprint(i))), write("root/new/new", a.file(fmt.Sprint(i)))} {
			if !overlap(c, test.change) {
				changes = append(changes, c)
			}
		}
		refused := a.apply(changes...)
		if err := refused[test.change.Path.String()]; !errors.Is(err, test.want) || (err != nil) != (len(refused) > 0) {
			t.Errorf("%v: refused %v, want %v", test.change, refused, test.want)
		}
		after := a.list()
		if after["new/new"] != fmt.Sprint(i) {
			t.Errorf("%v: the rest is not made", test.change)
		}
		for _, name := range []string{"own/new", "forum/new", "new/new"} {
			delete(after, name)
		}
		if !maps.Equal(after, before) {
			t.Errorf("%v has changed %v to %v", test.change, before, after)
		}
	}
}

func TestApplyInPlainPlaces(t *testing.T) {
	a := newPeople(t, 1)[0]
	file := a.file("1")
	a.apply(write("root/x/d/f", file), write("root/x/e/g", file), write("root/y", a.tree(nil)), write("root/forum/f", file))
	a.shows("x/d/f=1", "x/e/g=1", "y/=", "forum/f=1")
	if dirs := a.owned(); !slices.Equal(dirs, []string{"root/x", "root/y"}) {
		t.Errorf("owned directories are %v", dirs)
	}
	a.apply(gone("root/x/d"), write("root/y/f", file))
	a.apply(gone("root/x"), write("root/x2/d", a.tree(nil)))
	a.shows("y/f=1", "forum/f=1", "x2/d/=")
	a.must(a.root.Move(t.Context(), a.ID(), path.MustParse("root/y"), path.MustParse("root/z/y")))
	a.commit()
	a.apply(write("root/z/new/f", file), write("root/z/new/g", file))
	a.shows("z/y/f=1", "z/new/f=1", "z/new/g=1", "forum/f=1", "x2/d/=")
	if dirs := a.owned(); !slices.Equal(dirs, []string{"root/x2", "root/z/new", "root/z/y"}) {
		t.Errorf("owned directories are %v", dirs)
	}
	a.apply(replace("root/z", a.tree(map[string]string{"h": "2"})), replace("root/x2", a.tree(map[string]string{"i": "3"})))
	a.shows("z/h=2", "x2/i=3", "forum/f=1")
	a.apply(gone("root/z"), gone("root/x2"), gone("root/forum/f"))
	a.shows()
}

// owned returns where owned directories are shown.
func (p *person) owned() []string {
	dirs, err := p.root.Directories(context.Background())
	p.must(err)
	var all []string
	for _, d := range dirs {
		if !d.Shared() {
			all = append(all, d.Shown.String())
		}
	}
	slices.Sort(all)
	return all
}

func TestApplyNonsense(t *testing.T) {
	a := newPeople(t, 1)[0]
	for name, changes := range map[string][]tree.Change{
		"below another":        {gone("root/own"), write("root/own!", a.tree(nil)), write("root/own/f", a.file("1"))},
		"twice":                {gone("root/own/f"), write("root/own/f", a.file("1"))},
		"nothing to do":        {{Path: path.MustParse("root/own/f")}},
		"outside of root":      {gone("scratch/x")},
		"the top of the tree":  {gone(".")},
		"below what is put":    {write("root/forum/d", a.tree(nil)), write("root/forum/d/f", a.file("1"))},
		"below root, and root": {gone("root"), write("root/own/f", a.file("1"))},
	} {
		if _, err := a.root.Apply(t.Context(), a.ID(), changes); !errors.Is(err, path.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := a.commit(); !c.Equals(a.root.Cid()) || len(a.owned()) > 0 {
		t.Error("something was made")
	}
}

// TestApplyForked makes changes where the author has forked the directory.
func TestApplyForked(t *testing.T) {
	a := newPeople(t, 1)[0]
	a.must(a.put("root/own/f", "1"))
	a.must(a.put("root/forum/f", "1"))
	a.sign()
	copied := *a
	copied.marks, copied.root = maps.Clone(a.marks), a.reopened()
	for i, p := range []*person{a, &copied} {
		p.apply(write("root/own/f", p.file(fmt.Sprint("of copy ", i))), write("root/forum/f", p.file(fmt.Sprint("of copy ", i))))
		p.sign()
	}
	a.merge(&copied)
	refused := a.apply(write("root/own/g", a.file("1")), write("root/forum/g", a.file("1")), write("root/new/g", a.file("1")))
	if len(refused) != 2 || !errors.Is(refused["root/own/g"], tree.ErrForked) || !errors.Is(refused["root/forum/g"], tree.ErrForked) {
		t.Errorf("refused %v", refused)
	}
	if a.list()["new/g"] != "1" {
		t.Error("the rest is not made")
	}
}

// faulty are blocks of which one cannot be read, after the next few.
type faulty struct {
	store.Blocks
	left int
}

func (f *faulty) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if f.left--; f.left == -1 {
		return nil, store.ErrNotFound
	}
	return f.Blocks.Get(ctx, c)
}

// TestApplyUnread makes changes while the first block that is needed cannot be read, then the second,
// and so on: nothing may change, until all can be read.
func TestApplyUnread(t *testing.T) {
	people := newPeople(t, 2)
	a, b := people[0], people[1]
	b.must(b.putEntry("root/forum", b.tree(map[string]string{"f": "1", "d/g": "2"}), true))
	b.sign()
	a.merge(b)
	for i := range 20 { // so that drafts take more than a block
		a.must(a.putEntry(fmt.Sprint("root/own", i), a.tree(map[string]string{"f": "1", "d/g/h": "2"}), true))
	}
	changes := []tree.Change{
		write("root/forum/new", a.file("3")), gone("root/forum/d/g"), write("root/new/f", a.file("3")), gone("root/own0"),
		gone("root/own1/f"), write("root/own1/d/g", a.tree(map[string]string{"h": "3"})), write("root/own2", a.tree(map[string]string{"d/g/h": "4"})),
		write("root/own3", a.tree(nil)), gone("root/own3x"),
	}
	for n := 0; ; n++ {
		blocks := &faulty{a.blocks, 1 << 30}
		r, err := tree.OpenRoot(t.Context(), blocks, a.root.Cid())
		a.must(err)
		blocks.left = n
		refusals, err := r.Apply(t.Context(), a.ID(), changes)
		blocks.left = 1 << 30
		c, fault := r.Commit(t.Context())
		a.must(fault)
		if err == nil {
			if len(refusals) > 0 || c.Equals(a.root.Cid()) || n < 50 {
				t.Errorf("after %d reads: refused %v", n, refusals)
			}
			break
		}
		if !errors.Is(err, store.ErrNotFound) || !c.Equals(a.root.Cid()) {
			t.Fatalf("after %d reads: %v; the root has changed: %v", n, err, !c.Equals(a.root.Cid()))
		}
	}
}

// TestApplyCollisions writes names with the same hash into an owned directory.
func TestApplyCollisions(t *testing.T) {
	const evil = ",;?2:}Zj<:w.IPqO" // has the hash of docs
	for _, before := range []string{"", "docs", evil} {
		a := newPeople(t, 1)[0]
		files := map[string]string{"f": "1"}
		if before != "" {
			files[before] = "1"
		}
		a.must(a.putEntry("root/own", a.tree(files), true))
		changes := []tree.Change{write("root/own/docs/x", a.file("2")), write("root/own/"+evil+"/x", a.file("2")), gone("root/own/f")}
		if before != "" {
			changes = []tree.Change{write("root/own/docs", a.file("2")), write("root/own/"+evil, a.file("2"))}
		}
		for i := range 1_000 {
			changes = append(changes, write(fmt.Sprintf("root/own/%0250d", i), a.file("2")))
		}
		refused := a.apply(changes...)
		want := "root/own/docs"
		if before == "" {
			want += "/x"
		} else if before == "docs" {
			want = "root/own/" + evil
		}
		if len(refused) != 1 || !errors.Is(refused[want], unixfs.ErrCollision) {
			t.Errorf("beside %q: %d refused: %v", before, len(refused), refused[want])
		}
	}
}

// BenchmarkApply makes 5,000 changes in one directory.
func BenchmarkApply(b *testing.B) {
	const n = 5_000
	people := newPeople(b, 2)
	p, other := people[0], people[1]
	p.must(p.put("root/own/d/f", "1"))
	var theirs []tree.Change
	for i := range n {
		theirs = append(theirs, write(fmt.Sprint("root/forum/theirs/", i, ".txt"), other.file(fmt.Sprint(i))))
	}
	other.apply(theirs...)
	other.sign()
	p.merge(other)
	for _, test := range []struct {
		name, dir string
		change    func(at string) tree.Change
	}{
		{"owned", "root/own/d/", func(at string) tree.Change { return write(at, p.file(at)) }},
		{"found", "root/new/d/", func(at string) tree.Change { return write(at, p.file(at)) }},
		{"shared", "root/forum/d/", func(at string) tree.Change { return write(at, p.file(at)) }},
		{"shared-written", "root/forum/theirs/", func(at string) tree.Change { return write(at, p.file(at)) }},
		{"shared-removed", "root/forum/theirs/", gone},
	} {
		var changes []tree.Change
		for i := range n {
			changes = append(changes, test.change(fmt.Sprint(test.dir, i, ".txt")))
		}
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				refusals, err := p.reopened().Apply(b.Context(), p.ID(), changes)
				if err != nil || len(refusals) > 0 {
					b.Fatal(err, refusals)
				}
			}
		})
	}
}
