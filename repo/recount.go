package repo

import (
	"context"
	"errors"
	"maps"

	"archivecache/tree"
	"archivecache/tree/path"
)

// Recount makes root what it is by the authors whom the tree accepts now. Every commit does so; it
// is needed before what is to see the new authors.
func (tx *Tx) Recount(ctx context.Context) (Authors, error) {
	after, err := tx.Accepted(ctx)
	if err != nil {
		return after, err
	}
	before := tx.counted
	if err := tx.dropSettings(ctx, before, after); err != nil {
		return after, err
	}
	tx.counted = after
	if before.gained(after) { // nodes that were merged may have something of theirs
		tx.forgetMerged = true
	}
	lost, weighed := before.lost(after), !maps.Equal(before.weights(), after.weights())
	if !lost && !weighed {
		return after, nil
	}
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return after, err
	}
	if lost {
		if _, err := root.Restrict(ctx, after.Accepts); err != nil {
			return after, err
		}
	}
	root.SetTrusts(after.trusts(tx.sizes))
	_, err = root.Commit(ctx)
	return after, err
}

// dropSettings removes what stands in the tree about friends that were dropped.
func (tx *Tx) dropSettings(ctx context.Context, before, after Authors) error {
	for id := range before.Friends {
		if after.Friends[id] {
			continue
		}
		for _, top := range []path.Path{TrustPath, AcceptsPath} {
			p, err := top.Join(id.String())
			if err != nil {
				return err
			}
			if err := tx.Remove(ctx, p); err != nil && !errors.Is(err, tree.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}
