package shared

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"archivecache/unixfs"
)

// Reasons why something hidden is not restored.
var (
	ErrNotHidden = errors.New("no hidden version")
	ErrAmbiguous = errors.New("several versions are hidden there")
)

// HiddenAt calls fn for every version that is hidden at names. Without names there are none.
func (e *Editor) HiddenAt(ctx context.Context, names []string, fn func(HiddenVersion) error) error {
	g, l, err := e.groupAt(ctx, names)
	if err != nil || g == nil {
		return err
	}
	for _, v := range g.versions {
		if !v.hidden {
			continue
		}
		if err := fn(l.hiddenVersion(g.name, v)); err != nil {
			return err
		}
	}
	return nil
}

// HiddenEntry returns what the hidden version with the given id at names holds.
func (e *Editor) HiddenEntry(ctx context.Context, names []string, id VersionID) (unixfs.Entry, error) {
	g, _, err := e.groupAt(ctx, names)
	if err != nil || g == nil {
		return unixfs.Entry{}, cmp.Or(err, ErrNotHidden)
	}
	v, ok := g.hiddenVersion(id)
	if !ok {
		return unixfs.Entry{}, fmt.Errorf("%w %s", ErrNotHidden, id)
	}
	return v.entry, nil
}

// groupAt returns the group at names and its level; nil without names.
func (e *Editor) groupAt(ctx context.Context, names []string) (*group, level, error) {
	l := e.top
	for i, name := range names {
		g, err := e.group(ctx, l, name)
		if err != nil || i == len(names)-1 {
			return g, l, err
		}
		l = g.below
	}
	return nil, l, nil
}

// hiddenVersion returns the hidden version with the given id.
func (g *group) hiddenVersion(id VersionID) (version, bool) {
	i := slices.IndexFunc(g.versions, func(v version) bool { return v.hidden && bytes.Equal(v.id, id) })
	if i < 0 {
		return version{}, false
	}
	return g.versions[i], true
}

// Restore returns the author's layer after writing the hidden version with the given id at names
// once more, as a new version of the author that no mark hides yet. What is shown there is
// [ErrExists], unless over is set: then it is replaced.
func (e *Editor) Restore(ctx context.Context, names []string, id VersionID, over bool) (Layer, error) {
	if len(names) == 0 {
		return Layer{}, ErrNotHidden
	}
	return e.descend(ctx, place{level: e.top, view: e.view}, names, true, func(at place, name string, edits *edits) error {
		g, err := e.group(ctx, at.level, name)
		if err != nil {
			return err
		}
		where := at.childPath(name)
		v, ok := g.hiddenVersion(id)
		if !ok {
			return fmt.Errorf("%s: %w %s", where, ErrNotHidden, id)
		}
		shown, err := e.lookup(ctx, at.view, name)
		switch {
		case err != nil:
			return err
		case !shown.Cid.Defined():
			if err := e.checkHash(ctx, at, name); err != nil {
				return err
			}
			return e.bringBack(at, g, v, edits)
		case !over:
			return fmt.Errorf("%s: %w", where, ErrExists)
		}
		return e.put(ctx, at, name, v.entry, true, edits)
	})
}

// bringBack writes the hidden version v into the author's own slot of g, of which nothing is shown.
func (e *Editor) bringBack(at place, g *group, v version, edits *edits) error {
	if mine := g.of(e.author); mine.entry.Cid.Defined() && !mine.isVersion() {
		return fmt.Errorf("%s: %w: you have a directory there, in which all is hidden; restore what is in it", at.childPath(g.name), ErrExists)
	}
	_, err := e.write(at, g, v.entry, nil, edits)
	return err
}

// RestoreBelow returns the author's layer after restoring, at names and below, every path of which
// nothing is shown and of which it is clear which version to take: of several the one that none of
// the others has replaced. It calls restored for each, and ambiguous for the others with all
// hidden versions there. The cost follows the marks.
func (e *Editor) RestoreBelow(ctx context.Context, names []string, restored func(HiddenVersion), ambiguous func([]HiddenVersion)) (Layer, error) {
	s := &restorer{Editor: e, restored: restored, ambiguous: ambiguous}
	top := place{level: e.top, view: e.view}
	if len(names) == 0 {
		layer, _, err := s.dir(ctx, top)
		return layer, err
	}
	any := false
	layer, err := e.descend(ctx, top, names, true, func(at place, name string, edits *edits) (err error) {
		any, err = s.name(ctx, at, name, edits)
		return err
	})
	if err == nil && !any {
		layer = e.top.of(e.author) // as it was: an empty directory on the way is not written again
	}
	return layer, err
}

// A restorer restores directories.
type restorer struct {
	*Editor
	restored  func(HiddenVersion)
	ambiguous func([]HiddenVersion)
}

// dir returns the author's layer of a directory with what could be restored, and whether that was
// anything.
func (s *restorer) dir(ctx context.Context, at place) (Layer, bool, error) {
	names := map[string]bool{}
	for _, layer := range at.layers {
		marksOnly := Layer{Author: layer.Author, Marks: layer.Marks}
		if err := s.changedLayer(ctx, Layer{}, marksOnly, func(name string) { names[name] = true }); err != nil {
			return Layer{}, false, err
		}
	}
	edits, any := newEdits(), false
	for _, name := range slices.Sorted(maps.Keys(names)) {
		done, err := s.name(ctx, at, name, edits)
		if err != nil {
			return Layer{}, false, err
		}
		any = any || done
	}
	if !any {
		return at.of(s.author), false, nil
	}
	layer, err := s.apply(ctx, at.of(s.author), edits)
	return layer, true, err
}

// name restores what is hidden under one name, and reports whether that was anything. What is
// below a directory comes first, since it makes the directory.
func (s *restorer) name(ctx context.Context, at place, name string, edits *edits) (bool, error) {
	g, err := s.group(ctx, at.level, name)
	if err != nil {
		return false, err
	}
	sub, err := s.sub(ctx, at, g)
	if err != nil || sub.taken {
		return false, err // a file stands there now
	}
	if len(g.below.layers) > 0 {
		layer, done, err := s.dir(ctx, sub)
		if err != nil {
			return false, err
		}
		if done {
			s.leftOut(at, g)
			return true, s.setSub(ctx, at, g, layer, edits)
		}
	}
	if sub.view.Defined() {
		return false, nil
	}
	return s.file(at, g, edits)
}

// leftOut tells of the hidden files in the place of a directory that was restored.
func (s *restorer) leftOut(at place, g *group) {
	if files := g.hiddenIn(at.level, func(v version) bool { return v.kind != unixfs.Directory }); len(files) > 0 {
		s.ambiguous(files)
	}
}

// file restores the version of g that is to be restored, if that is clear.
func (s *restorer) file(at place, g *group, edits *edits) (bool, error) {
	newest := g.newestHidden()
	if len(newest) == 0 {
		return false, nil
	}
	mine := g.of(s.author)
	if len(newest) > 1 || mine.entry.Cid.Defined() && !mine.isVersion() {
		s.ambiguous(g.hiddenIn(at.level, func(version) bool { return true }))
		return false, nil
	}
	if err := s.bringBack(at, g, newest[0], edits); err != nil {
		return false, err
	}
	s.restored(at.hiddenVersion(g.name, newest[0]))
	return true, nil
}

func (g *group) hiddenIn(l level, which func(version) bool) []HiddenVersion {
	var all []HiddenVersion
	for _, v := range g.versions {
		if v.hidden && which(v) {
			all = append(all, l.hiddenVersion(g.name, v))
		}
	}
	return all
}

// newestHidden returns the hidden versions that no other hidden one has replaced, one for each
// content; all of them if each was replaced.
func (g *group) newestHidden() []version {
	on, circle := g.marksOn(), g.circles()
	var hidden, newest []version
	for _, v := range g.versions {
		if v.hidden {
			hidden = append(hidden, v)
		}
	}
	for _, v := range hidden {
		older := func(w version) bool {
			return g.replaced(on, circle, v, w) && !g.replaced(on, circle, w, v)
		}
		if !slices.ContainsFunc(hidden, older) {
			newest = appendContent(newest, v)
		}
	}
	if len(newest) > 0 {
		return newest
	}
	for _, v := range hidden {
		newest = appendContent(newest, v)
	}
	return newest
}

// appendContent appends v if no version in the list has its content.
func appendContent(list []version, v version) []version {
	if slices.ContainsFunc(list, func(w version) bool { return w.entry.Cid.Equals(v.entry.Cid) }) {
		return list
	}
	return append(list, v)
}

// replaced reports whether w, or an earlier version of its author that is not there any more, has
// replaced v: there is a mark on v by it, and v has no way to it. What its own author has hidden
// replaces nothing: nobody does that who does not want to put something else in the place of v.
func (g *group) replaced(on map[string][]markOf, circle map[string]int, v, w version) bool {
	if v.entry.Cid.Equals(w.entry.Cid) || slices.ContainsFunc(on[string(w.id)], func(m markOf) bool { return m.author.Equals(w.author) }) {
		return false
	}
	return slices.ContainsFunc(on[string(v.id)], func(m markOf) bool {
		by := bytes.Equal(m.By, w.id) || m.author.Equals(w.author) && m.By != nil && !g.has(m.By)
		return by && circle[string(m.By)] != circle[string(v.id)]
	})
}

// has reports whether the version with the given id is there.
func (g *group) has(id VersionID) bool {
	return slices.ContainsFunc(g.versions, func(v version) bool { return bytes.Equal(v.id, id) })
}
