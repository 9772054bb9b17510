// Verify checks signatures.
package main

import (
	"context"
	"errors"
	"fmt"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
)

const help = `usage: verify [-repo DIR] PATH

Verify checks what stands at PATH and prints OK, or FAIL and the reason, with
exit status 0 or 1. Of an identity it checks the document; of a node the
signature, that its author is accepted, and the history as far as it is here,
but not that the view in it follows: no merge takes that from anybody; of a
directory below root every reference in it; of root all of that, and that its
view is the one that follows from the references. A directory that nobody has
signed yet fails by itself; drafts over what is signed, and in root, are only
told of. On standard error it says whose each directory is, and the sequence.

Example:

  $ verify identities/me
  $ verify root
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	return env.WithThing(ctx, args[0], func(r *repo.Repo, t *tree.Tree, thing *tree.Thing) error {
		err = r.Verify(ctx, t, thing, func(d *tree.Directory, part tree.Part) { say(env, d, part) })
		if errors.Is(err, repo.ErrNoReference) {
			return err
		}
		if err != nil {
			_, werr := fmt.Fprintf(env.Stdout, "FAIL %s\n", cli.Quote(err.Error()))
			return &cli.StatusError{Status: cli.ExitFailed, Err: werr}
		}
		_, err = fmt.Fprintln(env.Stdout, "OK")
		return err
	})
}

func say(env *local.Env, d *tree.Directory, part tree.Part) {
	draft := ""
	if part.Draft != nil {
		draft = ", with a draft that is not signed"
	}
	switch {
	case part.Fork != nil:
		env.Say("%s: %s has forked it", d.Shown, part.Author)
	case part.Reference != nil:
		env.Say("%s: %s, sequence %d%s", d.Shown, part.Author, part.Reference.Sequence, draft)
	default:
		env.Say("%s: %s, not signed yet", d.Shown, part.Author)
	}
}
