package shared

import (
	"bytes"
	"context"
	"slices"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Conflict is one side of a conflict: what is shown of a path that several versions claim, or
// versions and a directory. The side that has the plain name is one as well.
type Conflict struct {
	Path    string    // as shown, relative to the shared directory
	Plain   string    // the path that it is a side of; one side at most is shown there
	ID      VersionID // the lowest of those with this content; nil for a directory with something in it
	Authors []cid.Cid // who has this content there, or files in the directory; in the order of their ids
	Kind    unixfs.Kind
	Content cid.Cid
	Tsize   uint64 // of a link to the content, in bytes
}

// Entry returns what is shown, with the plain name.
func (c Conflict) Entry() unixfs.Entry {
	return unixfs.Entry{Name: base(c.Plain), Cid: c.Content, Tsize: c.Tsize}
}

// Conflicts calls fn for every side of every conflict in the directory; view is what it shows.
// The sides of one conflict come one after the other, the plain name first; the order of the
// conflicts is not specified. Only where several layers meet it has to look.
func Conflicts(ctx context.Context, blocks store.Blocks, d Directory, view cid.Cid, fn func(Conflict) error) error {
	v := &viewer{newReader(blocks)}
	return v.conflicts(ctx, newLevel(d.ID, d.Layers), view, fn)
}

func (v *viewer) conflicts(ctx context.Context, l level, view cid.Cid, fn func(Conflict) error) error {
	if _, ok := l.single(); ok || len(l.layers) < 2 || !view.Defined() {
		return nil
	}
	names := map[string]bool{}
	if err := v.changed(ctx, level{}, l, func(name string) { names[name] = true }); err != nil {
		return err
	}
	for name := range names {
		g, err := v.group(ctx, l, name)
		if err != nil {
			return err
		}
		dir, err := v.shownDir(ctx, g, view)
		if err != nil {
			return err
		}
		sides, err := v.sides(ctx, l, g, dir)
		if err != nil {
			return err
		}
		for _, side := range sides {
			if err := fn(side); err != nil {
				return err
			}
		}
		if err := v.conflicts(ctx, g.below, dir.Cid, fn); err != nil {
			return err
		}
	}
	return nil
}

// shownDir returns the directory that view shows under the name of g; without a CID if there is
// none, or an empty one, which is a version.
func (v *viewer) shownDir(ctx context.Context, g *group, view cid.Cid) (unixfs.Entry, error) {
	if len(g.below.layers) == 0 {
		return unixfs.Entry{}, nil
	}
	shown, err := v.lookup(ctx, view, g.name)
	if err != nil || !shown.Cid.Defined() || shown.Cid.Equals(emptyCid) {
		return unixfs.Entry{}, err
	}
	if kind, err := v.kind(ctx, shown.Cid); err != nil || kind != unixfs.Directory {
		return unixfs.Entry{}, err
	}
	return shown, nil
}

// sides returns the sides of g, none if there is no conflict; dir is the directory that is shown
// under its name, if there is one.
func (v *viewer) sides(ctx context.Context, l level, g *group, dir unixfs.Entry) ([]Conflict, error) {
	isDir := dir.Cid.Defined()
	outs, err := v.outputs(ctx, l, g, isDir)
	if err != nil || len(outs) == 0 || len(outs) == 1 && !isDir {
		return nil, err
	}
	plain := l.childPath(g.name)
	var sides []Conflict
	if isDir {
		sides = append(sides, Conflict{
			Path: plain, Plain: plain, Authors: g.below.writers(), Kind: unixfs.Directory, Content: dir.Cid, Tsize: dir.Tsize,
		})
	}
	for _, o := range outs {
		e := o.version.entry
		sides = append(sides, Conflict{
			Path: l.childPath(o.name), Plain: plain, ID: o.version.id, Authors: g.authors(e.Cid),
			Kind: o.version.kind, Content: e.Cid, Tsize: e.Tsize,
		})
	}
	return sides, nil
}

// writers returns who has files in the directory, in the order of their ids.
func (l level) writers() []cid.Cid {
	var all []cid.Cid
	for _, layer := range l.layers {
		if layer.Files.Defined() && !layer.Files.Equals(emptyCid) {
			all = append(all, layer.Author)
		}
	}
	slices.SortFunc(all, func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	return all
}

// authors returns who has a version with the given content that is not hidden, in the order of
// their ids.
func (g *group) authors(content cid.Cid) []cid.Cid {
	var all []cid.Cid
	for _, v := range g.versions {
		if !v.hidden && v.entry.Cid.Equals(content) {
			all = append(all, v.author)
		}
	}
	slices.SortFunc(all, func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	return all
}
