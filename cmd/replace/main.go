// Replace changes values in the local part of the tree.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
)

const help = `usage: replace [-repo DIR] OLD NEW [PATH]

Replace makes every value that is OLD into NEW, at PATH and below, without PATH
in the whole tree, and prints the paths. OLD and NEW are read as set-value reads
a value. Policies, keys and references are no values and never change. The exit
status is 1 if nothing is found.

Example:

  $ set-value scratch/answer 41
  $ replace 41 42
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(2, 3)
	if err != nil {
		return err
	}
	p, err := local.Path(append(args, ".")[2])
	if err != nil {
		return err
	}
	var changed []path.Path
	err = env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
		changed, err = tx.Replace(ctx, p, tree.Matcher(args[0], false), tree.ValueOf(args[1]))
		return err
	})
	if err != nil {
		return err
	}
	for _, at := range changed {
		if _, err := fmt.Fprintln(env.Stdout, cli.Printed(env.Stdout, at.String())); err != nil {
			return err
		}
	}
	if len(changed) == 0 {
		return &cli.StatusError{Status: cli.ExitFailed}
	}
	return nil
}
