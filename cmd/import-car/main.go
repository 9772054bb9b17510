// Import-car takes the blocks of a CAR file into the repository.
package main

import (
	"context"
	"fmt"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/internal/local"
)

const help = `usage: import-car [-repo DIR] < FILE

Import-car takes all blocks of the CAR file on standard input into the
repository, checks each against its hash, and prints the roots of the file.
Nothing else changes: merge finds the blocks when it needs them. A file that is
damaged anywhere is refused as a whole.

Example:

  $ new-node node identities/me
  $ export-car node | import-car -repo "$OTHER"
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	stats, err := exchange.ImportCAR(ctx, env.Stdin, r.Store(), exchange.CarLimits{})
	if err != nil {
		return err
	}
	env.Say("%s, %s", cli.Plural(int(stats.Blocks), "block"), cli.Bytes(stats.Bytes))
	for _, root := range stats.Roots {
		if _, err := fmt.Fprintln(env.Stdout, root); err != nil {
			return err
		}
	}
	return nil
}
