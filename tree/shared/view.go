package shared

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Directory is a shared directory: its id and its layers, one for each author.
type Directory struct {
	ID     cid.Cid
	Layers []Layer
}

// View returns what the directory shows, as a UnixFS directory. It is a function of now alone:
// before and its view only save work, which follows the difference of the two. Without them,
// before is the zero Directory and its view undefined.
func View(ctx context.Context, blocks store.Blocks, before Directory, beforeView cid.Cid, now Directory) (cid.Cid, error) {
	v := &viewer{reader: newReader(blocks)}
	old := newLevel(before.ID, before.Layers)
	if !beforeView.Defined() {
		old = newLevel(now.ID, nil)
		beforeView = emptyCid
	}
	c, err := v.dir(ctx, old, newLevel(now.ID, now.Layers), beforeView)
	if err != nil {
		return cid.Undef, fmt.Errorf("view of the shared directory: %w", err)
	}
	if !c.Defined() || c.Equals(emptyCid) {
		return editDir(ctx, blocks, cid.Undef, nil) // which puts the block
	}
	return c, nil
}

type viewer struct{ *reader }

// dir returns what the level now shows, given what it showed before; undefined if it shows nothing.
func (v *viewer) dir(ctx context.Context, old, now level, oldView cid.Cid) (cid.Cid, error) {
	if slices.Equal(old.layers, now.layers) {
		return oldView, nil
	}
	if len(now.layers) == 0 {
		return cid.Undef, nil
	}
	if c, ok := now.single(); ok {
		return c, nil
	}
	if strings.Count(now.path, "/") >= path.MaxDepth {
		return cid.Undef, fmt.Errorf("%w: more than %d names", path.ErrInvalid, path.MaxDepth)
	}
	if err := ctx.Err(); err != nil { // what is in memory does not ask for it
		return cid.Undef, err
	}
	if crowded, err := v.leftOut(ctx, oldView); err != nil {
		return cid.Undef, err
	} else if crowded {
		return v.crowded(ctx, old, now, oldView)
	}
	names, err := v.names(ctx, old, now)
	if err != nil {
		return cid.Undef, err
	}
	changes := map[string]*unixfs.Entry{}
	for name := range names {
		if err := v.update(ctx, old, now, oldView, name, changes); err != nil {
			return cid.Undef, err
		}
	}
	c, err := editDir(ctx, v.blocks, oldView, changes)
	switch {
	case errors.Is(err, unixfs.ErrCollision):
		return v.crowded(ctx, old, now, oldView)
	case err != nil || c.Equals(emptyCid):
		return cid.Undef, err
	}
	return c, nil
}

// names returns the names whose groups have to be computed again.
func (v *viewer) names(ctx context.Context, old, now level) (map[string]bool, error) {
	names := map[string]bool{}
	all := false
	err := v.changed(ctx, old, now, func(name string) {
		names[name] = true
		// A real name that looks like a conflict name may push one away; and what is computed
		// again under the plain name may be the conflict name of something else.
		for plain, cut, ok := plainName(name); ok; plain, cut, ok = plainName(plain) {
			names[plain] = true
			all = all || cut
		}
	})
	if err != nil || !all {
		return names, err
	}
	for _, l := range []level{old, now} {
		if err := v.changed(ctx, level{}, l, func(name string) { names[name] = true }); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// update computes the group of name and adds to changes what differs in the view.
func (v *viewer) update(ctx context.Context, old, now level, oldView cid.Cid, name string, changes map[string]*unixfs.Entry) error {
	before, err := v.group(ctx, old, name)
	if err != nil {
		return err
	}
	gone, err := v.conflictNames(ctx, old, before, len(before.below.layers) > 0)
	if err != nil {
		return err
	}
	for _, n := range gone {
		if _, set := changes[n]; !set {
			changes[n] = nil
		}
	}
	return v.place(ctx, before, now, oldView, name, changes)
}

// conflictNames returns the names beside its own that a group may have been shown under.
func (v *viewer) conflictNames(ctx context.Context, l level, g *group, isDir bool) ([]string, error) {
	var names []string
	for _, dir := range []bool{isDir, false} {
		outs, err := v.outputs(ctx, l, g, dir)
		if err != nil {
			return nil, err
		}
		for _, o := range outs {
			if o.name != g.name {
				names = append(names, o.name)
			}
		}
	}
	return names, nil
}

func (v *viewer) place(ctx context.Context, before *group, now level, oldView cid.Cid, name string, changes map[string]*unixfs.Entry) error {
	g, err := v.group(ctx, now, name)
	if err != nil {
		return err
	}
	sub, err := v.subdir(ctx, before, g, oldView, name)
	if err != nil {
		return err
	}
	if sub.Cid.Defined() {
		changes[name] = &sub
	} else if e := changes[name]; e == nil {
		changes[name] = nil
	}
	outs, err := v.outputs(ctx, now, g, sub.Cid.Defined())
	for _, o := range outs {
		e := o.version.entry
		e.Name = o.name
		changes[o.name] = &e
	}
	return err
}

// subdir returns the entry of the directory with the name of g; undefined if there is none.
func (v *viewer) subdir(ctx context.Context, before, g *group, oldView cid.Cid, name string) (unixfs.Entry, error) {
	if len(g.below.layers) == 0 {
		return unixfs.Entry{}, nil
	}
	oldSub := unixfs.Entry{}
	if len(before.below.layers) > 0 {
		var err error
		if oldSub, err = v.lookup(ctx, oldView, name); err != nil {
			return unixfs.Entry{}, err
		}
		if oldSub.Cid.Defined() {
			if kind, err := v.kind(ctx, oldSub.Cid); err != nil {
				return unixfs.Entry{}, err
			} else if kind != unixfs.Directory {
				oldSub = unixfs.Entry{} // all of the directory was hidden, and a file had the name
			}
		}
	}
	old := before.below
	if crowded, err := v.leftOut(ctx, oldView); err != nil {
		return unixfs.Entry{}, err
	} else if crowded && !oldSub.Cid.Defined() {
		old, oldSub.Cid = newLevel(g.below.directory, nil), emptyCid // it may have been left out
	}
	c, err := v.dir(ctx, old, g.below, oldSub.Cid)
	if err != nil || !c.Defined() || c.Equals(emptyCid) {
		return unixfs.Entry{}, err
	}
	return dirEntry(ctx, v.blocks, name, c)
}

// An output is a version and the name it is shown under.
type output struct {
	name    string
	version version
}

// outputs returns the versions of g that are shown, and their names; isDir says that the plain
// name is a directory's.
func (v *viewer) outputs(ctx context.Context, l level, g *group, isDir bool) ([]output, error) {
	var outs []output
	plainTaken := isDir
	for _, s := range g.shown(isDir) {
		if !plainTaken {
			plainTaken = true
			outs = append(outs, output{g.name, s})
			continue
		}
		name, err := ConflictName(g.name, s.id, func(n string) (bool, error) {
			if slices.ContainsFunc(outs, func(o output) bool { return o.name == n }) {
				return true, nil
			}
			return v.real(ctx, l, n)
		})
		if err != nil {
			return nil, err
		}
		if name != "" {
			outs = append(outs, output{name, s})
		}
	}
	return outs, nil
}

// real reports whether a layer has something under the name itself.
func (v *viewer) real(ctx context.Context, l level, name string) (bool, error) {
	for _, layer := range l.layers {
		e, err := v.lookup(ctx, layer.Files, name)
		if err != nil || e.Cid.Defined() {
			return err == nil, err
		}
	}
	return false, nil
}
