package merge

import (
	"context"
	"errors"

	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

// rounds is how often All may go through the nodes. In the first round it may learn whom friends
// accept, for which nodes that were merged before have to be merged again. In the second nobody can
// be accepted newly, unless somebody changes the repository meanwhile.
const rounds = 3

// All merges the nodes of all friends that were not merged yet, each in a commit of its own, and
// calls done for each. An error of one does not keep it from the others. What a node brings may
// make others worth merging again, which are done then a second time.
func All(ctx context.Context, r *repo.Repo, command string, opt Options, done func(Report, error)) error {
	left := map[cid.Cid]bool{} // nodes that could not be merged as a whole
	for range rounds {
		todo, err := unmerged(ctx, r, left)
		if err != nil || len(todo) == 0 {
			return err
		}
		for _, p := range todo {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			report, err := Node(ctx, r, command, p, opt)
			if err := note(ctx, r, p, left); err != nil {
				return err
			}
			done(report, err)
		}
	}
	return nil
}

// unmerged returns the paths of the nodes that were not merged last of their authors, but for those
// that are left.
func unmerged(ctx context.Context, r *repo.Repo, left map[cid.Cid]bool) ([]path.Path, error) {
	t, err := r.Tree(ctx)
	if err != nil {
		return nil, err
	}
	merged, err := r.AllMerged(ctx)
	if err != nil {
		return nil, err
	}
	var todo []path.Path
	err = t.Each(ctx, repo.NodesPath, func(name string, e tree.Entry) error {
		if e.Policy != tree.NodePolicy || left[e.Link.Target()] || merged[e.Link.Target()] {
			return nil
		}
		p, err := repo.NodesPath.Join(name)
		todo = append(todo, p)
		return err
	})
	if errors.Is(err, tree.ErrNotFound) {
		return nil, nil
	}
	return todo, err
}

func isMerged(ctx context.Context, r *repo.Repo, t *tree.Tree, e tree.Entry) (bool, error) {
	node, err := tree.ReadNode(ctx, t.Blocks, e)
	if err != nil {
		return false, err
	}
	merged, err := r.Merged(ctx, node.Owner.Cid)
	return merged.Equals(e.Link.Target()), err
}

// note adds the node at p to those that are left, if it was not merged as a whole just now.
func note(ctx context.Context, r *repo.Repo, p path.Path, left map[cid.Cid]bool) error {
	t, err := r.Tree(ctx)
	if err != nil {
		return err
	}
	e, err := t.Get(ctx, p)
	if err != nil {
		if errors.Is(err, tree.ErrNotFound) {
			return nil
		}
		return err
	}
	merged, err := isMerged(ctx, r, t, e)
	if err == nil && !merged {
		left[e.Link.Target()] = true
	}
	return err
}
