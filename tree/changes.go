package tree

import (
	"context"

	"archivecache/store"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Changes calls fn for every path at which the directories now show something else than those
// before; both are as [Root.Directories] returns them. Paths in the changes begin with root. A
// directory that stands elsewhere than before is a change itself. The cost follows the number of
// directories and what differs in them.
func Changes(ctx context.Context, blocks store.Blocks, before, now []*Directory, fn func(shared.Change) error) error {
	old := map[cid.Cid]*Directory{}
	for _, d := range before {
		old[d.ID] = d
	}
	for _, d := range now {
		if err := changesOf(ctx, blocks, old[d.ID], d, fn); err != nil {
			return err
		}
		delete(old, d.ID)
	}
	for _, d := range before {
		if old[d.ID] == nil {
			continue
		}
		if err := changesOf(ctx, blocks, d, nil, fn); err != nil {
			return err
		}
	}
	return nil
}

// changesOf tells what became of one directory; nil is that it was, or is, not there.
func changesOf(ctx context.Context, blocks store.Blocks, before, now *Directory, fn func(shared.Change) error) error {
	if err := moved(before, now, fn); err != nil {
		return err
	}
	d, none := now, &Directory{}
	if now == nil {
		d, now = before, none
	}
	if before == nil {
		before = none
	}
	if before.Content.Equals(now.Content) {
		return nil
	}
	below := func(c shared.Change) error {
		c.Path = d.Shown.String() + "/" + c.Path
		if c.Plain != "" {
			c.Plain = d.Shown.String() + "/" + c.Plain
		}
		return fn(c)
	}
	if d.Shared() {
		return shared.Changes(ctx, blocks, before.shared(), before.Content, now.shared(), now.Content, below)
	}
	return ownedChanges(ctx, blocks, d.Owner(), before.Content, now.Content, below)
}

// moved tells of a directory that is shown elsewhere than before, or beside another one.
func moved(before, now *Directory, fn func(shared.Change) error) error {
	if now == nil || before != nil && before.Shown == now.Shown || before == nil && now.Shown == now.Path {
		return nil
	}
	c := shared.Change{Path: now.Shown.String(), Content: now.Content}
	if !now.Shared() {
		c.Authors = []cid.Cid{now.Owner()}
	}
	if now.Shown != now.Path {
		c.Outcome, c.Plain = shared.PathConflict, now.Path.String()
		return fn(c)
	}
	gone := c
	gone.Outcome, gone.Path = shared.PathDeleted, before.Shown.String()
	c.Outcome = shared.PathAdded
	if err := fn(gone); err != nil {
		return err
	}
	return fn(c)
}

// ownedChanges compares two versions of a directory of one owner.
func ownedChanges(ctx context.Context, blocks store.Getter, owner, before, now cid.Cid, fn func(shared.Change) error) error {
	authors := []cid.Cid{owner}
	return unixfs.DiffTree(ctx, blocks, before, now, func(at string, was, is *unixfs.Entry) error {
		switch {
		case is == nil:
			return fn(shared.Change{Outcome: shared.PathDeleted, Path: at, Authors: authors, Content: was.Cid})
		case was == nil:
			return fn(shared.Change{Outcome: shared.PathAdded, Path: at, Authors: authors, Content: is.Cid})
		}
		return fn(shared.Change{Outcome: shared.PathChanged, Path: at, Authors: authors, Content: is.Cid})
	})
}

// EachNewlyHidden calls fn for every version that the shared directory showed before and hides now;
// package shared says which those are.
func EachNewlyHidden(ctx context.Context, blocks store.Blocks, before, now *Directory, fn func(v shared.HiddenVersion, by []cid.Cid) error) error {
	return shared.EachNewlyHidden(ctx, blocks, before.shared(), now.shared(), fn)
}
