package workspace

import (
	"context"
	"errors"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A remover removes directories, and leaves what others have committed into them meanwhile.
type remover struct {
	ws     *Workspace
	root   *tree.Root
	blocks store.Getter
}

// maxOurs is how many entries a workspace remembers to have committed.
const maxOurs = 1 << 14

// remember notes that this workspace has committed something at a place that it has changed since, so
// that it is not taken for somebody else's. ws.mu is held.
func (ws *Workspace) remember(c *change) {
	if len(ws.ours) >= maxOurs {
		clear(ws.ours)
	}
	if c.node != nil {
		ws.ours[c.entry.Cid] = struct{}{}
	}
}

func (r *remover) isOurs(c cid.Cid) bool {
	r.ws.mu.RLock()
	defer r.ws.mu.RUnlock()
	_, ours := r.ws.ours[c]
	return ours
}

// without returns what removes a directory, or puts something in its place, but for what others have
// committed there since it was as given. An undefined one was nothing.
func (r *remover) without(ctx context.Context, c tree.Change, was unixfs.Entry) ([]tree.Change, error) {
	now, err := r.root.Lookup(ctx, c.Path)
	switch {
	case errors.Is(err, tree.ErrNotFound), errors.Is(err, tree.ErrNotDirectory):
		return []tree.Change{c}, nil
	case err != nil:
		return nil, err
	}
	changes, all, err := r.alike(ctx, c.Path, was.Cid, now.Cid)
	switch {
	case err != nil:
		return nil, err
	case all || c.Entry == nil && r.isFile(ctx, now.Cid): // of a file the last change stays
		return []tree.Change{c}, nil
	case c.Entry != nil:
		c.Remove = false // a directory is put into that one, and a file is refused
		return []tree.Change{c}, nil
	}
	return changes, nil
}

func (r *remover) isFile(ctx context.Context, c cid.Cid) bool {
	d, err := r.dir(ctx, c)
	return err == nil && d == nil
}

// alike returns what removes all that stands in both directories alike, or is ours, and whether that is
// all of the second.
func (r *remover) alike(ctx context.Context, at path.Path, was, now cid.Cid) (changes []tree.Change, all bool, err error) {
	if now.Equals(was) || r.isOurs(now) {
		return []tree.Change{{Path: at, Remove: true}}, true, nil
	}
	before, err := r.dir(ctx, was)
	if err != nil {
		return nil, false, err
	}
	after, err := r.dir(ctx, now)
	if err != nil || after == nil {
		return nil, false, err
	}
	all = before != nil
	err = after.Each(ctx, func(e unixfs.Entry) error {
		p, err := at.Join(e.Name)
		if err != nil {
			return err
		}
		old, err := find(ctx, before, e.Name)
		if err != nil {
			return err
		}
		more, whole, err := r.alike(ctx, p, old.Cid, e.Cid)
		changes, all = append(changes, more...), all && whole
		return err
	})
	if all {
		changes = []tree.Change{{Path: at, Remove: true}}
	}
	return changes, all, err
}

// find returns the entry of a name; an undefined one if there is none, or no directory.
func find(ctx context.Context, d *unixfs.Dir, name string) (unixfs.Entry, error) {
	if d == nil {
		return unixfs.Entry{}, nil
	}
	e, err := d.Lookup(ctx, name)
	if errors.Is(err, unixfs.ErrNoEntry) {
		err = nil
	}
	return e, err
}

// dir opens a directory; it returns none for anything else.
func (r *remover) dir(ctx context.Context, c cid.Cid) (*unixfs.Dir, error) {
	if !c.Defined() {
		return nil, nil
	}
	d, err := unixfs.OpenDir(ctx, r.blocks, c)
	if errors.Is(err, unixfs.ErrNotDirectory) {
		return nil, nil
	}
	return d, err
}
