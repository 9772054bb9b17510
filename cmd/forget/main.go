// Forget takes old versions out of the log.
package main

import (
	"context"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
)

const help = `usage: forget [-repo DIR] -keep N | -before N

Forget takes old versions of the tree out of the log, so that gc can drop what
only they need. With -keep the newest N stay, at least one; with -before all
stay from entry N on, a number that log prints. undo goes back to the oldest
that is left, and no further. Nothing of the tree as it is now is lost.

Nothing that is published is unpublished by this: others have it and may keep
it, and what was signed stays signed. What was seen of others stays known too,
so that old references of theirs stay old.

Example:

  $ set-value scratch/answer 42
  $ forget -keep 1
  $ gc
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	keep := env.Flags.Int64("keep", 0, "keep the newest `N` versions")
	before := env.Flags.Int64("before", 0, "forget what is older than entry `N`")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	if *keep < 0 || *before < 0 || (*keep == 0) == (*before == 0) {
		return cli.Usage("which versions? -keep N keeps the newest N, -before N all from entry N on; one of the two")
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	forgotten, err := forget(ctx, r, *keep, *before)
	if err != nil {
		return err
	}
	env.Say("forgot %s; gc drops what only they needed", cli.Plural(int(forgotten), "version"))
	return nil
}

func forget(ctx context.Context, r *repo.Repo, keep, before int64) (int64, error) {
	if keep > 0 {
		return r.ForgetAllBut(ctx, keep)
	}
	return r.ForgetBefore(ctx, before)
}
