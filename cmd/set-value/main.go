// Set-value writes a value into the local part of the tree.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
)

const help = `usage: set-value [-repo DIR] [-text] PATH VALUE

Set-value puts VALUE at PATH, in the local part of the tree. A VALUE that is
JSON is taken as such; anything else, and everything with -text, is a text. What
begins with { or [ and is no JSON is refused without -text. The directories above
PATH are made.

Example:

  $ set-value scratch/answer 42
  $ set-value scratch/colours '["red", "blue"]'
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	text := env.Flags.Bool("text", false, "take VALUE as text, even if it is JSON")
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	value, err := tree.ValueOf(args[1], *text)
	if err != nil {
		return err
	}
	return env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
		return tx.SetValue(ctx, p, value)
	})
}
