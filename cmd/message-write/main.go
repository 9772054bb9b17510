// Message-write puts the content of a message into the tree.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/message"
	"archivecache/repo"
	"archivecache/tree"
)

const help = `usage: message-write [-repo DIR] PATH < MESSAGE

Message-write reads a message from standard input and puts its content at PATH,
in the local part of the tree, as values. Nothing is verified: it is for data,
not for references.

Example:

  $ echo '{"colours": ["red", "blue"]}' | message-from-json | message-write scratch/choice
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	json, err := message.Read(env.Stdin)
	if err != nil {
		return err
	}
	return env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
		return tx.SetValue(ctx, p, tree.UnwrapValue(json))
	})
}
