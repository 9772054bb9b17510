package tree

import (
	"context"
	"errors"
	"fmt"

	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"

	"github.com/ipfs/go-cid"
)

// ErrView is a root whose view is not the one that follows from its state.
var ErrView = errors.New("the view does not follow from the state")

// Conflicts calls fn for every side of every conflict in the shared directory d.
func (r *Root) Conflicts(ctx context.Context, d *Directory, fn func(shared.Conflict) error) error {
	return shared.Conflicts(ctx, r.blocks, d.shared(), d.Content, fn)
}

// Verify checks the root as of its last commit: that every reference is signed by its author,
// that every history has the length that the sequence says, and that the view is the one that
// follows. It calls found for every reference that holds.
func (r *Root) Verify(ctx context.Context, found func(*Directory, Part)) error {
	dirs, err := r.Directories(ctx)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if err := r.VerifyDirectory(ctx, d, found); err != nil {
			return err
		}
	}
	return r.verifyView(ctx)
}

// VerifyDirectory checks the references of one directory.
func (r *Root) VerifyDirectory(ctx context.Context, d *Directory, found func(*Directory, Part)) error {
	for _, p := range d.Parts {
		if p.Reference != nil {
			if err := r.verifyReference(ctx, p.Reference); err != nil {
				return fmt.Errorf("%s of %s: %w", d.Shown, p.Author, err)
			}
		}
		found(d, p)
	}
	return nil
}

func (r *Root) verifyReference(ctx context.Context, ref *reference.Reference) error {
	chain, err := reference.NewVerifier(r.blocks).Chain(ctx, ref)
	if err != nil {
		return err
	}
	if err := ref.Verify(chain); err != nil {
		return err
	}
	if err := ref.Continues(ctx, r.blocks, chain); err != nil {
		return err
	}
	_, err = ref.Log(ctx, r.blocks)
	return err
}

// verifyView computes the view from nothing and compares.
func (r *Root) verifyView(ctx context.Context) error {
	again, err := OpenRoot(ctx, store.NewOverlay(r.blocks), r.cid)
	if err != nil {
		return err
	}
	again.before, again.allTouched, again.trusts = []*Directory{}, true, r.trusts
	c, err := again.Commit(ctx)
	if err != nil {
		return err
	}
	if !c.Equals(r.cid) {
		return fmt.Errorf("%w: %s, and it should be %s", ErrView, r.cid, c)
	}
	return nil
}

// Unsigned calls fn for every directory that has drafts of the author; an undefined author is
// everybody.
func (r *Root) Unsigned(ctx context.Context, author cid.Cid, fn func(*Directory, *Draft)) error {
	dirs, err := r.Directories(ctx)
	if err != nil {
		return err
	}
	known := map[cid.Cid]*Directory{}
	for _, d := range dirs {
		known[d.ID] = d
	}
	return r.Drafts(ctx, func(d *Draft) error {
		if !author.Defined() || d.Author.Equals(author) {
			fn(known[d.Directory.ID()], d) // nil if the draft deletes it
		}
		return nil
	})
}

// DraftsBelow returns a function that tells whether a draft is of a directory at p or below, or
// of the one that p stands in.
func DraftsBelow(p path.Path) func(*Draft) bool {
	return func(d *Draft) bool {
		at, err := path.Parse(d.Path)
		if err != nil {
			return false
		}
		_, below := at.Below(p)
		_, above := p.Below(at)
		return below || above
	}
}
