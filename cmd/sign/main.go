// Sign signs the drafts of one directory.
package main

import (
	"context"
	"time"

	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"

	"github.com/ipfs/go-cid"
)

const help = `usage: sign [-repo DIR] [-identity PATH] PATH

Sign signs the drafts of the directory at PATH, below root, without publishing a
node. PATH root is all directories. new-node signs what is left, so sign is
needed only by those who sign at different times.

Example:

  $ echo hello | add - root/forum/hello.txt
  $ sign root/forum
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	at := env.Flags.String("identity", "", "the `PATH` of the author (default: your first identity)")
	words := env.PassphraseFlag()
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	return env.WithIdentity(ctx, *at, func(r *repo.Repo, t *tree.Tree, id cid.Cid) error {
		if _, err := t.Resolve(ctx, p); err != nil {
			return err
		}
		secret, err := local.Secret(r, id, words())
		if err != nil {
			return err
		}
		return r.Update(ctx, env.Name, func(ctx context.Context, tx *repo.Tx) error {
			signed, err := tx.Sign(ctx, secret, uint64(time.Now().Unix()), tree.DraftsBelow(p))
			for _, ref := range signed {
				env.Say("signed %s, sequence %d", ref.Path, ref.Sequence)
			}
			if err == nil && len(signed) == 0 {
				env.Say("%s has no drafts of %s", p, id)
			}
			return err
		})
	})
}
