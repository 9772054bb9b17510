// Undo brings back the tree of before.
package main

import (
	"context"
	"strconv"

	"archivecache/internal/cli"
	"archivecache/internal/local"
)

const help = `usage: undo [-repo DIR] [N]

Undo brings back the tree as it was before the last commit that is not undone
yet, so that a second undo goes a step further. With N, a number that log
prints, it brings back the tree before that commit, and so undoes all since;
undo of the number of an undo does again what that undid. Keys, and what was
seen of others, stay known: what was published and is undone is a draft again,
and the next node continues the history. What forget has taken out of the log
cannot be brought back.

Example:

  $ set-value scratch/answer 42
  $ undo
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(0, 1)
	if err != nil {
		return err
	}
	n := int64(0)
	if len(args) == 1 {
		if n, err = strconv.ParseInt(args[0], 10, 64); err != nil || n < 1 {
			return cli.Usage("%q is not the number of a commit; log prints them", args[0])
		}
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	undone, err := r.Undo(ctx, n)
	if err != nil {
		return err
	}
	env.Say("back to before commit %d, %s", undone.ID, undone.Command)
	return nil
}
