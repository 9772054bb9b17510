package repo

import (
	"context"
	"errors"
	"fmt"

	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// Reasons why a thing has no reference.
var (
	ErrNoReference = errors.New("it has no reference of its own")
	ErrDraftOnly   = errors.New("not signed yet; new-node signs it")
)

// ReferenceJSON returns the JSON of the reference of a thing: the document of an identity, or the
// reference that the author at the path has signed last, "" being the first identity.
func (r *Repo) ReferenceJSON(ctx context.Context, t *tree.Tree, thing *tree.Thing, author string) ([]byte, error) {
	switch {
	case thing.Local() && thing.Entry.Policy == tree.IdentityPolicy:
		doc, err := Document(ctx, t, thing.Entry.Link.Target())
		return doc.JSON(), err
	case thing.Local() && thing.Node != nil:
		return thing.Node.JSON()
	case thing.Dir == nil || len(thing.Names) > 0:
		return nil, fmt.Errorf("%s: %w; identities, nodes and directories below root have", thing.Path, ErrNoReference)
	}
	ref, err := r.newest(ctx, t, thing, author)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", thing.Path, err)
	}
	return ref.JSON()
}

func (r *Repo) newest(ctx context.Context, t *tree.Tree, thing *tree.Thing, author string) (*reference.Reference, error) {
	id := thing.Dir.Owner()
	if thing.Dir.Shared() {
		var err error
		if id, err = r.anyAuthor(ctx, t, author); err != nil {
			return nil, err
		}
	}
	part := thing.Dir.Part(id)
	switch {
	case part.Fork != nil:
		return nil, tree.ErrForked
	case part.Reference == nil:
		return nil, ErrDraftOnly
	}
	return part.Reference, nil
}

// anyAuthor is Author that takes friends as well.
func (r *Repo) anyAuthor(ctx context.Context, t *tree.Tree, at string) (cid.Cid, error) {
	p, err := path.Parse(at)
	if _, friend := p.Below(FriendsPath); err == nil && friend {
		return identityAt(ctx, t, p)
	}
	return r.Author(ctx, t, at)
}
