// Restore brings back what somebody replaced or deleted in a shared directory.
package main

import (
	"context"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
)

const help = `usage: restore [-repo DIR] [-identity PATH] [-version HEX] [-to PATH] [-replace] PATH

Restore brings back a version that is hidden in a shared directory, because
somebody has replaced or deleted it: it is shown again to everybody who merges
your next node, whatever had hidden it. list -hidden PATH tells what there is.
If several versions are hidden at PATH, -version names one by the first digits of
its id. If something is shown at PATH now, -to puts the version at another path,
and -replace writes over what is there.

If PATH is a directory, or was one, everything below comes back of which nothing
is shown now; of several versions the one that was there last. Where that is not
clear, restore says which versions there are, leaves them, and exits with 3. So
restore root/forum undoes what somebody did who deleted everything.

What is restored is a draft of yours, as other changes are: new-node signs and
publishes it.

Example:

  $ echo hello | add - root/forum/hello.txt
  $ list -hidden root/forum | while read version author name; do restore -version $version "root/forum/$name"; done
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	author := env.AuthorFlag()
	version := env.Flags.String("version", "", "the version whose id begins with the digits `HEX`")
	to := env.Flags.String("to", "", "put it at the `PATH`, where nothing stands")
	replace := env.Flags.Bool("replace", false, "write over what is shown there")
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	what := tree.Restoring{Version: *version, Replace: *replace}
	if *to != "" {
		if what.To, err = local.Path(*to); err != nil {
			return err
		}
	}
	for _, at := range []path.Path{p, what.To} {
		if first, _ := at.First(); first != path.Root && !at.IsTop() || p.IsTop() {
			return cli.Usage("%s is not at %s or below", at, path.Root)
		}
	}
	var report tree.Restored
	err = env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
		id, err := author(ctx, tx)()
		if err != nil {
			return err
		}
		root, err := tx.EditRoot(ctx)
		if err != nil {
			return err
		}
		report, err = root.Restore(ctx, id, p, what)
		return err
	})
	if err != nil {
		return err
	}
	return tell(env, report)
}

// tell says what was restored in a directory, and what was not.
func tell(env *local.Env, report tree.Restored) error {
	if report.Below {
		env.Say("restored %s", cli.Plural(len(report.Paths), "file"))
	}
	for _, h := range report.Ambiguous {
		env.Say("%s: several versions are hidden there: %s; -version names one", h.Path, tree.VersionsText(h.Versions))
	}
	if len(report.Ambiguous) > 0 {
		return &cli.StatusError{Status: cli.ExitPartial}
	}
	return nil
}
