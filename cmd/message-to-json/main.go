// Message-to-json prints the JSON of a message.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/cli"
	"archivecache/message"
)

const help = `usage: message-to-json < MESSAGE

Message-to-json reads a message from standard input, and prints its JSON. The
message may be binary or base64, wrapped or quoted, with a mail around it. It is
not verified: add-friend-from-message and add-node-from-message do that.

Example:

  $ echo '{"greeting": "hello"}' | message-from-json | base64 | message-to-json
`

func main() { cli.Main(help, run) }

func run(_ context.Context, env *cli.Env) error {
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	json, err := message.Read(env.Stdin)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s\n", json)
	return err
}
