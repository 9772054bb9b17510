// Add takes files and folders into the tree.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/unixfs"
	"archivecache/unixfs/osfs"
)

const help = `usage: add [-repo DIR] [-identity PATH] [-keep] [-exclude PATTERN]... [-mtime] SOURCE PATH

Add makes PATH, below root, show the file or folder SOURCE; - is standard input,
as a file. Below a shared directory such as root/forum it goes into your part of
that; elsewhere the outermost missing directory becomes your own. What is added
is a draft: it is in the tree at once, and new-node signs and publishes it.

The exec bit and symlinks are kept; with -mtime the times of modification as
well. Adding a folder again makes PATH equal to it: what is gone there is
deleted here, with -keep it stays. In a shared directory only your own files are
deleted so, and onto a shared directory itself -keep is implied.

Repositories in a folder, with the private keys in them, are left out and told
of; a SOURCE in a repository, and a file that is a private key, are refused.

PATTERNs are those of .gitignore, and so is what stands in files named
.archivecacheignore.

Example:

  $ mkdir docs; echo hello > docs/hello.txt
  $ add docs root/notes
  $ echo 'good morning' | add - root/forum/morning.txt
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	var exclude cli.Texts
	env.Flags.Var(&exclude, "exclude", "leave out what matches `PATTERN`; may be given several times")
	author := env.Flags.String("identity", "", "the `PATH` of the author (default: your first identity)")
	keep := env.Flags.Bool("keep", false, "keep what is at PATH and not in SOURCE")
	mtime := env.Flags.Bool("mtime", false, "record times of modification")
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	p, err := local.Path(args[1])
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
	id, err := r.Author(ctx, t, *author)
	if err != nil {
		return err
	}
	if err := repo.CheckAdd(ctx, t, id, p); err != nil {
		return err
	}
	entry, err := read(ctx, env, r, args[0], osfs.Options{
		Exclude: exclude, IgnoreFile: ".archivecacheignore", Mtime: *mtime,
		Skipped: func(path string, reason error) { env.Say("%s: left out: %v", path, reason) },
	})
	if err != nil {
		return err
	}
	return r.Update(ctx, env.Name, func(ctx context.Context, tx *repo.Tx) error {
		root, err := tx.EditRoot(ctx)
		if err != nil {
			return err
		}
		return root.Put(ctx, id, p, entry, *keep)
	})
}

// read takes source into the store.
func read(ctx context.Context, env *local.Env, r *repo.Repo, source string, opt osfs.Options) (unixfs.Entry, error) {
	if source == "-" {
		return r.ImportStream(ctx, env.Stdin)
	}
	opt.Counter = new(osfs.Counter)
	defer env.Watch("add", opt.Counter)()
	result, err := r.Import(ctx, source, opt)
	if err != nil {
		return unixfs.Entry{}, fmt.Errorf("%w; nothing was changed", err)
	}
	return result.Entry, nil
}
