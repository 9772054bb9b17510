// Rehash reads every block of something again and checks it.
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

const help = `usage: rehash [-repo DIR] PATH

Rehash reads every block at PATH and below from the disk, hashes it, and
compares with the CID. It prints the CID of what stands at PATH. A block that is
damaged or missing is named, with exit status 1.

Example:

  $ rehash root
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
		stats, err := exchange.Rehash(ctx, r.Store(), c)
		if err != nil {
			return err
		}
		env.Say("%s, %s, all as their hashes say", cli.Plural(int(stats.Blocks), "block"), cli.Bytes(stats.Bytes))
		_, err = fmt.Fprintln(env.Stdout, c)
		return err
	})
}
