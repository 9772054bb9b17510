package shared

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"archivecache/store"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

// EachNewlyHidden calls fn for every version that was shown in before, that its author still has
// in now, and that is hidden there; by has the authors of the marks on it. Versions of one path
// with the same content are one, and none if it is still shown as that of somebody else. The
// order is not specified. The cost follows the difference of the marks.
func EachNewlyHidden(ctx context.Context, blocks store.Blocks, before, now Directory, fn func(v HiddenVersion, by []cid.Cid) error) error {
	r := newReader(blocks)
	return r.newlyHidden(ctx, newLevel(before.ID, before.Layers), newLevel(now.ID, now.Layers), fn)
}

func (r *reader) newlyHidden(ctx context.Context, old, now level, fn func(HiddenVersion, []cid.Cid) error) error {
	if slices.Equal(old.layers, now.layers) {
		return nil
	}
	if strings.Count(now.path, "/") >= path.MaxDepth {
		return fmt.Errorf("%w: more than %d names", path.ErrInvalid, path.MaxDepth)
	}
	names := map[string]bool{}
	err := r.changed(ctx, old.marksOnly(), now.marksOnly(), func(name string) { names[name] = true })
	if err != nil {
		return err
	}
	for name := range names {
		before, err := r.group(ctx, old, name)
		if err != nil {
			return err
		}
		after, err := r.group(ctx, now, name)
		if err != nil {
			return err
		}
		if err := after.newlyHidden(before, now, fn); err != nil {
			return err
		}
		if err := r.newlyHidden(ctx, before.below, after.below, fn); err != nil {
			return err
		}
	}
	return nil
}

// newlyHidden calls fn for what g, a group of l, hides and before did not.
func (g *group) newlyHidden(before *group, l level, fn func(HiddenVersion, []cid.Cid) error) error {
	told := map[cid.Cid]bool{}
	for _, v := range before.versions {
		still, ok := g.version(v.id)
		if v.hidden || !ok || !still.hidden || told[v.entry.Cid] || len(g.visible(v.entry.Cid)) > 0 {
			continue
		}
		told[v.entry.Cid] = true
		h := HiddenVersion{v.id, v.author, l.childPath(g.name), v.kind, v.entry.Cid}
		if err := fn(h, g.hiders(v.id)); err != nil {
			return err
		}
	}
	return nil
}

// marksOnly returns l without files.
func (l level) marksOnly() level {
	m := level{directory: l.directory, path: l.path}
	for _, layer := range l.layers {
		if layer.Marks.Defined() {
			m.layers = append(m.layers, Layer{Author: layer.Author, Marks: layer.Marks})
		}
	}
	return m
}
