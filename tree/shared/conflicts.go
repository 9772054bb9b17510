package shared

import (
	"context"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// A Conflict is a version that is shown under a name of its own because another one has the plain
// name.
type Conflict struct {
	Path    string // as shown, relative to the directory
	Plain   string // the path that it is a version of
	ID      VersionID
	Author  cid.Cid
	Content cid.Cid
}

// Conflicts calls fn for every conflict in the directory; view is what it shows. Only where
// several layers meet it has to look.
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
		shown, err := v.lookup(ctx, view, name)
		if err != nil {
			return err
		}
		isDir := shown.Cid.Defined() && len(g.below.layers) > 0 && !isVersion(g, shown.Cid)
		outs, err := v.outputs(ctx, l, g, isDir)
		if err != nil {
			return err
		}
		for _, o := range outs {
			if o.name == name {
				continue
			}
			err := fn(Conflict{l.childPath(o.name), l.childPath(name), o.version.id, o.version.author, o.version.entry.Cid})
			if err != nil {
				return err
			}
		}
		if isDir {
			if err := v.conflicts(ctx, g.below, shown.Cid, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// isVersion reports whether c is the content of a version of g.
func isVersion(g *group, c cid.Cid) bool {
	for _, v := range g.versions {
		if v.entry.Cid.Equals(c) {
			return true
		}
	}
	return false
}
