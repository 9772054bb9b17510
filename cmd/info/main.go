// Info tells what stands at a path.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
)

const help = `usage: info [-repo DIR] [-json] PATH

Info tells what stands at PATH: its policy, its CID, and for what is published
who signed it, when as they say, and with which sequence. With -json it prints
one object; its field cid is the CID of what stands there, and content that of
the UnixFS file or directory.

Example:

  $ info root
  $ info -json root/forum
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	asJSON := env.Flags.Bool("json", false, "print an object")
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	return env.WithThing(ctx, args[0], func(r *repo.Repo, t *tree.Tree, thing *tree.Thing) error {
		info, err := r.Info(ctx, t, thing)
		if err != nil {
			return err
		}
		if *asJSON {
			return env.JSON(info)
		}
		return print(env, info)
	})
}

func print(env *local.Env, info repo.Info) error {
	for _, line := range info.Lines() {
		if _, err := fmt.Fprintf(env.Stdout, "%-10s %s\n", line[0], cli.Quote(line[1])); err != nil {
			return err
		}
	}
	return nil
}
