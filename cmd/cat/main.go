// Cat prints files of the tree.
package main

import (
	"context"
	"errors"
	"fmt"

	"archivecache/internal/local"
	"archivecache/tree"
	"archivecache/unixfs"
)

const help = `usage: cat [-repo DIR] PATH...

Cat writes the files at the PATHs to standard output, one behind the other.
Every block is checked against its hash.

Example:

  $ cat root/docs/hello.txt
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(1, -1)
	if err != nil {
		return err
	}
	paths, err := local.Paths(args)
	if err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	t, err := r.Tree(ctx)
	if err != nil {
		return err
	}
	for _, p := range paths {
		thing, err := t.Resolve(ctx, p)
		if err != nil {
			return err
		}
		if thing.Local() {
			return fmt.Errorf("%s: %w: not a file; get-data prints it", p, tree.ErrForbidden)
		}
		_, err = unixfs.Copy(ctx, t.Blocks, thing.Content.Cid, env.Stdout)
		if errors.Is(err, unixfs.ErrNotFile) && isDirectory(ctx, t, thing) {
			return fmt.Errorf("%s: %w; list prints it", p, tree.ErrIsDirectory)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

func isDirectory(ctx context.Context, t *tree.Tree, thing *tree.Thing) bool {
	info, err := unixfs.Stat(ctx, t.Blocks, thing.Content.Cid)
	return err == nil && info.Kind == unixfs.Directory
}
