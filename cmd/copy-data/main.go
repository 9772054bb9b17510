// Copy-data copies an entry of the tree.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/repo"
)

const help = `usage: copy-data [-repo DIR] [-identity PATH] FROM TO

Copy-data makes TO show what FROM shows: values and directories of the local
tree, or files and directories below root. FROM may stand in the root of a
friend's node. Nothing may stand at TO.

Example:

  $ set-value scratch/answer 42
  $ copy-data scratch/answer scratch/number
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	author := env.AuthorFlag()
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	paths, err := local.Paths(args)
	if err != nil {
		return err
	}
	return env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
		return tx.Copy(ctx, author(ctx, tx), paths[0], paths[1])
	})
}
