// Delete deletes entries of the tree.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/repo"
)

const help = `usage: delete [-repo DIR] [-identity PATH] PATH...

Delete deletes what stands at the PATHs, with all below. Of other people's files
in a shared directory it hides the versions that are visible now, for everybody
who accepts you; list -hidden shows them. Deleting nodes forgets the nodes that
friends have sent; what was seen last stays known, so that older ones are still
refused. Deleting friends/ID drops a friend, and with them the settings that trust
made, what they wrote, and who was accepted through them only; forget-author
forgets what was seen of them as well. undo brings everything back.

Example:

  $ set-value scratch/answer 42
  $ delete scratch/answer
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	author := env.AuthorFlag()
	args, err := env.Parse(1, -1)
	if err != nil {
		return err
	}
	paths, err := local.Paths(args)
	if err != nil {
		return err
	}
	return env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
		for _, p := range paths {
			if err := tx.Delete(ctx, author(ctx, tx), p); err != nil {
				return err
			}
		}
		return nil
	})
}
