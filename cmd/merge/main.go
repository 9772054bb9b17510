// Merge takes in what the node of a friend shows.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/local"
	"archivecache/merge"
	"archivecache/tree"
	"archivecache/tree/path"
)

const help = `usage: merge [-repo DIR] [-dry-run] [-metadata-only] [-gateway URL]... [-json] root nodes/ID/root

Merge takes into root what the node of a friend shows: everything that authors
whom you accept have signed, verified. Blocks that are missing are fetched from
the addresses in the node and from the gateways, or come before by import-car.
Merging is the same for everybody in any order, and doing it again changes
nothing.

What became of each directory that differed, every conflict, and everything that
was hidden is said on standard error. With -json it is on standard output, an
object a line: for each directory, for each path that changed, for each friend of
whom there is a newer node than you have, and for the whole. With -dry-run all of
that is told, and nothing is changed.

The exit status is 3 if something was refused or could not be read, and the rest
was merged. It is 4 if the merge would hide at least three files and more than a
tenth of a shared directory: it is stopped, and nothing is changed. -let-through
merges it all the same; -brake 25 sets another share in percent for once, and
set-value settings/brake 25 for good.

Example:

  $ new-node node identities/me
  $ message-read-reference identities/me | add-friend-from-message -repo "$OTHER"
  $ message-read-reference node | add-node-from-message -repo "$OTHER"
  $ export-car node | import-car -repo "$OTHER"
  $ merge -repo "$OTHER" -dry-run root nodes/$ID/root
  $ merge -repo "$OTHER" root nodes/$ID/root
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	options := env.MergeFlags()
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	paths, err := local.Paths(args)
	if err != nil {
		return err
	}
	at := paths[1]
	if at.Base() == path.Root {
		at = at.Parent()
	}
	if paths[0].String() != path.Root || at.IsTop() {
		return fmt.Errorf("merge %s %s: %w; what merges is root, with the root of a node such as nodes/ID/root", paths[0], paths[1], tree.ErrForbidden)
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
	report, err := merge.Node(ctx, r, env.Name, at, opt)
	reporter.Report(report, err)
	return reporter.End()
}
