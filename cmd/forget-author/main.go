// Forget-author removes an author with all that is known of them.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/repo"

	"github.com/ipfs/go-cid"
)

const help = `usage: forget-author [-repo DIR] friends/ID

Forget-author drops a friend with settings and node, and everything that they
wrote below root, as delete friends/ID does; and it forgets what was seen of them.
So nothing of them is left but blocks that nothing points to. Old references of
theirs cannot be told from new ones any more, nor is a fork of theirs known: who is
befriended again starts as a stranger does.

Others may be named by their ids. An author who is accepted through a friend comes
back with the next merge; trust -friends no ends that. undo brings back the tree,
but not what was seen. Your own identities are refused.

Example:

  $ forget-author friends/$(list friends)
  $ undo
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	id, err := repo.ParseAuthor(args[0])
	if err != nil {
		return err
	}
	accepted, err := forget(ctx, env, id)
	if err != nil {
		return err
	}
	env.Say("forgotten; old references of %s cannot be told from new ones any more", id)
	if accepted {
		env.Say("%s is accepted through a friend still, and comes back with the next merge; trust -friends no ends that", id)
	}
	return nil
}

func forget(ctx context.Context, env *local.Env, id cid.Cid) (accepted bool, err error) {
	err = env.Update(ctx, func(ctx context.Context, tx *repo.Tx) (err error) {
		accepted, err = tx.ForgetAuthor(ctx, id)
		return err
	})
	return accepted, err
}
