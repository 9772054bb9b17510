// Move moves an entry of the tree.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/repo"
)

const help = `usage: move [-repo DIR] [-identity PATH] FROM TO

Move makes TO show what FROM shows, and FROM nothing. An owned directory that
moves to another place below root stays the same directory, for everybody.
Nothing may stand at TO.

Example:

  $ set-value scratch/answer 42
  $ move scratch/answer scratch/number
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
		return tx.Move(ctx, author(ctx, tx), paths[0], paths[1])
	})
}
