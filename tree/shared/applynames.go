package shared

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// removal is the phase that removes what stands in the way of an edit.
func (b *batch) removal(ctx context.Context, at place, name string, list []Edit) (*edits, error) {
	c, edits := list[0], newEdits()
	if len(c.Names) > 0 || !c.Remove {
		return edits, nil
	}
	if c.Entry != nil {
		if replaces, err := b.replaces(ctx, at, name, *c.Entry); err != nil || replaces {
			return edits, err
		}
	}
	if err := b.delete(ctx, at, name, edits); errors.Is(err, ErrNotFound) {
		return newEdits(), nil
	} else if err != nil {
		return nil, err
	}
	b.cleared[c.Number] = true
	return edits, nil
}

// replaces reports whether a mere Put of entry leaves nothing of what stands under name.
func (b *batch) replaces(ctx context.Context, at place, name string, entry unixfs.Entry) (bool, error) {
	shown, err := b.lookup(ctx, at.view, name)
	if err != nil || !shown.Cid.Defined() {
		return true, err
	}
	for _, c := range []cid.Cid{shown.Cid, entry.Cid} {
		if kind, err := b.kind(ctx, c); err != nil || kind == unixfs.Directory {
			return false, err
		}
	}
	return true, nil
}

// writing is the phase that puts entries, at a name or below it, and removes what is below it.
func (b *batch) writing(ctx context.Context, at place, name string, list []Edit) (_ *edits, err error) {
	c, edits := list[0], newEdits()
	switch {
	case len(c.Names) > 0:
		return edits, b.below(ctx, at, name, list, edits)
	case c.Entry == nil:
		return edits, nil
	case b.cleared[c.Number]:
		err = b.putAnew(ctx, at, name, *c.Entry, edits)
	default:
		err = b.put(ctx, at, name, *c.Entry, true, edits)
	}
	if err == nil && c.Entry.Cid.Equals(emptyCid) {
		err = b.show(ctx, at, name, edits)
	}
	return edits, err
}

// show sees to it that an empty directory that was put is shown, although the author has something
// in it that is hidden.
func (b *batch) show(ctx context.Context, at place, name string, edits *edits) error {
	if e := edits.files[name]; e == nil || e.Cid.Equals(emptyCid) {
		return nil
	}
	g, err := b.group(ctx, at.level, name)
	if err != nil {
		return err
	}
	sub, err := b.sub(ctx, at, g)
	if err != nil || sub.view.Defined() {
		return err
	}
	layer, err := b.bare(ctx, g, sub.of(b.author), edits)
	if err != nil {
		return err
	}
	return b.setSub(ctx, at, g, layer, edits)
}

// bare returns the author's layer of a directory as an empty one, which is shown if nothing else is.
// What the author has there is hidden, and goes.
func (b *batch) bare(ctx context.Context, g *group, layer Layer, edits *edits) (_ Layer, err error) {
	if layer.Files.Defined() && !layer.Files.Equals(emptyCid) {
		r := edits.record(g, b.author)
		r.Met = true
		edits.records[g.name] = r
	}
	layer.Files, err = editDir(ctx, b.blocks, cid.Undef, nil)
	return layer, err
}

// putAnew writes entry under a name where something was removed. What has the name now had a
// conflict name before, and gets it back.
func (e *Editor) putAnew(ctx context.Context, at place, name string, entry unixfs.Entry, edits *edits) error {
	kind, err := e.kind(ctx, entry.Cid)
	if err != nil {
		return err
	}
	g, err := e.group(ctx, at.level, name)
	if err != nil {
		return err
	}
	if kind == unixfs.Directory {
		sub, err := e.sub(ctx, at, g)
		if err != nil {
			return err
		}
		layer, err := e.putDir(ctx, sub, entry.Cid, true)
		if err != nil {
			return err
		}
		return e.setSub(ctx, at, g, layer, edits)
	}
	if e.ownShown(g) {
		if err := e.vacate(ctx, at, g, true, edits); err != nil {
			return err
		}
	}
	rest := slices.DeleteFunc(slices.Clone(g.versions), func(v version) bool { return v.hidden || v.author.Equals(e.author) })
	_, err = e.write(at, g, entry, rest, edits)
	return err
}

// below makes edits in the directory with the given name.
func (b *batch) below(ctx context.Context, at place, name string, list []Edit, edits *edits) error {
	g, err := b.group(ctx, at.level, name)
	if err != nil {
		return err
	}
	sub, err := b.sub(ctx, at, g)
	if err != nil {
		return err
	}
	if !sub.view.Defined() {
		list = Puts(list) // nothing is there to be removed
		if free, err := b.free(ctx, at, sub, name, list); err != nil || !free {
			return err
		}
	}
	layer, err := b.dir(ctx, sub, list)
	if was := sub.of(b.author); err != nil || was.Files.Equals(layer.Files) && was.Marks.Equals(layer.Marks) {
		return err
	}
	if layer, err = b.stay(ctx, sub, g, layer, list, edits); err != nil {
		return err
	}
	return b.setSub(ctx, at, g, layer, edits)
}

// free reports whether there can be a new directory for edits below a name, or refuses them.
func (b *batch) free(ctx context.Context, at, sub place, name string, list []Edit) (bool, error) {
	if len(list) == 0 {
		return false, nil
	}
	err := b.checkHash(ctx, at, name)
	if sub.taken {
		err = fmt.Errorf("%s: %w", at.childPath(name), ErrIsFile)
	}
	if err != nil {
		return false, b.refuse(list, err)
	}
	return true, nil
}

// stay returns the author's layer of a directory after edits in it, which is an empty directory if
// nothing is shown there any more: only removing the directory itself takes it away.
func (b *batch) stay(ctx context.Context, sub place, g *group, layer Layer, list []Edit, edits *edits) (Layer, error) {
	removes := func(c Edit) bool { return c.Remove && len(c.Names) == 1 }
	if !sub.view.Defined() || !slices.ContainsFunc(list, removes) {
		return layer, nil
	}
	next, err := b.after(ctx, sub, layer)
	if err != nil || next.view.Defined() && !next.view.Equals(emptyCid) {
		return layer, err
	}
	return b.bare(ctx, g, layer, edits)
}
