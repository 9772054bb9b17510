package upkeep

import (
	"context"
	"fmt"

	"archivecache/exchange"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// find finds a path for what is lost: in the tree as it is now, then in older versions, the newest
// first, and then in what was seen of others.
func (c *checker) find(ctx context.Context) error {
	f := exchange.NewFinder(c.repo.Store(), func(at cid.Cid) bool {
		d, err := store.DigestOf(at)
		return err == nil && c.lost[d] != nil
	})
	below := func(path string, root cid.Cid) {
		if root.Defined() && ctx.Err() == nil {
			f.Below(ctx, path, root, c.found)
		}
	}
	t, err := c.repo.Tree(ctx)
	if err != nil {
		return err
	}
	findTree(ctx, t, "", below)
	below("the tree", t.Head())
	for _, e := range c.entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		at := fmt.Sprintf("version %d of the log: ", e.ID)
		findTree(ctx, tree.Open(store.NewOverlay(c.repo.Store()), e.Head), at, below)
		below(at+"the tree", e.Head)
	}
	err = c.repo.Marks(ctx, func(slot reference.Slot, m repo.Mark) error {
		if m.Reference != nil {
			findReference(m.Reference, "the last known version of ", below)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return ctx.Err()
}

// found notes the first path of a block.
func (c *checker) found(path string, at cid.Cid) {
	d, err := store.DigestOf(at)
	if err != nil || c.lost[d] == nil || c.lost[d].path != "" {
		return
	}
	c.lost[d].path = path
}

// findTree looks at what stands in a tree by names: root first, as people see it, then the parts of
// its directories, then the rest. What cannot be read it passes over.
func findTree(ctx context.Context, t *tree.Tree, prefix string, below func(string, cid.Cid)) {
	if root, err := t.Root(ctx); err == nil {
		below(prefix+path.Root, root.View())
		if dirs, err := root.Directories(ctx); err == nil {
			for _, d := range dirs {
				findParts(d, prefix, below)
			}
		}
	}
	t.Each(ctx, path.Path{}, func(name string, e tree.Entry) error {
		below(prefix+name, e.Link.Target())
		return nil
	})
}

func findParts(d *tree.Directory, prefix string, below func(string, cid.Cid)) {
	for _, p := range d.Parts {
		at := prefix + d.Shown.String()
		if p.Reference != nil {
			findReference(p.Reference, prefix, below)
		}
		if p.Draft != nil {
			below(at, p.Draft.Content.Target())
			below("the marks of "+at, p.Draft.Marks.Target())
		}
	}
}

func findReference(ref *reference.Reference, prefix string, below func(string, cid.Cid)) {
	at := ref.Path
	if ref.Policy == reference.NodePolicy {
		at = "the node of " + ref.Owner.String()
	}
	below(prefix+at, ref.Content.Target())
	below(prefix+"the marks of "+at, ref.Marks.Target())
	below(prefix+"the history of "+at, ref.History.Target())
}
