// Gc drops blocks that nothing needs.
package main

import (
	"context"
	"fmt"
	"time"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/upkeep"
)

const help = `usage: gc [-repo DIR] [-dry-run] [-older TIME] [-json]

Gc drops the blocks that nothing needs any more, and says how many, and how much
room that gives. Needed is what the tree has now and what undo can bring back,
what was seen and merged of others, and what was imported by import-car in the
last 30 days, or in the last TIME, such as 1h, even if it is not merged yet.
Content of your own, and what was downloaded, is never dropped while that is so;
forget takes old versions out of the log, so that gc can drop them.

Gc waits up to a minute until no other command writes to the repository, and
others wait then, mostly for a moment. Who only reads, as serve does, goes on.
With -dry-run nothing is changed, and nobody waits.

Example:

  $ gc -dry-run
  $ gc
`

func main() { local.Main(help, run) }

type line struct {
	DryRun bool  `json:"dry_run"`
	Blocks int64 `json:"blocks"`
	Bytes  int64 `json:"bytes"`
	Files  int64 `json:"file_bytes"`
	Live   int64 `json:"live"`
}

func run(ctx context.Context, env *local.Env) error {
	dry := env.Flags.Bool("dry-run", false, "tell what would be dropped, and change nothing")
	older := env.Flags.Duration("older", upkeep.ImportAge, "drop imports that are older than `TIME` and not merged")
	asJSON := env.Flags.Bool("json", false, "print an object")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	if *older < 0 {
		return cli.Usage("-older %v is before now", *older)
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	done, err := collect(ctx, r, *older, *dry)
	if err != nil {
		return err
	}
	if *asJSON {
		return env.JSON(line{*dry, done.Blocks, done.Bytes, done.Files, done.Live})
	}
	_, err = fmt.Fprintln(env.Stdout, text(done, *dry))
	return err
}

func collect(ctx context.Context, r *repo.Repo, older time.Duration, dry bool) (upkeep.Collected, error) {
	if dry {
		return upkeep.Measure(ctx, r, older)
	}
	return upkeep.Collect(ctx, r, older)
}

func text(done upkeep.Collected, dry bool) string {
	did := "dropped"
	if dry {
		did = "would drop"
	}
	return fmt.Sprintf("%s %s, %s; segment files shrink by %s", did, cli.Plural(int(done.Blocks), "block"), cli.Bytes(done.Bytes), cli.Bytes(done.Files))
}
