package tree_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

var (
	lawPaths = []string{
		"root/forum/a", "root/forum/d", "root/forum/b.txt", "root/forum/d/a", "root/forum/a", "root/forum/d/b.txt",
		"root/forum/d/e/a", "root/team/wiki/a", "root/go", "root/go/tools/a", "root/team/go",
	}
	// lawRefusals are the reasons for which an edit may be refused.
	lawRefusals = []error{
		tree.ErrNotFound, tree.ErrNotDirectory, tree.ErrIsDirectory, tree.ErrForbidden, tree.ErrNotOwner, tree.ErrForked,
		shared.ErrNotFound, shared.ErrIsFile, shared.ErrIsDirectory, path.ErrInvalid,
		shared.ErrNoConflict, shared.ErrNotHidden, shared.ErrAmbiguous, shared.ErrExists,
	}
	lawTrees = [][]string{{"a=1"}, {"a=1", "d/a=2"}, {"b.txt=3", "d/b.txt=1", "d/e/a=2"}, {"e/"}, {}}
)

// place draws a path: one that p sees or above it, or any.
func (p *actor) place(label string) path.Path {
	if p.draw(2, "seen") == 0 {
		return p.there(label)
	}
	return path.MustParse(lawPaths[p.draw(len(lawPaths), label)])
}

// there draws a path that p sees, or above it.
func (p *actor) there(label string) path.Path {
	seen := p.seen()
	names := strings.Split(seen[p.draw(len(seen), label)], "/")
	up := min(p.draw(5, "up")/2, len(names)-3)
	return path.MustParse(strings.Join(names[:len(names)-max(up, 0)], "/"))
}

// content draws the content of a file: often one that nobody else writes.
func (p *actor) content() unixfs.Entry {
	text := rapid.SampledFrom([]string{"", "", "1", "2"}).Draw(p.t, "content")
	if text == "" {
		text = fmt.Sprint("step ", p.steps)
	}
	return p.file(text)
}

func (s *schedule) file(text string) unixfs.Entry {
	b := store.NewBlock(cid.Raw, []byte(text))
	s.must(s.blocks.Put(s.ctx, b))
	return unixfs.Entry{Cid: b.Cid, Tsize: uint64(len(b.Data))}
}

// folder returns a directory with files, given as path=content; a path that ends in a slash is an
// empty directory.
func (s *schedule) folder(files []string) unixfs.Entry {
	below := map[string][]string{}
	var entries []unixfs.Entry
	for _, f := range files {
		name, text, _ := strings.Cut(f, "=")
		if first, rest, deep := strings.Cut(name, "/"); deep {
			below[first] = append(below[first], strings.TrimPrefix(f, first+"/"))
			if rest == "" {
				below[first] = nil
			}
			continue
		}
		e := s.file(text)
		e.Name = name
		entries = append(entries, e)
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		e := s.folder(below[name])
		e.Name = name
		entries = append(entries, e)
	}
	e, err := unixfs.Build(s.ctx, s.blocks, entries)
	s.must(err)
	return e
}

// edit does something to what stands at the given paths, or is refused and changes nothing. What
// nobody sees any more is removed by it, and stood at those paths.
func (p *actor) edit(op func() error, at ...path.Path) {
	root, before, own := p.root.Cid(), p.files(), p.own()
	if err := op(); err != nil {
		if !slices.ContainsFunc(lawRefusals, func(r error) bool { return errors.Is(err, r) }) {
			p.t.Fatalf("%v: refused for a strange reason: %v", at, err)
		}
		lawCounts.of("refused edits").Add(1)
		p.open(root)
		return
	}
	p.commit(root)
	after := p.files()
	p.removed(before, after)
	p.removed(own, p.own()) // what another has as well is still seen
	for f, paths := range before {
		if after[f] != nil {
			continue
		}
		meant := slices.ContainsFunc(paths, func(was string) bool {
			return slices.ContainsFunc(at, func(a path.Path) bool {
				_, below := path.MustParse(was).Below(a)
				return below
			})
		})
		if !meant {
			p.t.Fatalf("an edit of %v has made %v vanish", at, paths)
		}
	}
}

func (p *actor) writeFile() {
	at, e := p.place("at"), p.content()
	p.put(at, e)
}

// put writes a file, which is there then.
func (p *actor) put(at path.Path, e unixfs.Entry) {
	p.edit(func() error {
		err := p.root.Put(p.ctx, p.id, at, e, true)
		if err != nil {
			return err
		}
		if _, err := p.root.Commit(p.ctx); err != nil {
			return err
		}
		shown, err := p.root.Lookup(p.ctx, at)
		if err != nil || !shown.Cid.Equals(e.Cid) {
			p.t.Fatalf("%s was written to %s, and there is %s, %v", e.Cid, at, shown.Cid, err)
		}
		return nil
	}, at)
}

func (p *actor) writeFolder() {
	at, e := p.place("at"), p.folder(rapid.SampledFrom(lawTrees).Draw(p.t, "files"))
	keep := rapid.Bool().Draw(p.t, "keep")
	p.edit(func() error { return p.root.Put(p.ctx, p.id, at, e, keep) }, at)
}

func (p *actor) deleteAny() {
	at := p.there("at")
	p.edit(func() error { return p.root.Delete(p.ctx, p.id, at) }, at)
}

func (p *actor) rename() {
	from, to := p.there("from"), p.place("to")
	p.edit(func() error { return p.root.Move(p.ctx, p.id, from, to) }, from)
}

func (p *actor) copyAny() {
	from, to := p.there("from"), p.place("to")
	p.edit(func() error { return p.root.Copy(p.ctx, p.id, from, to) })
}

// swapKind puts a file where a directory was, or a directory where a file was, in one commit.
func (p *actor) swapKind() {
	at, e := p.there("at"), p.content()
	p.edit(func() error {
		old, err := p.root.Lookup(p.ctx, at)
		if err != nil {
			return err
		}
		if old.Cid.Type() == cid.Raw {
			e = p.folder(lawTrees[1])
		}
		if err := p.root.Delete(p.ctx, p.id, at); err != nil {
			return err
		}
		if _, err := p.root.Commit(p.ctx); err != nil {
			return err
		}
		if _, err := p.root.Lookup(p.ctx, at); err == nil {
			return nil // another version has the name now, and nobody means that one
		}
		return p.root.Put(p.ctx, p.id, at, e, true)
	}, at)
}

// conflictNames returns the paths with a conflict name that p sees.
func (p *actor) conflictNames() []string {
	return slices.DeleteFunc(p.seen(), func(s string) bool { return !strings.Contains(s, "~") })
}

// takeConflictName writes a file to a conflict name that somebody else sees, and p perhaps not.
func (p *actor) takeConflictName() {
	names := p.drawActor("who sees it").conflictNames()
	if len(names) == 0 {
		p.writeFile()
		return
	}
	p.put(path.MustParse(names[p.draw(len(names), "conflict")]), p.content())
}

// editConflict writes to, deletes or renames what is shown under a conflict name.
func (p *actor) editConflict() {
	names := p.conflictNames()
	if len(names) == 0 {
		p.writeFile()
		return
	}
	lawCounts.of("edits of conflict names").Add(1)
	at, e := path.MustParse(names[p.draw(len(names), "conflict")]), p.content()
	switch p.draw(3, "edit") {
	case 0:
		p.put(at, e)
	case 1:
		p.edit(func() error { return p.root.Delete(p.ctx, p.id, at) }, at)
	case 2:
		to := p.place("to")
		p.edit(func() error { return p.root.Move(p.ctx, p.id, at, to) }, at)
	}
}
