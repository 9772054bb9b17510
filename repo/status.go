package repo

import (
	"context"
	"errors"
	"fmt"

	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// A StatusLine is something that wants attention.
type StatusLine struct {
	Kind string `json:"kind"` // draft, unpublished, unmerged, conflict, forked, over-quota
	Path string `json:"path"`
	Text string `json:"text"`
}

// Status calls fn for everything that wants attention.
func (r *Repo) Status(ctx context.Context, t *tree.Tree, fn func(StatusLine) error) error {
	root, err := t.Root(ctx)
	if err != nil {
		return err
	}
	var lines []StatusLine
	err = root.Unsigned(ctx, cid.Undef, func(_ *tree.Directory, d *tree.Draft) {
		lines = append(lines, StatusLine{"draft", d.Path, "not signed yet; new-node signs and publishes it"})
	})
	if err != nil {
		return err
	}
	for _, find := range []func(context.Context, *tree.Tree, *tree.Root) ([]StatusLine, error){
		r.unpublished, r.unmerged, conflictLines, forkedIdentities,
	} {
		more, err := find(ctx, t, root)
		if err != nil {
			return err
		}
		lines = append(lines, more...)
	}
	for _, l := range lines {
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

// unpublished tells whether root has something that the node of one's own does not have.
func (r *Repo) unpublished(ctx context.Context, t *tree.Tree, root *tree.Root) ([]StatusLine, error) {
	var node *reference.Reference
	err := t.Each(ctx, path.Path{}, func(name string, e tree.Entry) error {
		if e.Policy != tree.NodePolicy || node != nil {
			return nil
		}
		var err error
		node, err = tree.ReadNode(ctx, t.Blocks, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	published, err := root.WithoutDrafts(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case node == nil:
		return []StatusLine{{"unpublished", path.Root, "never published; new-node node IDENTITY publishes it"}}, nil
	case !node.Content.Equals(published.Cid()):
		return []StatusLine{{"unpublished", path.Root, fmt.Sprintf("changed since node %d; new-node publishes it", node.Sequence)}}, nil
	}
	return nil, nil
}

// unmerged tells which nodes of friends wait.
func (r *Repo) unmerged(ctx context.Context, t *tree.Tree, _ *tree.Root) ([]StatusLine, error) {
	var lines []StatusLine
	err := t.Each(ctx, NodesPath, func(name string, e tree.Entry) error {
		if e.Policy != tree.NodePolicy {
			return nil
		}
		node, err := tree.ReadNode(ctx, t.Blocks, e)
		if err != nil {
			return err
		}
		merged, err := r.Merged(ctx, node.Owner.Cid)
		if err == nil && !merged.Equals(e.Link.Target()) {
			lines = append(lines, StatusLine{"unmerged", "nodes/" + name, fmt.Sprintf("node %d waits; merge-all merges it", node.Sequence)})
		}
		return err
	})
	if errors.Is(err, tree.ErrNotFound) {
		return nil, nil
	}
	return lines, err
}

// forkedIdentities tells which authors have rotated one key twice.
func forkedIdentities(ctx context.Context, _ *tree.Tree, root *tree.Root) ([]StatusLine, error) {
	var lines []StatusLine
	rotations := reference.RotationSlot(cid.Undef).Directory
	err := root.State().EachOf(ctx, rotations, func(slot reference.Slot, v state.Value) error {
		if v.Fork != nil {
			lines = append(lines, StatusLine{"forked", "identity", slot.Author.String() + ": " + state.ErrIdentityForked.Error()})
		}
		return nil
	})
	return lines, err
}

// conflictLines tells which versions stand beside each other, who has forked what, and what is left
// out for a quota.
func conflictLines(ctx context.Context, t *tree.Tree, root *tree.Root) ([]StatusLine, error) {
	dirs, err := root.Directories(ctx)
	if err != nil {
		return nil, err
	}
	var lines []StatusLine
	for _, d := range dirs {
		over := false
		for _, p := range d.Parts {
			if p.OverQuota {
				over = true
				lines = append(lines, StatusLine{"over-quota", d.Path.String(), p.Author.String() + " has more than the quota, and this is not shown; trust changes it"})
			}
			if p.Fork != nil {
				lines = append(lines, StatusLine{"forked", d.Shown.String(), p.Author.String() + " has signed versions that do not continue each other"})
			}
		}
		if over && !d.Shared() {
			continue // it is not shown at all
		}
		if d.Shown != d.Path {
			lines = append(lines, StatusLine{"conflict", d.Shown.String(), "another directory stands at " + d.Path.String()})
		}
		if !d.Shared() {
			continue
		}
		err := root.Conflicts(ctx, d, func(c shared.Conflict) error {
			if c.Path == c.Plain {
				return nil
			}
			text := fmt.Sprintf("a version of %s by %s", c.Plain, c.Authors[0])
			lines = append(lines, StatusLine{"conflict", d.Shown.String() + "/" + c.Path, text})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}
