// Message-read-reference writes a reference as a message.
package main

import (
	"context"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
)

const help = `usage: message-read-reference [-repo DIR] [-identity PATH] [-text] PATH

Message-read-reference writes the reference at PATH as a message to standard
output: what friends need to have. An identity or a friend gives the identity
document, a node the signed node, and an owned directory its newest signed
reference; of a shared directory it is the author's. What is not signed yet has
no reference: new-node signs.

Example:

  $ message-read-reference identities/me | base64 -w 60
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	text := env.Flags.Bool("text", false, "write base64, on one line")
	author := env.Flags.String("identity", "", "the `PATH` of the author, for shared directories (default: your first identity)")
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	return env.WithThing(ctx, args[0], func(r *repo.Repo, t *tree.Tree, thing *tree.Thing) error {
		json, err := r.ReferenceJSON(ctx, t, thing, *author)
		if err != nil {
			return err
		}
		return cli.WriteMessage(env.Env, json, *text)
	})
}
