// Upload makes sure that the store has all of something.
package main

import (
	"context"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"

	"github.com/ipfs/go-cid"
)

const help = `usage: upload [-repo DIR] PATH

Upload makes sure that the store of the repository, from which friends fetch,
has what stands at PATH with every block below it, and prints its CID: what a
gateway shows under /ipfs/CID. With the embedded store nothing has to be moved,
so it tells whether anything is missing; download fetches that.

Example:

  $ upload root
`

func main() { local.Main(help, local.CheckBlocks(present)) }

// present asks nobody: a block that is not in the store is an error that names it.
func present(ctx context.Context, r *repo.Repo, c cid.Cid) (string, error) {
	f := exchange.NewFetcher(r.Store(), nil, exchange.Options{})
	defer f.Close()
	stats, err := exchange.Complete(ctx, f, c, nil, exchange.Scope{})
	return cli.Plural(int(stats.Blocks), "block") + " are there", err
}
