// Add-node-from-message takes in the node of a friend.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/local"
	"archivecache/message"
	"archivecache/repo"
	"archivecache/tree/path"
	"archivecache/tree/reference"
)

const help = `usage: add-node-from-message [-repo DIR] < MESSAGE

Add-node-from-message reads the message of a node from standard input, in any
form that mail leaves of it, verifies it, and puts it at nodes/ID, which it
prints. The node has to be signed by a friend, and not be older than what is
known of them. merge then takes it in.

Example:

  $ new-node node identities/me
  $ message-read-reference identities/me | add-friend-from-message -repo "$OTHER"
  $ message-read-reference node | base64 -w 60 | add-node-from-message -repo "$OTHER"
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	json, err := message.Read(env.Stdin)
	if err != nil {
		return err
	}
	node, err := reference.FromJSON(json)
	if err != nil {
		return err
	}
	known := fmt.Sprintf("the node of %s with sequence %d is known already", node.Owner, node.Sequence)
	return env.TakeIn(ctx, known, func(ctx context.Context, tx *repo.Tx) (path.Path, bool, error) {
		return tx.AddNode(ctx, node)
	})
}
