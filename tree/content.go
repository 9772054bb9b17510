package tree

import (
	"context"
	"errors"
	"fmt"

	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Walk returns the entry under names in the UnixFS directory dir; at is the whole path, for errors.
// Symlinks are not followed.
func Walk(ctx context.Context, blocks store.Getter, dir cid.Cid, at path.Path, names []string) (unixfs.Entry, error) {
	d, err := unixfs.OpenDir(ctx, blocks, dir)
	if err != nil {
		return unixfs.Entry{}, fmt.Errorf("%s: %w", at, err)
	}
	e := d.Entry()
	for i, name := range names {
		if e, err = d.Lookup(ctx, name); err != nil {
			if errors.Is(err, unixfs.ErrNoEntry) {
				err = ErrNotFound
			}
			return unixfs.Entry{}, fmt.Errorf("%s: %w", at, err)
		}
		if i == len(names)-1 {
			break
		}
		if d, err = unixfs.OpenDir(ctx, blocks, e.Cid); err != nil {
			if errors.Is(err, unixfs.ErrNotDirectory) {
				err = ErrNotDirectory
			}
			return unixfs.Entry{}, fmt.Errorf("%s: %q: %w", at, name, err)
		}
	}
	return e, nil
}

// putOwned returns the directory dir with entry under names. An undefined dir is an empty one.
// With keep, a directory is written into the one that is there; without, it takes its place.
func putOwned(ctx context.Context, blocks store.Blocks, dir cid.Cid, names []string, entry unixfs.Entry, keep bool) (cid.Cid, error) {
	if len(names) == 0 {
		if !keep || !dir.Defined() {
			return entry.Cid, nil
		}
		return overlay(ctx, blocks, dir, entry.Cid)
	}
	sub, err := lookup(ctx, blocks, dir, names[0])
	if err != nil {
		return cid.Undef, err
	}
	if len(names) == 1 {
		merged, err := replace(ctx, blocks, sub, entry, keep)
		if err != nil {
			return cid.Undef, fmt.Errorf("%s: %w", names[0], err)
		}
		return with(ctx, blocks, dir, names[0], merged)
	}
	if sub.Cid.Defined() && !isDir(ctx, blocks, sub.Cid) {
		return cid.Undef, fmt.Errorf("%s: %w", names[0], ErrNotDirectory)
	}
	c, err := putOwned(ctx, blocks, sub.Cid, names[1:], entry, keep)
	if err != nil {
		return cid.Undef, err
	}
	return withDir(ctx, blocks, dir, names[0], c)
}

// replace returns what stands where old stood and entry is written to.
func replace(ctx context.Context, blocks store.Blocks, old, entry unixfs.Entry, keep bool) (unixfs.Entry, error) {
	if !old.Cid.Defined() {
		return entry, nil
	}
	oldDir, newDir := isDir(ctx, blocks, old.Cid), isDir(ctx, blocks, entry.Cid)
	switch {
	case oldDir && !newDir:
		return entry, fmt.Errorf("%w; delete it first", ErrIsDirectory)
	case !oldDir && newDir:
		return entry, fmt.Errorf("%w; delete it first", ErrNotDirectory)
	case !newDir || !keep:
		return entry, nil
	}
	c, err := overlay(ctx, blocks, old.Cid, entry.Cid)
	if err != nil {
		return entry, err
	}
	return dirEntry(ctx, blocks, c)
}

// overlay returns the directory base with all that top has on it: files of top replace those of
// base.
func overlay(ctx context.Context, blocks store.Blocks, base, top cid.Cid) (cid.Cid, error) {
	var changes []unixfs.Entry
	err := unixfs.DiffNew(ctx, blocks, base, top, func(name string, old, new *unixfs.Entry) error {
		if old == nil {
			changes = append(changes, *new)
			return nil
		}
		merged, err := replace(ctx, blocks, *old, *new, true)
		merged.Name = name
		changes = append(changes, merged)
		return err
	})
	if err != nil {
		return cid.Undef, err
	}
	e, err := unixfs.Edit(ctx, blocks, base, changes)
	return e.Cid, err
}

// deleteOwned returns the directory dir without what stands under names.
func deleteOwned(ctx context.Context, blocks store.Blocks, dir cid.Cid, names []string) (cid.Cid, error) {
	sub, err := lookup(ctx, blocks, dir, names[0])
	if err != nil {
		return cid.Undef, err
	}
	if !sub.Cid.Defined() {
		return cid.Undef, fmt.Errorf("%s: %w", names[0], ErrNotFound)
	}
	if len(names) == 1 {
		return with(ctx, blocks, dir, names[0], unixfs.Entry{})
	}
	c, err := deleteOwned(ctx, blocks, sub.Cid, names[1:])
	if err != nil {
		return cid.Undef, err
	}
	return withDir(ctx, blocks, dir, names[0], c)
}

// lookup returns the entry of dir with the given name; without a CID if there is none.
func lookup(ctx context.Context, blocks store.Getter, dir cid.Cid, name string) (unixfs.Entry, error) {
	if !dir.Defined() {
		return unixfs.Entry{}, nil
	}
	d, err := unixfs.OpenDir(ctx, blocks, dir)
	if err != nil {
		return unixfs.Entry{}, err
	}
	e, err := d.Lookup(ctx, name)
	if errors.Is(err, unixfs.ErrNoEntry) {
		return unixfs.Entry{}, nil
	}
	return e, err
}

// with returns dir with e under name; an entry without a CID removes.
func with(ctx context.Context, blocks store.Blocks, dir cid.Cid, name string, e unixfs.Entry) (cid.Cid, error) {
	if !dir.Defined() {
		b, _ := unixfs.EmptyDir()
		if err := blocks.Put(ctx, b); err != nil {
			return cid.Undef, err
		}
		dir = b.Cid
	}
	e.Name = name
	edited, err := unixfs.Edit(ctx, blocks, dir, []unixfs.Entry{e})
	return edited.Cid, err
}

func withDir(ctx context.Context, blocks store.Blocks, dir cid.Cid, name string, c cid.Cid) (cid.Cid, error) {
	e, err := dirEntry(ctx, blocks, c)
	if err != nil {
		return cid.Undef, err
	}
	return with(ctx, blocks, dir, name, e)
}

// dirEntry returns the directory c as an entry without a name.
func dirEntry(ctx context.Context, blocks store.Getter, c cid.Cid) (unixfs.Entry, error) {
	d, err := unixfs.OpenDir(ctx, blocks, c)
	if err != nil {
		return unixfs.Entry{}, err
	}
	return d.Entry(), nil
}

func isDir(ctx context.Context, blocks store.Getter, c cid.Cid) bool {
	_, err := unixfs.OpenDir(ctx, blocks, c)
	return err == nil
}
