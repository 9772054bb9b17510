package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A batch makes changes in one owned directory.
type batch struct {
	blocks *noting
	at     path.Path // the directory, for errors
	refuse func([]shared.Edit, error)
}

// noting are blocks that remember what could not be read, which [isDir] takes for a file.
type noting struct {
	store.Blocks
	err error
}

// Get is that of the blocks.
func (n *noting) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := n.Blocks.Get(ctx, c)
	n.err = cmp.Or(n.err, err)
	return data, err
}

// edit returns the directory dir, which is shown at the given path, after changes below it. An
// undefined dir is not there, and stays so if nothing is put into it.
func (a *applier) edit(ctx context.Context, dir cid.Cid, at path.Path, changes []shared.Edit) (cid.Cid, error) {
	b := &batch{&noting{Blocks: a.blocks}, at, a.refuse}
	c, err := b.dir(ctx, dir, changes)
	return c, cmp.Or(b.blocks.err, err)
}

// dir is edit for one directory, which is written once.
func (b *batch) dir(ctx context.Context, dir cid.Cid, changes []shared.Edit) (cid.Cid, error) {
	byName := shared.ByName(changes)
	find, err := finder(ctx, b.blocks, dir)
	if err != nil {
		return cid.Undef, err
	}
	var removed, set []unixfs.Entry // by name, so that it is always the same of two with one hash that is refused
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		old, err := find(name)
		if err != nil {
			return cid.Undef, err
		}
		e, err := b.name(ctx, old, byName[name])
		switch {
		case err != nil:
			return cid.Undef, err
		case e == nil:
		case e.Cid.Defined():
			set = append(set, unixfs.Entry{Name: name, Cid: e.Cid, Tsize: e.Tsize})
		default:
			removed = append(removed, unixfs.Entry{Name: name})
		}
	}
	return b.write(ctx, dir, append(removed, set...), byName)
}

// finder returns a function that looks up names in dir; what is not there has no CID.
func finder(ctx context.Context, blocks store.Getter, dir cid.Cid) (func(name string) (unixfs.Entry, error), error) {
	if empty, _ := unixfs.EmptyDir(); !dir.Defined() || dir.Equals(empty.Cid) {
		return func(string) (unixfs.Entry, error) { return unixfs.Entry{}, nil }, nil
	}
	d, err := unixfs.OpenDir(ctx, blocks, dir)
	return func(name string) (unixfs.Entry, error) {
		e, err := d.Lookup(ctx, name)
		if errors.Is(err, unixfs.ErrNoEntry) {
			return unixfs.Entry{}, nil
		}
		return e, err
	}, err
}

// name returns what stands under a name after changes there, where old stood: nil if that is the
// same, and an entry without a CID if it is nothing.
func (b *batch) name(ctx context.Context, old unixfs.Entry, changes []shared.Edit) (*unixfs.Entry, error) {
	c := changes[0]
	if len(c.Names) > 0 {
		return b.below(ctx, old, changes)
	}
	switch {
	case c.Entry == nil && !old.Cid.Defined():
		return nil, nil
	case c.Entry == nil:
		return &unixfs.Entry{}, nil
	case c.Remove:
		return c.Entry, nil
	}
	merged, err := replace(ctx, b.blocks, old, *c.Entry, true)
	if refuses(err) && b.blocks.err == nil {
		b.refuse(changes, fmt.Errorf("%s: %w", b.at, err))
		return nil, nil
	}
	return &merged, err
}

// below is name for changes below the name.
func (b *batch) below(ctx context.Context, old unixfs.Entry, changes []shared.Edit) (*unixfs.Entry, error) {
	if isDir, err := directoryAt(ctx, b.blocks, old); err != nil {
		return nil, err
	} else if !isDir {
		changes = shared.Puts(changes) // nothing is there to be removed
		if old.Cid.Defined() {
			b.refuse(changes, fmt.Errorf("%s: %s: %w", b.at, old.Name, ErrNotDirectory))
			return nil, nil
		}
	}
	c, err := b.dir(ctx, old.Cid, changes)
	if err != nil || !c.Defined() || c.Equals(old.Cid) {
		return nil, err
	}
	e, err := dirEntry(ctx, b.blocks, c)
	return &e, err
}

// write returns dir with edits. Where two names with the same hash cannot stand, all goes in but
// what comes later.
func (b *batch) write(ctx context.Context, dir cid.Cid, edits []unixfs.Entry, byName map[string][]shared.Edit) (cid.Cid, error) {
	if len(edits) == 0 {
		return dir, nil
	}
	if empty, _ := unixfs.EmptyDir(); !dir.Defined() || dir.Equals(empty.Cid) {
		if err := b.blocks.Put(ctx, empty); err != nil {
			return cid.Undef, err
		}
		dir = empty.Cid
	}
	e, err := unixfs.Edit(ctx, b.blocks, dir, edits)
	if !errors.Is(err, unixfs.ErrCollision) {
		return e.Cid, err
	}
	rank, err := shared.Alike(ctx, b.blocks, dir, slices.Sorted(maps.Keys(byName)))
	if err != nil {
		return cid.Undef, err
	}
	slices.SortStableFunc(edits, func(x, y unixfs.Entry) int { return rank[x.Name] - rank[y.Name] })
	return b.halves(ctx, dir, edits, byName)
}

// halves is write of all that can be written, in the order given.
func (b *batch) halves(ctx context.Context, dir cid.Cid, edits []unixfs.Entry, byName map[string][]shared.Edit) (cid.Cid, error) {
	e, err := unixfs.Edit(ctx, b.blocks, dir, edits)
	switch {
	case !errors.Is(err, unixfs.ErrCollision):
		return e.Cid, err
	case len(edits) == 1:
		b.refuse(byName[edits[0].Name], fmt.Errorf("%s: %w", b.at, err))
		return dir, nil
	}
	half := len(edits) / 2
	if dir, err = b.halves(ctx, dir, edits[:half], byName); err != nil {
		return cid.Undef, err
	}
	return b.halves(ctx, dir, edits[half:], byName)
}

// refuses reports whether an error refuses a change; others are of reading or writing.
func refuses(err error) bool {
	return errors.Is(err, ErrIsDirectory) || errors.Is(err, ErrNotDirectory) || errors.Is(err, unixfs.ErrCollision)
}

// directoryAt reports whether e is a directory; nothing is none.
func directoryAt(ctx context.Context, blocks store.Getter, e unixfs.Entry) (bool, error) {
	if !e.Cid.Defined() || e.Cid.Type() == cid.Raw {
		return false, nil
	}
	info, err := unixfs.Stat(ctx, blocks, e.Cid)
	return info.Kind == unixfs.Directory, err
}

// foundAll makes outer an owned directory that holds what changes put there.
func (a *applier) foundAll(ctx context.Context, outer path.Path, changes []shared.Edit) error {
	var content cid.Cid
	var err error
	if c := changes[0]; len(c.Names) == 0 {
		content = c.Entry.Cid
	} else if content, err = a.edit(ctx, content, outer, changes); err != nil || !content.Defined() {
		return err
	}
	d, err := a.founding(ctx, a.author, outer, content)
	switch {
	case errors.Is(err, path.ErrInvalid):
		a.refuse(changes, err)
		return nil
	case err != nil:
		return err
	}
	a.drafts = append(a.drafts, d)
	return nil
}
