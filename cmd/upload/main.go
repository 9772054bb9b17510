// Upload makes sure that the store has all of something.
package main

import (
	"context"
	"fmt"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
)

const help = `usage: upload [-repo DIR] PATH

Upload makes sure that the store of the repository, from which friends fetch,
has what stands at PATH with every block below it, and prints its CID: what a
gateway shows under /ipfs/CID. With the embedded store nothing has to be moved,
so it tells whether anything is missing; download fetches that.

Example:

  $ upload root
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	return env.WithThing(ctx, args[0], func(r *repo.Repo, _ *tree.Tree, thing *tree.Thing) error {
		c, err := thing.Cid()
		if err != nil {
			return err
		}
		f := exchange.NewFetcher(r.Store(), nil, exchange.Options{})
		defer f.Close()
		stats, err := exchange.Complete(ctx, f, c, nil, exchange.Scope{})
		if err != nil {
			return err
		}
		env.Say("%s are there", cli.Plural(int(stats.Blocks), "block"))
		_, err = fmt.Fprintln(env.Stdout, c)
		return err
	})
}
