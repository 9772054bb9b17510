// Replace changes values in the local part of the tree.
package main

import (
	"bytes"
	"context"
	"fmt"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
)

const help = `usage: replace [-repo DIR] [-text] OLD NEW [PATH]

Replace makes every value that is OLD into NEW, at PATH and below, without PATH
in the whole tree, and prints the paths. OLD and NEW are read as set-value reads
a value, with -text both as texts. Policies, keys and references are no values and never change. The exit
status is 1 if nothing is found.

Example:

  $ set-value scratch/answer 41
  $ replace 41 42
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	text := env.Flags.Bool("text", false, "take OLD and NEW as texts, even if they are JSON")
	args, err := env.Parse(2, 3)
	if err != nil {
		return err
	}
	p, err := local.Path(append(args, ".")[2])
	if err != nil {
		return err
	}
	before, err := tree.ValueOf(args[0], *text)
	if err != nil {
		return err
	}
	after, err := tree.ValueOf(args[1], *text)
	if err != nil {
		return err
	}
	var changed []path.Path
	err = env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
		changed, err = tx.Replace(ctx, p, func(value []byte) bool { return bytes.Equal(value, before) }, after)
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
