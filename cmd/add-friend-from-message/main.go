// Add-friend-from-message accepts the author of an identity message.
package main

import (
	"context"
	"fmt"

	"archivecache/identity"
	"archivecache/internal/local"
	"archivecache/message"
	"archivecache/repo"
	"archivecache/tree/path"
)

const help = `usage: add-friend-from-message [-repo DIR] < MESSAGE

Add-friend-from-message reads an identity message from standard input, in any
form that mail leaves of it, and accepts its author as a friend: from then on
merge takes in what they sign. It prints where the friend stands. The message
proves nothing about who sent it: compare the id with what your friend says it
is.

Example:

  $ message-read-reference identities/me | base64 -w 60 | add-friend-from-message -repo "$OTHER"
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
	doc, err := identity.DocumentFromJSON(json)
	if err != nil {
		return err
	}
	known := fmt.Sprintf("%s is a friend already", doc.ID())
	return env.TakeIn(ctx, known, func(ctx context.Context, tx *repo.Tx) (path.Path, bool, error) {
		return tx.AddFriend(ctx, doc)
	})
}
