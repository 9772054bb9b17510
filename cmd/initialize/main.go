// Initialize makes a repository.
package main

import (
	"context"
	"crypto/rand"

	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree/reference"
)

const help = `usage: initialize [-repo DIR] [-own] [-store embedded|kubo] [-api MULTIADDR]

Initialize makes a repository in the folder DIR: a tree with root, in which
stand the shared directories forum and projects. Everybody has the same two, so
what friends put there comes together; with -own they are this repository's own,
for friends who are given its node.

The data is in that folder as well. With -store kubo it is in an IPFS node, a
running kubo daemon, whose RPC API is at -api or else where $IPFS_PATH says;
trees are beside the repository too, so that they are read fast. What is there
is pinned. $ARCHIVECACHE_STORE and $ARCHIVECACHE_API stand for the options.

Example:

  $ initialize -repo "$HOME/my-repository"
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	own := env.Flags.Bool("own", false, "make shared directories that nobody else has")
	var place repo.Place
	env.Flags.StringVar(&place.Store, "store", env.Getenv("ARCHIVECACHE_STORE"), "where the data is: `embedded` in the folder, or in a kubo daemon")
	env.Flags.StringVar(&place.API, "api", env.Getenv("ARCHIVECACHE_API"), "the `MULTIADDR` of the daemon's RPC API (default the one of $IPFS_PATH)")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	dir, err := env.Dir()
	if err != nil {
		return err
	}
	var directories []reference.Founding
	for _, path := range []string{"root/forum", "root/projects"} {
		f := reference.Founding{Policy: reference.SharedPolicy, Path: path}
		if *own {
			f.Salt = make([]byte, 16)
			rand.Read(f.Salt) // never fails
		}
		directories = append(directories, f)
	}
	r, err := repo.Initialize(ctx, dir, directories, place)
	if err != nil {
		return err
	}
	return r.Close()
}
