package tree

import (
	"context"
	"errors"
	"fmt"

	"archivecache/tree/path"
	"archivecache/tree/shared"

	"github.com/ipfs/go-cid"
)

// Authorship says who has written what a thing below a root shows: the owner, or in a shared
// directory all who have it there as it is, and of that itself all who have something in it. Of a side of a conflict, conflict is the path that the
// sides claim.
func (t *Tree) Authorship(ctx context.Context, thing *Thing) (parts []Part, conflict string, err error) {
	d := thing.Dir
	switch {
	case d == nil:
		return nil, "", nil
	case !d.Shared():
		return []Part{d.Part(d.Owner())}, "", nil
	case len(thing.Names) == 0:
		return d.Parts, "", nil
	}
	at := path.MustParse(thing.inRootPath())
	sides, err := t.Sides(ctx, thing.Root, at)
	if err != nil && !errors.Is(err, shared.ErrNoConflict) {
		return nil, "", err
	}
	for _, side := range sides {
		if side.Path == at.String() {
			parts, err := claimed(d, side)
			return parts, side.Plain, err
		}
	}
	for _, p := range d.Parts {
		layer := p.Layer()
		if !layer.Files.Defined() || p.OverQuota {
			continue
		}
		e, err := Walk(ctx, t.Blocks, layer.Files, at, thing.Names)
		switch {
		case err == nil && e.Cid.Equals(thing.Content.Cid):
			parts = append(parts, p)
		case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNotDirectory):
			return nil, "", err
		}
	}
	return parts, "", nil
}

// claimed returns the parts of those who claim a side.
func claimed(d *Directory, side Side) ([]Part, error) {
	var parts []Part
	for _, c := range side.Authors {
		id, err := cid.Decode(c.Author)
		if err != nil {
			return nil, fmt.Errorf("%s: author %q: %w", side.Path, c.Author, err)
		}
		parts = append(parts, d.Part(id))
	}
	return parts, nil
}
