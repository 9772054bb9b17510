// Export writes files of the tree into the system.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/unixfs/osfs"
)

const help = `usage: export [-repo DIR] PATH TARGET

Export writes the file or directory at PATH, below root or in the root of a
node, to TARGET, which must not be there. Exec bits and symlinks are kept, and
times of modification where they were recorded. Every block is checked against
its hash. Shells have an export of their own, which archivecache export passes by.

Example:

  $ archivecache export root/docs "$HOME/docs-from-friends"
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	return env.WithThing(ctx, args[0], func(r *repo.Repo, _ *tree.Tree, thing *tree.Thing) error {
		if thing.Local() {
			return fmt.Errorf("%s: %w: no file or directory of files; get-data prints it", thing.Path, tree.ErrForbidden)
		}
		counter := new(osfs.Counter)
		defer env.Watch("export", counter)()
		return osfs.Export(ctx, r.Store(), thing.Content.Cid, args[1], osfs.ExportOptions{Counter: counter})
	})
}
