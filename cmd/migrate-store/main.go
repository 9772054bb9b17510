// Migrate-store moves the data of a repository to another store.
package main

import (
	"context"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
)

const help = `usage: migrate-store [-repo DIR] [-api MULTIADDR] embedded|kubo

Migrate-store moves the data of the repository: from its folder into a kubo
daemon, whose RPC API is at -api or else where $IPFS_PATH says, or from there
into the folder. All CIDs stay as they are, and every block is read once more
where it has come to, before anything counts on it. Interrupted, it goes on where
it was when it is run again.

The folder keeps its copies of what goes into the daemon; what was
pinned in the daemon is pinned no more, and goes when its own garbage collector
runs. Where the same daemon has got another address, kubo and the new one say so.

Example:

  $ migrate-store embedded || true
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	var to repo.Place
	env.Flags.StringVar(&to.API, "api", env.Getenv("ARCHIVECACHE_API"), "the `MULTIADDR` of the daemon's RPC API (default the one of $IPFS_PATH)")
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	if to.Store = args[0]; to.Store != repo.Kubo {
		to.API = ""
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	progress, moved := env.NewProgress("move"), repo.Moved{}
	defer progress.Done()
	err = r.Migrate(ctx, to, func(m repo.Moved) {
		moved = m
		progress.Set(m.Blocks, m.Bytes)
	})
	if err != nil {
		return err
	}
	progress.Done()
	env.Say("moved %s, %s", cli.Plural(int(moved.Blocks), "block"), cli.Bytes(moved.Bytes))
	return nil
}
