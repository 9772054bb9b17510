// Message-from-json makes a message of JSON.
package main

import (
	"context"
	"fmt"
	"io"

	"archivecache/internal/cli"
	"archivecache/message"
)

const help = `usage: message-from-json [-text] < JSON

Message-from-json reads one JSON object from standard input and writes it as a
message: compressed, and with -text as base64 on one line.

Example:

  $ echo '{"greeting": "hello"}' | message-from-json -text
`

func main() { cli.Main(help, run) }

func run(_ context.Context, env *cli.Env) error {
	text := env.Flags.Bool("text", false, "write base64")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	json, err := io.ReadAll(io.LimitReader(env.Stdin, message.MaxInflated+1))
	if err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	return cli.WriteMessage(env, json, *text)
}
