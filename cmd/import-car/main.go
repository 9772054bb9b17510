// Import-car takes the blocks of a CAR file into the repository.
package main

import (
	"context"
	"fmt"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/internal/local"
)

const help = `usage: import-car [-repo DIR] [-all] < FILE

Import-car takes the blocks of the CAR file on standard input into the
repository, checks each against its hash, and prints the roots of the file.
Nothing else changes: merge finds the blocks when it needs them, and gc leaves
them there for 30 days, even if nothing points to them. A file that is damaged
anywhere is refused as a whole.

Blocks to which the roots do not lead are left out; -all takes them as well. If
blocks are missing below what the file has, here too, they are named, and the
exit status is 3; what is in the file is taken.

Example:

  $ new-node node identities/me
  $ export-car node | import-car -repo "$OTHER"
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	all := env.Flags.Bool("all", false, "take also the blocks to which the roots do not lead")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.BeginWriting(ctx); err != nil {
		return err
	}
	stats, err := exchange.ImportCAR(ctx, env.Stdin, r.Store(), exchange.CarLimits{All: *all})
	if err != nil {
		return err
	}
	if err := r.RecordImport(ctx, stats.Tops); err != nil {
		return err
	}
	for _, root := range stats.Roots {
		if _, err := fmt.Fprintln(env.Stdout, root); err != nil {
			return err
		}
	}
	return report(env, stats)
}

func report(env *local.Env, stats exchange.CarStats) error {
	env.Say("%s, %s", cli.Plural(int(stats.Blocks), "block"), cli.Bytes(stats.Bytes))
	if stats.Unasked > 0 {
		env.Say("%s left out, to which the roots do not lead; -all takes them", cli.Plural(int(stats.Unasked), "block"))
	}
	if stats.MissingCount > 0 {
		err := &exchange.IncompleteError{Missing: stats.Missing, Count: int(stats.MissingCount)}
		return &cli.StatusError{Status: cli.ExitPartial, Err: fmt.Errorf("the rest was taken; %w", err)}
	}
	return nil
}
