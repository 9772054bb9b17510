// Conflicts lists what claims the same place.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
)

const help = `usage: conflicts [-repo DIR] [-json] [PATH]

Conflicts lists every conflict below root, or at PATH and below: versions of one
file that people wrote without knowing of each other, files and directories of
one name, directories of several owners at one place, and directories that an
author has forked. It prints a line for each side, with tabs between

  conflict   file, directory or fork
  plain      the path that all sides claim
  path       where this side is shown
  kind       file, symlink or directory
  size       in bytes, of a file
  authors    who has it so, with commas between
  times      when each says that they signed it; draft is not signed yet
  version    the id of a file's version
  cid        the CID of what is shown

and a hyphen for what there is not. With -json it prints an object a line.
resolve decides about files; move gives a directory of your own another place.

Example:

  $ conflicts
  $ conflicts -json root/forum
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	asJSON := env.Flags.Bool("json", false, "print an object a line")
	args, err := env.Parse(0, 1)
	if err != nil {
		return err
	}
	return env.WithThing(ctx, append(args, path.Root)[0], func(_ *repo.Repo, t *tree.Tree, thing *tree.Thing) error {
		sides, err := t.Conflicts(ctx, thing)
		if err != nil {
			return err
		}
		return env.PrintSides(sides, *asJSON)
	})
}
