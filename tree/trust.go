package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"archivecache/tree/reference"
	"archivecache/tree/shared"

	"github.com/ipfs/go-cid"
)

// A Trust is how much of what an author has signed counts in the view; the state has all of it.
// The zero Trust is all.
type Trust struct {
	// OwnMarks says that the author's marks count on their own versions only.
	OwnMarks bool
	// Entries and Bytes are the author's quota of files, directories and records of marks, and of
	// bytes that the links to the files claim; 0 is none.
	Entries, Bytes uint64
}

// Trusts says how much of each author counts. The zero Trusts is all of everybody.
type Trusts struct {
	Of    func(author cid.Cid) Trust
	Sizes shared.Sizes // may be nil
}

// allows reports whether an author who has that much keeps to the quota.
func (t Trust) allows(s shared.Size) bool {
	return (t.Entries == 0 || s.Entries <= t.Entries) && (t.Bytes == 0 || s.Bytes <= t.Bytes)
}

// SetTrusts says how much of each author counts from the next commit on.
func (r *Root) SetTrusts(t Trusts) { r.trusts, r.allTouched = t, true }

// OverQuota calls fn for every part of a directory that is left out of the view because its author
// has more than the quota. An owned directory of that kind is shown nowhere.
func (r *Root) OverQuota(ctx context.Context, fn func(*Directory, Part) error) error {
	dirs, err := r.Directories(ctx)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		for _, p := range d.Parts {
			if !p.OverQuota {
				continue
			}
			if err := fn(d, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// leftOut reports whether d is an owned directory that is not shown.
func (d *Directory) leftOut() bool { return !d.Shared() && len(d.Parts) > 0 && d.Parts[0].OverQuota }

// weigh sets how much of each part counts. Dirs are in the order of their ids: in that order the
// parts of an author take up the quota, and those that do not fit are left out as a whole.
func (r *Root) weigh(ctx context.Context, dirs []*Directory) error {
	used := map[cid.Cid]shared.Size{}
	for _, d := range dirs {
		common := true // the parts, with those of before
		for i, p := range d.Parts {
			if err := r.weighPart(ctx, d, &p, used); err != nil {
				return fmt.Errorf("%s: size of the part of %s: %w", d.Founding.Path, p.Author, err)
			}
			if p == d.Parts[i] {
				continue
			}
			if common {
				d.Parts, common = slices.Clone(d.Parts), false
			}
			d.Parts[i] = p
		}
	}
	return nil
}

func (r *Root) weighPart(ctx context.Context, d *Directory, p *Part, used map[cid.Cid]shared.Size) error {
	trust := Trust{}
	if r.trusts.Of != nil {
		trust = r.trusts.Of(p.Author)
	}
	p.OwnMarks, p.OverQuota = trust.OwnMarks, false
	if trust.Entries == 0 && trust.Bytes == 0 {
		return nil
	}
	if p.size == nil {
		size, err := r.measure(ctx, d.ID, *p)
		if err != nil {
			return err
		}
		p.size = &size
	}
	sum := used[p.Author].Plus(*p.size)
	if p.OverQuota = !trust.allows(sum); !p.OverQuota {
		used[p.Author] = sum
	}
	return nil
}

// measure returns the size of a part, from the one that its author had there before if that is
// known.
func (r *Root) measure(ctx context.Context, directory cid.Cid, p Part) (shared.Size, error) {
	before := shared.Layer{}
	for _, d := range r.before {
		if d.ID.Equals(directory) {
			before = d.Part(p.Author).Layer()
		}
	}
	return shared.MeasureLayer(ctx, r.blocks, r.trusts.Sizes, before, p.Layer())
}

// checkDraft refuses a layer that others would refuse; held is the one before, if there is any.
func (r *Root) checkDraft(ctx context.Context, d *Draft, held *reference.Reference) error {
	if d.Directory.Policy != reference.SharedPolicy {
		return nil
	}
	size, err := shared.MeasureLayer(ctx, r.blocks, r.trusts.Sizes, Part{Reference: held}.Layer(), Part{Draft: d}.Layer())
	if err == nil {
		err = size.Check()
	}
	if errors.Is(err, shared.ErrTooLarge) {
		err = fmt.Errorf("%w; put some into another directory", err)
	}
	return err
}

// openRoot opens the root of the tree with what counts in it.
func (t *Tree) openRoot(ctx context.Context, c cid.Cid) (*Root, error) {
	r, err := OpenRoot(ctx, t.Blocks, c)
	if err != nil || t.Trusts == nil {
		return r, err
	}
	r.opened, err = t.Trusts(ctx)
	r.trusts = r.opened
	return r, err
}
