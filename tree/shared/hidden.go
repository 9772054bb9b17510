package shared

import (
	"context"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A HiddenVersion is a version that a layer has and that a mark hides.
type HiddenVersion struct {
	ID      VersionID
	Author  cid.Cid
	Path    string // relative to the directory
	Kind    unixfs.Kind
	Content cid.Cid
}

// Hidden calls fn for every version of the directory that is hidden. Only where there are marks
// it has to look.
func Hidden(ctx context.Context, blocks store.Blocks, d Directory, fn func(HiddenVersion) error) error {
	return newReader(blocks).hidden(ctx, newLevel(d.ID, d.Layers), fn)
}

func (r *reader) hidden(ctx context.Context, l level, fn func(HiddenVersion) error) error {
	names := map[string]bool{}
	for _, layer := range l.layers {
		marksOnly := Layer{Author: layer.Author, Marks: layer.Marks}
		if err := r.changedLayer(ctx, Layer{}, marksOnly, func(name string) { names[name] = true }); err != nil {
			return err
		}
	}
	for name := range names {
		g, err := r.group(ctx, l, name)
		if err != nil {
			return err
		}
		for _, v := range g.versions {
			if !v.hidden {
				continue
			}
			if err := fn(l.hiddenVersion(name, v)); err != nil {
				return err
			}
		}
		if err := r.hidden(ctx, g.below, fn); err != nil {
			return err
		}
	}
	return nil
}

func (l level) hiddenVersion(name string, v version) HiddenVersion {
	return HiddenVersion{v.id, v.author, l.childPath(name), v.kind, v.entry.Cid}
}
