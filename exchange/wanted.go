package exchange

import (
	"context"
	"fmt"

	"archivecache/dag"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// wantRoot wants a root of a CAR.
func (i *importer) wantRoot(c cid.Cid) {
	if i.limits.All {
		return
	}
	if _, ok := store.Identity(c); ok {
		return
	}
	r, err := refOf(c)
	if err != nil {
		i.unclear = true
		return
	}
	i.wanted[r.key()] = r
}

// want wants what a block links and has not come.
func (i *importer) want(b store.Block) error {
	if i.limits.All {
		return nil
	}
	var links []ref
	err := dag.RawLinks(b.Cid, b.Data, func(link []byte) error {
		r, err := linkRef(link)
		links = append(links, r)
		return err
	})
	if err != nil {
		i.unclear = true
		return nil
	}
	for _, r := range links {
		k := r.key()
		switch p, aside := i.aside.at[k]; {
		case aside && !p.due:
			p.due = true
			i.aside.at[k] = p
			i.due = append(i.due, k)
		case !i.seen.has(k):
			i.wanted[k] = r
		}
	}
	if len(i.wanted) > maxWanted {
		return fmt.Errorf("%w: %d blocks are linked and have not come", ErrBudget, len(i.wanted))
	}
	return nil
}

// end takes of the blocks aside those that were linked later, and finds out what is missing.
func (i *importer) end(ctx context.Context) error {
	if err := i.takeDue(ctx); err != nil {
		return err
	}
	if i.unclear {
		for k := range i.aside.at {
			i.due = append(i.due, k)
		}
		if err := i.takeDue(ctx); err != nil {
			return err
		}
	}
	i.stats.Unasked = int64(len(i.aside.at))
	if err := i.put(ctx); err != nil {
		return err
	}
	return i.findMissing(ctx)
}

func (i *importer) takeDue(ctx context.Context) error {
	for len(i.due) > 0 {
		k := i.due[len(i.due)-1]
		i.due = i.due[:len(i.due)-1]
		b, ok, err := i.aside.take(k)
		if err == nil && ok {
			err = i.keep(ctx, k, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// findMissing looks in the store for what was linked and has not come.
func (i *importer) findMissing(ctx context.Context) error {
	refs := make([]ref, 0, batch)
	look := func() error {
		has, err := i.store.Has(ctx, cids(refs))
		if err != nil {
			return err
		}
		for n := range refs {
			if has[n] {
				continue
			}
			if i.stats.MissingCount++; len(i.stats.Missing) < maxMissing {
				i.stats.Missing = append(i.stats.Missing, refs[n].cid())
			}
		}
		refs = refs[:0]
		return nil
	}
	for _, r := range i.wanted {
		if refs = append(refs, r); len(refs) == batch {
			if err := look(); err != nil {
				return err
			}
		}
	}
	return look()
}
