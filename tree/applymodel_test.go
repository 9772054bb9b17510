package tree_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"archivecache/tree"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// changes draws changes of which none stands below another.
func (p *person) changes(t *rapid.T, places []string) []tree.Change {
	var list []tree.Change
	for range rapid.IntRange(1, 7).Draw(t, "changes") {
		at := rapid.SampledFrom(places).Draw(t, "place")
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 0, 3).Draw(t, "names") {
			at += "/" + name
		}
		content := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "content")
		c := write(at, p.file(content))
		switch rapid.IntRange(0, 4).Draw(t, "change") {
		case 0, 1:
			c.Entry = nil
		case 2:
			files := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "a/b", "b/a"}), 0, 2).Draw(t, "files")
			if slices.Contains(files, "a/b") || slices.Contains(files, "b/a") {
				files = files[:1]
			}
			c = write(at, p.tree(keyed(files, content)))
		}
		c.Remove = c.Entry == nil || rapid.IntRange(0, 2).Draw(t, "and removes") == 0
		if !slices.ContainsFunc(list, func(d tree.Change) bool { return overlap(c, d) }) {
			list = append(list, c)
		}
	}
	return list
}

func keyed(names []string, content string) map[string]string {
	files := map[string]string{}
	for _, name := range names {
		files[name] = content
	}
	return files
}

func overlap(c, d tree.Change) bool {
	_, below := c.Path.Below(d.Path)
	_, above := d.Path.Below(c.Path)
	return below || above
}

// A dir is a directory of strings and directories.
type dir map[string]any

// change makes a change below d, and reports whether it can be made.
func (d dir) change(names []string, remove bool, entry any) bool {
	old, name := d[names[0]], names[0]
	if len(names) > 1 {
		sub, isDir := old.(dir)
		if !isDir && (old != nil || entry == nil) {
			return entry == nil
		}
		if !isDir {
			sub = dir{}
			d[name] = sub
		}
		return sub.change(names[1:], remove, entry)
	}
	if remove {
		delete(d, name)
		old = nil
	}
	if entry != nil {
		merged, ok := merged(old, entry)
		if !ok {
			return false
		}
		d[name] = merged
	}
	return true
}

// merged returns what stands where old stood and entry is put.
func merged(old, entry any) (any, bool) {
	below, isDir := entry.(dir)
	was, wasDir := old.(dir)
	if old == nil || !isDir && !wasDir {
		return entry, true
	}
	if isDir != wasDir {
		return nil, false
	}
	both := maps.Clone(was)
	for name, e := range below {
		m, ok := merged(was[name], e)
		if !ok {
			return nil, false
		}
		both[name] = m
	}
	return both, true
}

// read returns what c is: a string or a dir.
func (p *person) read(c cid.Cid) any {
	d, err := unixfs.OpenDir(context.Background(), p.blocks, c)
	if err != nil {
		data, err := p.blocks.Get(context.Background(), c)
		p.must(err)
		return string(data)
	}
	all := dir{}
	p.must(d.Each(context.Background(), func(e unixfs.Entry) error { all[e.Name] = p.read(e.Cid); return nil }))
	return all
}

// TestApplyOwned compares changes in an owned directory with what they make of nested maps.
func TestApplyOwned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPeople(t, 1)[0]
		p.must(p.putEntry("root/own", p.tree(map[string]string{"a/a/f": "1", "b/a": "2"}), true))
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			model := p.read(p.root.View()).(dir)
			changes := p.changes(t, []string{"root/own/a", "root/own/b", "root/own/c"})
			refused := p.apply(changes...)
			for _, c := range changes {
				var entry any
				if c.Entry != nil {
					entry = p.read(c.Entry.Cid)
				}
				_, rest := c.Path.First()
				if ok := model.change(rest.Names(), c.Remove, entry); ok != (refused[c.Path.String()] == nil) {
					t.Fatalf("%s can be made: %v, but is refused: %v", c.Path, ok, refused)
				}
			}
			if got := p.read(p.root.View()); fmt.Sprint(got) != fmt.Sprint(model) {
				t.Fatalf("changes %v\nmake  %v\nmodel %v", changes, got, model)
			}
		}
	})
}

// TestApplyIsDeleteAndPut compares changes at once with changes one by one, in all kinds of places.
func TestApplyIsDeleteAndPut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		people := newPeople(t, 2)
		a, b := people[0], people[1]
		files := map[string]string{"a/b": "1", "b": "2"}
		b.stand("root/theirs", files)
		b.stand("root/mixed/b", files)
		b.sign()
		a.merge(b)
		for _, at := range []string{"root/own", "root/plain/a", "root/plain/b/b", "root/mixed/a"} {
			a.stand(at, files)
		}
		places := []string{"root/own", "root/plain", "root/mixed", "root/theirs", "root/new", "root/forum"}
		changes := a.changes(t, places)
		other := *a
		other.root = a.reopened()
		refused := a.apply(changes...)
		want, ok := other.oneByOne(changes)
		if !ok {
			t.SkipNow() // one was made by half
		}
		if got := slices.Sorted(maps.Keys(refused)); !slices.Equal(got, want) {
			t.Fatalf("changes %v, refused %v, want %v", changes, refused, want)
		}
		if !a.root.View().Equals(other.root.View()) {
			t.Fatalf("changes %v\nmake %v\none by one %v", changes, a.list(), other.list())
		}
	})
}

func (p *person) reopened() *tree.Root {
	r, err := tree.OpenRoot(context.Background(), p.blocks, p.root.Cid())
	p.must(err)
	return r
}

// oneByOne makes changes with Delete and Put, and returns the paths of those that are refused; false
// if one of them was made by half.
func (p *person) oneByOne(changes []tree.Change) ([]string, bool) {
	ctx := context.Background()
	refused := map[string]bool{}
	removed := map[string]bool{}
	for _, c := range changes {
		if !c.Remove {
			continue
		}
		switch err := p.root.Delete(ctx, p.ID(), c.Path); {
		case err == nil:
			removed[c.Path.String()] = true
		case !missing(err) || p.root.MayPut(ctx, p.ID(), c.Path) != nil: // Apply does not look into what is another's
			refused[c.Path.String()] = true
		}
	}
	for _, c := range changes {
		if c.Entry == nil || refused[c.Path.String()] {
			continue
		}
		if err := p.root.Put(ctx, p.ID(), c.Path, *c.Entry, true); err != nil {
			refused[c.Path.String()] = true
			if removed[c.Path.String()] {
				return nil, false
			}
		}
	}
	p.commit()
	return slices.Sorted(maps.Keys(refused)), true
}

// missing reports whether err is about nothing to be deleted.
func missing(err error) bool {
	return errors.Is(err, tree.ErrNotFound) || errors.Is(err, tree.ErrNotDirectory) || strings.Contains(err.Error(), "no such file")
}
