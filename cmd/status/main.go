// Status tells what waits to be done in a repository.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/workspace"
)

const help = `usage: status [-repo DIR] [-json]

Status prints a line for everything that wants attention: drafts that are not
signed, what the newest node does not have yet, nodes of friends that are not
merged, conflicts, forks, and what a mount that was killed has not committed. Nothing to say means that all is published and
merged. With -json it prints an object a line.

Example:

  $ echo hello | add - root/forum/hello.txt
  $ status
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	asJSON := env.Flags.Bool("json", false, "print an object a line")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	return env.WithTree(ctx, func(r *repo.Repo, t *tree.Tree) error {
		say := func(s repo.StatusLine) error {
			if *asJSON {
				return env.JSON(s)
			}
			return local.PrintLine(env, s.Kind, s.Path, s.Text)
		}
		if err := r.Status(ctx, t, say); err != nil {
			return err
		}
		return uncommitted(r, say)
	})
}

// uncommitted tells of what killed mounts have left.
func uncommitted(r *repo.Repo, say func(repo.StatusLine) error) error {
	left, err := workspace.Left(r.Dir())
	for _, folder := range left {
		line := repo.StatusLine{Kind: "uncommitted", Path: folder, Text: "a mount was killed; mount again, and it is committed"}
		if err := say(line); err != nil {
			return err
		}
	}
	return err
}
