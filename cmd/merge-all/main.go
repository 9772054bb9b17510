// Merge-all takes in what the nodes of all friends show.
package main

import (
	"context"

	"archivecache/internal/local"
	"archivecache/merge"
)

const help = `usage: merge-all [-repo DIR] [-dry-run] [-metadata-only] [-gateway URL]... [-json]

Merge-all merges the roots of all nodes in nodes that were not merged yet, each
in a commit of its own, as merge does. A friend whose blocks cannot be had does
not keep it from the others; the exit status is then 1. It is 4 if a merge was
stopped because it would hide much, and 3 if only a part was refused. With
-dry-run each node is tried on what is there now, and nothing is changed.

Example:

  $ merge-all -dry-run
  $ merge-all
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	options := env.MergeFlags()
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	opt, reporter, err := options()
	if err != nil {
		return err
	}
	if err := merge.All(ctx, r, env.Name, opt, reporter.Report); err != nil {
		return err
	}
	reporter.Total()
	return reporter.End()
}
