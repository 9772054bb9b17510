// Export-car writes something with all its blocks as a CAR file.
package main

import (
	"context"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"

	"github.com/ipfs/go-cid"
)

const help = `usage: export-car [-repo DIR] PATH > FILE

Export-car writes what stands at PATH, with all blocks below it, to standard
output as a CAR file: a node with all that it publishes, or a file or directory
below root. If blocks are missing it names them, and writes nothing. import-car
reads the file, and so does any IPFS software.

Example:

  $ new-node node identities/me
  $ export-car node > a.car
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
		stats, err := exchange.ExportCAR(ctx, r.Store(), []cid.Cid{c}, env.Stdout)
		if err != nil {
			return err
		}
		env.Say("%s, %s, root %s", cli.Plural(int(stats.Blocks), "block"), cli.Bytes(stats.Bytes), c)
		return nil
	})
}
