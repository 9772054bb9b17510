package shared

import (
	"context"
	"errors"
	"slices"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// NewlyHidden returns how many versions that were shown in before, of which beforeView is the
// view, still stand in their author's layer in now and are hidden there. Where marks are the same
// it does not look, so the cost follows what was marked since.
func NewlyHidden(ctx context.Context, blocks store.Blocks, before, now Directory, beforeView cid.Cid) (hidden int64, err error) {
	v := &viewer{newReader(blocks)}
	return v.lost(ctx, newLevel(before.ID, before.Layers), newLevel(now.ID, now.Layers), beforeView)
}

func (v *viewer) lost(ctx context.Context, old, now level, oldView cid.Cid) (int64, error) {
	if !oldView.Defined() || slices.Equal(old.layers, now.layers) {
		return 0, ctx.Err()
	}
	names := map[string]bool{}
	err := v.changed(ctx, old.withoutFiles(), now.withoutFiles(), func(name string) { names[name] = true })
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for name := range names {
		n, err := v.lostUnder(ctx, old, now, oldView, name)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func (v *viewer) lostUnder(ctx context.Context, old, now level, oldView cid.Cid, name string) (int64, error) {
	before, err := v.group(ctx, old, name)
	if err != nil {
		return 0, err
	}
	after, err := v.group(ctx, now, name)
	if err != nil {
		return 0, err
	}
	dir, err := v.shownDir(ctx, before, oldView)
	if err != nil {
		return 0, err
	}
	n, err := v.lost(ctx, before.below, after.below, dir.Cid)
	for _, was := range before.versions {
		if was.hidden || was.kind == unixfs.Directory && dir.Cid.Defined() {
			continue
		}
		if after.hidesVersion(was.id) {
			n++
		}
	}
	return n, err
}

// hidesVersion reports whether the version with the given id is there, and hidden.
func (g *group) hidesVersion(id VersionID) bool {
	return slices.ContainsFunc(g.versions, func(v version) bool { return v.hidden && string(v.id) == string(id) })
}

// withoutFiles returns l with the marks alone.
func (l level) withoutFiles() level {
	m := level{directory: l.directory, path: l.path}
	for _, layer := range l.layers {
		if layer.Marks.Defined() {
			layer.Files = cid.Undef
			m.layers = append(m.layers, layer)
		}
	}
	return m
}

// CountShown returns how many files, symlinks and empty directories a view has, or limit if there
// are as many or more: then it stops.
func CountShown(ctx context.Context, blocks store.Blocks, view cid.Cid, limit int64) (int64, error) {
	c := counter{newReader(blocks), limit, 0}
	err := c.dir(ctx, view)
	if c.count >= limit {
		return limit, nil
	}
	return c.count, err
}

type counter struct {
	*reader
	limit, count int64
}

// errEnough stops a count.
var errEnough = errors.New("counted enough")

func (c *counter) dir(ctx context.Context, dir cid.Cid) error {
	d, err := unixfs.OpenDir(ctx, c.blocks, dir)
	if err != nil {
		return err
	}
	return d.Each(ctx, func(e unixfs.Entry) error {
		if c.count >= c.limit {
			return errEnough
		}
		kind, err := c.kind(ctx, e.Cid)
		if err != nil {
			return err
		}
		if kind == unixfs.Directory && !e.Cid.Equals(emptyCid) {
			return c.dir(ctx, e.Cid)
		}
		c.count++
		return nil
	})
}
