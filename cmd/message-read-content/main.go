// Message-read-content writes what stands at a path as a message.
package main

import (
	"context"
	"encoding/json"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
)

const help = `usage: message-read-content [-repo DIR] [-text] PATH

Message-read-content writes what stands at PATH, as get-data prints it, as a
message to standard output. A value that is no object is put into one.
message-write reads it.

Example:

  $ set-value scratch/answer 42
  $ message-read-content scratch | message-write copies/scratch
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	text := env.Flags.Bool("text", false, "write base64, on one line")
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	return env.WithThing(ctx, args[0], func(_ *repo.Repo, t *tree.Tree, thing *tree.Thing) error {
		data, err := t.Data(ctx, thing, true)
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(data)
		if err != nil {
			return err
		}
		return cli.WriteMessage(env.Env, tree.WrapValue(encoded), *text)
	})
}
