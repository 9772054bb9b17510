// Search finds values in the local part of the tree.
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

const help = `usage: search [-repo DIR] [-contains] VALUE [PATH]

Search prints the paths of the values that are VALUE, at PATH and below, without
PATH in the whole tree. A VALUE that is JSON is compared as JSON, anything else
as a text; with -contains, texts are found that have VALUE in them. Policies,
keys and references are no values. The exit status is 1 if nothing is found.

Example:

  $ set-value scratch/answer 42
  $ search 42
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	contains := env.Flags.Bool("contains", false, "find texts that have VALUE in them")
	args, err := env.Parse(1, 2)
	if err != nil {
		return err
	}
	p, err := local.Path(append(args, ".")[1])
	if err != nil {
		return err
	}
	matches := tree.Matcher(args[0], *contains)
	found := false
	err = env.WithTree(ctx, func(_ *repo.Repo, t *tree.Tree) error {
		return t.EachValue(ctx, p, func(at path.Path, value []byte) error {
			if !matches(value) {
				return nil
			}
			found = true
			_, err := fmt.Fprintln(env.Stdout, cli.Printed(env.Stdout, at.String()))
			return err
		})
	})
	if err == nil && !found {
		return &cli.StatusError{Status: cli.ExitFailed}
	}
	return err
}
