package shared

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// delete removes what is shown under name.
func (e *Editor) delete(ctx context.Context, at place, name string, edits *edits) error {
	g, err := e.group(ctx, at.level, name)
	if err != nil {
		return err
	}
	sub, err := e.sub(ctx, at, g)
	if err != nil {
		return err
	}
	if sub.view.Defined() {
		return e.deleteDir(ctx, at, sub, g, edits)
	}
	if shown := g.shown(false); len(shown) > 0 {
		content := shown[0].entry.Cid
		e.remove(g, content, g.survivor(content), edits)
		return nil
	}
	base, v, err := e.behind(ctx, at, name)
	if err != nil {
		return err
	}
	if base == nil {
		return fmt.Errorf("%s: %w", at.childPath(name), ErrNotFound)
	}
	e.remove(base, v.entry.Cid, base.survivor(v.entry.Cid), edits)
	return nil
}

// survivor returns the id of a version that is left standing when those with the given content
// are deleted; nil if there is none. It is not one that these hide in turn, for then the mark
// would hide nothing.
func (g *group) survivor(content cid.Cid) VersionID {
	out := g.arrows()
	hidden := map[string]bool{}
	for _, v := range g.versions {
		if v.entry.Cid.Equals(content) {
			reach(out, v.id, hidden)
		}
	}
	for _, v := range g.shown(false) {
		if !v.entry.Cid.Equals(content) && !hidden[string(v.id)] {
			return v.id
		}
	}
	return nil
}

// remove takes away what g shows with the given content: the author's own version goes, the
// others get marks by the version id, which may be nil.
func (e *Editor) remove(g *group, content cid.Cid, by VersionID, edits *edits) {
	if g.of(e.author).entry.Cid.Equals(content) {
		e.leave(g, edits)
	}
	e.hideOthers(g, content, by, edits)
}

// maxKept is how many marks on one path an author's own layer has at most, beside those on
// versions that are there: as many as go into a block for 16 paths, which may stand in one. Of
// older ones the oldest go, and marks of others are not repeated any more, so that nobody can
// make another's layer larger than a layer may be. It is changed by tests only.
var maxKept = 1000

// keep returns a copy of the marks in a record of g without the oldest of too many: those of which
// neither the version nor what it was replaced by is there.
func (g *group) keep(marks []Mark) []Mark {
	over := len(marks) + 1 - maxKept
	if over <= 0 {
		return slices.Clone(marks)
	}
	there := map[string]bool{}
	for _, v := range g.versions {
		there[string(v.id)] = true
	}
	var kept []Mark
	for _, m := range marks {
		if over > 0 && !there[string(m.Version)] && !there[string(m.By)] {
			over--
			continue
		}
		kept = append(kept, m)
	}
	return kept
}

// hideOthers adds marks by the version id on all versions of g with the given content, but the
// author's own, and on what those hid. A version that stands although one of those hides it, since
// it hides that one in turn, is not meant.
func (e *Editor) hideOthers(g *group, content cid.Cid, by VersionID, edits *edits) {
	r := edits.record(g, e.author)
	r.Hides = g.keep(r.Hides)
	have := map[string]bool{}
	for _, m := range r.Hides {
		if bytes.Equal(m.By, by) {
			have[string(m.Version)] = true
		}
	}
	add := func(target VersionID) {
		if !have[string(target)] {
			have[string(target)] = true
			r.Hides = append(r.Hides, Mark{Version: target, By: by})
		}
	}
	for _, v := range g.versions {
		if v.hidden || !v.entry.Cid.Equals(content) || v.author.Equals(e.author) {
			continue
		}
		add(v.id)
		for _, m := range g.of(v.author).record.Hides {
			if bytes.Equal(m.By, v.id) && len(r.Hides) < maxKept && !g.stands(m.Version, content) {
				add(m.Version)
			}
		}
	}
	edits.records[g.name] = r
}

// stands reports whether a version is not hidden, and has another content than the given one.
func (g *group) stands(id VersionID, content cid.Cid) bool {
	return slices.ContainsFunc(g.versions, func(v version) bool {
		return bytes.Equal(v.id, id) && !v.hidden && !v.entry.Cid.Equals(content)
	})
}

// deleteDir deletes all that is visible in the directory sub, and the author's own directory.
func (e *Editor) deleteDir(ctx context.Context, at, sub place, g *group, edits *edits) error {
	mine := g.of(e.author)
	layer := sub.of(e.author)
	if len(sub.others(e.author)) > 0 {
		below := newEdits()
		dir, err := unixfs.OpenDir(ctx, e.blocks, sub.view)
		if err != nil {
			return err
		}
		err = dir.Each(ctx, func(entry unixfs.Entry) error { return e.deleteAll(ctx, sub, entry.Name, below) })
		if err != nil {
			return err
		}
		if layer, err = e.apply(ctx, layer, below); err != nil {
			return err
		}
	}
	if mine.kind == unixfs.Directory {
		e.leave(g, edits)
	}
	for _, v := range g.versions {
		if v.kind == unixfs.Directory && !v.author.Equals(e.author) { // another's empty directory
			e.hideOthers(g, v.entry.Cid, nil, edits)
		}
	}
	r := edits.record(g, e.author)
	r.Below = linkTo(layer.Marks)
	edits.records[g.name] = r
	return nil
}

// deleteAll removes all that is visible under name, as part of deleting the directory. Conflict
// names are passed over: what they show belongs to the group of another name.
func (e *Editor) deleteAll(ctx context.Context, at place, name string, edits *edits) error {
	g, err := e.group(ctx, at.level, name)
	if err != nil {
		return err
	}
	sub, err := e.sub(ctx, at, g)
	if err != nil {
		return err
	}
	for _, v := range g.shown(false) {
		e.remove(g, v.entry.Cid, nil, edits)
	}
	if sub.view.Defined() {
		return e.deleteDir(ctx, at, sub, g, edits)
	}
	return nil
}
