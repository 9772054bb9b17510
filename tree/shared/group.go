package shared

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A version is a file, a symlink or an empty directory that a layer has, with what hides it.
type version struct {
	id     VersionID
	author cid.Cid
	entry  unixfs.Entry
	kind   unixfs.Kind
	hidden bool
}

// A group is all that the layers have under one name of a level.
type group struct {
	name     string
	parts    []part
	versions []version // ordered by id
	below    level     // the directory of that name; no layers if there is none
}

// group reads the group of name.
func (r *reader) group(ctx context.Context, l level, name string) (*group, error) {
	parts, err := r.parts(ctx, l, name)
	if err != nil {
		return nil, err
	}
	g := &group{name: name, parts: parts}
	for i := range parts {
		p := &parts[i]
		if !p.entry.Cid.Defined() {
			continue
		}
		if p.kind, err = r.kind(ctx, p.entry.Cid); err != nil {
			return nil, err
		}
		if p.kind == unixfs.Directory && !p.entry.Cid.Equals(emptyCid) {
			continue
		}
		id, err := versionID(p.author, l.directory, l.childPath(name), p.entry.Cid, p.record.Nonce)
		if err != nil {
			return nil, err
		}
		g.versions = append(g.versions, version{id: id, author: p.author, entry: p.entry, kind: p.kind})
	}
	g.below = l.below(name, parts)
	g.disregard()
	g.hide()
	slices.SortFunc(g.versions, func(a, b version) int { return bytes.Compare(a.id, b.id) })
	return g, nil
}

// kind returns whether c is a file, a symlink or a directory.
func (r *reader) kind(ctx context.Context, c cid.Cid) (unixfs.Kind, error) {
	if c.Type() == cid.Raw {
		return unixfs.File, nil
	}
	info, err := unixfs.Stat(ctx, r.blocks, c)
	if err != nil {
		return 0, fmt.Errorf("entry of a shared directory: %w", err)
	}
	return info.Kind, nil
}

// disregard takes out the marks that do not count: those on others' versions by authors of whom
// only marks on their own count. They are not there for anything, neither to hide nor as a part of
// a way, so nobody repeats them either.
func (g *group) disregard() {
	for i := range g.parts {
		p := &g.parts[i]
		if !p.ownOnly {
			continue
		}
		var own VersionID // an author has one at most
		for _, v := range g.versions {
			if v.author.Equals(p.author) {
				own = v.id
			}
		}
		p.record.Hides = slices.DeleteFunc(slices.Clone(p.record.Hides), func(m Mark) bool {
			return own == nil || !bytes.Equal(m.Version, own)
		})
	}
}

// hide marks the versions that are hidden. Marks are arrows from the version they are by to the
// one they are on; a version is not hidden by one that it has a way to itself.
func (g *group) hide() {
	on := g.marksOn()
	if len(on) == 0 {
		return
	}
	circle := g.circles()
	for i := range g.versions {
		v := &g.versions[i]
		v.hidden = slices.ContainsFunc(on[string(v.id)], func(m markOf) bool {
			return m.By == nil || circle[string(m.By)] != circle[string(v.id)]
		})
	}
}

// A markOf is a mark with its author.
type markOf struct {
	Mark
	author cid.Cid
}

// marksOn returns the marks on each version.
func (g *group) marksOn() map[string][]markOf {
	on := map[string][]markOf{}
	for _, p := range g.parts {
		for _, m := range p.record.Hides {
			on[string(m.Version)] = append(on[string(m.Version)], markOf{m, p.author})
		}
	}
	return on
}

// arrows returns for each version what it hides.
func (g *group) arrows() map[string][]VersionID {
	out := map[string][]VersionID{}
	for _, p := range g.parts {
		for _, m := range p.record.Hides {
			out[string(m.By)] = append(out[string(m.By)], m.Version)
		}
	}
	return out
}

// reach adds to reached what from has a way to.
func reach(out map[string][]VersionID, from VersionID, reached map[string]bool) {
	todo := []VersionID{from}
	for len(todo) > 0 {
		next := out[string(todo[len(todo)-1])]
		todo = todo[:len(todo)-1]
		for _, v := range next {
			if !reached[string(v)] {
				reached[string(v)] = true
				todo = append(todo, v)
			}
		}
	}
}

// shown returns the versions that are shown, one for each CID, in the order of their ids.
// Empty directories count only if nothing else makes a directory of that name.
func (g *group) shown(isDir bool) []version {
	var shown []version
	for _, v := range g.versions {
		same := func(s version) bool { return s.entry.Cid.Equals(v.entry.Cid) }
		if v.hidden || v.kind == unixfs.Directory && isDir || slices.ContainsFunc(shown, same) {
			continue
		}
		shown = append(shown, v)
	}
	// A directory takes the plain name before any file.
	slices.SortStableFunc(shown, func(a, b version) int {
		return rank(a.kind) - rank(b.kind)
	})
	return shown
}

func rank(k unixfs.Kind) int {
	if k == unixfs.Directory {
		return 0
	}
	return 1
}
