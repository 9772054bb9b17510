package local

import (
	"context"
	"fmt"

	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

// What follows are whole commands, for those that differ from each other in one call.

// PrintData returns a command that prints what stands at a path as JSON.
func PrintData(deep bool) func(context.Context, *Env) error {
	return func(ctx context.Context, env *Env) error {
		args, err := env.Parse(1, 1)
		if err != nil {
			return err
		}
		return env.WithThing(ctx, args[0], func(_ *repo.Repo, t *tree.Tree, thing *tree.Thing) error {
			data, err := t.Data(ctx, thing, deep)
			if err != nil {
				return err
			}
			return env.JSON(data)
		})
	}
}

// FromTo returns a command that does something with what stands at one path and another path.
func FromTo(do func(tx *repo.Tx, ctx context.Context, author func() (cid.Cid, error), from, to path.Path) error) func(context.Context, *Env) error {
	return func(ctx context.Context, env *Env) error {
		author := env.AuthorFlag()
		args, err := env.Parse(2, 2)
		if err != nil {
			return err
		}
		paths, err := Paths(args)
		if err != nil {
			return err
		}
		return env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
			return do(tx, ctx, author(ctx, tx), paths[0], paths[1])
		})
	}
}

// CheckBlocks returns a command that looks at the blocks of what stands at a path and prints its
// CID; check returns what there is to say about them.
func CheckBlocks(check func(context.Context, *repo.Repo, cid.Cid) (said string, err error)) func(context.Context, *Env) error {
	return func(ctx context.Context, env *Env) error {
		args, err := env.Parse(1, 1)
		if err != nil {
			return err
		}
		return env.WithThing(ctx, args[0], func(r *repo.Repo, _ *tree.Tree, thing *tree.Thing) error {
			c, err := thing.Cid()
			if err != nil {
				return err
			}
			said, err := check(ctx, r, c)
			if err != nil {
				return err
			}
			env.Say("%s", said)
			_, err = fmt.Fprintln(env.Stdout, c)
			return err
		})
	}
}

// TakeIn commits what take puts into the tree, and prints where that stands. If it was there,
// that is said: known.
func (env *Env) TakeIn(ctx context.Context, known string, take func(context.Context, *repo.Tx) (path.Path, bool, error)) error {
	var at path.Path
	isNew := false
	err := env.Update(ctx, func(ctx context.Context, tx *repo.Tx) (err error) {
		at, isNew, err = take(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if !isNew {
		env.Say("%s", known)
	}
	_, err = fmt.Fprintln(env.Stdout, at)
	return err
}
