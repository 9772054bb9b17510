package merge

import (
	"context"
	"errors"

	"archivecache/exchange"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/reference"
)

// Sources returns where a node says that its blocks are.
func Sources(node *reference.Reference, opt Options) []exchange.Source {
	var sources []exchange.Source
	for _, text := range node.Addresses {
		a, err := exchange.ParseAddress(text)
		if errors.Is(err, exchange.ErrScheme) {
			continue // for another way than HTTP
		}
		if err == nil {
			err = opt.Fetch.Policy.Check(a)
		}
		if err != nil {
			if opt.Ignored != nil {
				opt.Ignored(text, err)
			}
			continue
		}
		s := exchange.Source{Address: a, Hint: true, Who: node.Owner.String()}
		if opt.Address != nil {
			opt.Address(s)
		}
		sources = append(sources, s)
	}
	return sources
}

// AllSources returns where the nodes of all friends say that their blocks are.
func AllSources(ctx context.Context, t *tree.Tree, opt Options) ([]exchange.Source, error) {
	var sources []exchange.Source
	err := t.Each(ctx, repo.NodesPath, func(_ string, e tree.Entry) error {
		if e.Policy != tree.NodePolicy {
			return nil
		}
		node, err := tree.ReadNode(ctx, t.Blocks, e)
		if err == nil {
			sources = append(sources, Sources(node, opt)...)
		}
		return err
	})
	if errors.Is(err, tree.ErrNotFound) {
		return nil, nil
	}
	return sources, err
}

// Reading returns blocks that are read from f; what is put stays in memory.
func Reading(f *exchange.Fetcher) store.Blocks { return store.NewOverlay(f) }

// Network returns the IPFS network as a source, if the repository has a daemon for its store.
func Network(r *repo.Repo) []exchange.Source {
	if get := r.Network(); get != nil {
		return []exchange.Source{{Who: "the IPFS network", Get: get}}
	}
	return nil
}
