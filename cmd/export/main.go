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
its hash.

Example:

  $ export root/docs "$HOME/docs-from-friends"
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	return env.WithTree(ctx, func(r *repo.Repo, t *tree.Tree) error {
		thing, err := t.Resolve(ctx, p)
		if err != nil {
			return err
		}
		if thing.Local() {
			return fmt.Errorf("%s: %w: no file or directory of files; get-data prints it", p, tree.ErrForbidden)
		}
		counter := new(osfs.Counter)
		defer env.Watch("export", counter)()
		return osfs.Export(ctx, r.Store(), thing.Content.Cid, args[1], osfs.ExportOptions{Counter: counter})
	})
}
