// Resolve decides about a conflict in a shared directory.
package main

import (
	"context"
	"strings"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
	"archivecache/unixfs/osfs"
)

const help = `usage: resolve [-repo DIR] [-identity PATH] [-take NAME | -file FILE | -keep NAME=AS...] PATH

Resolve decides about the conflict of which PATH is the plain path or one of the
sides, in a shared directory. With -take the side with that name becomes the
file at the plain path; with -file a file of the system does, - is standard
input; with -keep, which may be given several times, sides stay under the names
that you choose, in the same directory. All other sides are replaced, whoever
wrote them: everybody who merges your decision sees the conflict gone. Two people
who decide differently, without knowing of each other, see both as a new
conflict. Where a directory has the plain path, it stays: -take with its name
deletes the files beside it, and move gives it another name.

Without any of these it lists the sides, as conflicts does, and exits with 2.
The decision is a draft, as other changes are: new-node signs and publishes it.
list -hidden shows what was replaced, and restore brings it back.

Example:

  $ echo hello | add - root/forum/hello.txt
  $ conflicts root/forum | cut -f 2 | uniq | while read p; do resolve -take "$(basename "$p")" "$p"; done
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	author := env.AuthorFlag()
	take := env.Flags.String("take", "", "the side `NAME` becomes the file")
	file := env.Flags.String("file", "", "the file `FILE` takes the place of all sides")
	var keep cli.Texts
	env.Flags.Var(&keep, "keep", "a side stays, under another name: `NAME=AS`; may be given several times")
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	decision, err := decide(*take, *file, keep)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	if first, _ := p.First(); first != path.Root {
		return cli.Usage("%s is not below %s", p, path.Root)
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	sides, err := sidesOf(ctx, r, p)
	if err != nil {
		return err
	}
	if decision.Take == "" && *file == "" && len(decision.Keep) == 0 {
		return list(env, sides)
	}
	if *file != "" {
		entry, err := read(ctx, env, r, *file)
		if err != nil {
			return err
		}
		decision.File = &entry
	}
	return r.Update(ctx, env.Name, func(ctx context.Context, tx *repo.Tx) error {
		id, err := author(ctx, tx)()
		if err != nil {
			return err
		}
		root, err := tx.EditRoot(ctx)
		if err != nil {
			return err
		}
		return root.Resolve(ctx, id, p, decision)
	})
}

// decide reads the options, of which one may be there.
func decide(take, file string, keep []string) (tree.Decision, error) {
	given := 0
	for _, is := range []bool{take != "", file != "", len(keep) > 0} {
		if is {
			given++
		}
	}
	if given > 1 {
		return tree.Decision{}, cli.Usage("-take, -file and -keep are three different decisions; give one")
	}
	decision := tree.Decision{Take: take}
	for _, text := range keep {
		i := strings.LastIndexByte(text, '=')
		if i < 1 || i == len(text)-1 {
			return decision, cli.Usage("-keep %q: it takes NAME=AS, the name of a side and the name that it gets", text)
		}
		decision.Keep = append(decision.Keep, tree.Keep{Side: text[:i], As: text[i+1:]})
	}
	return decision, nil
}

func sidesOf(ctx context.Context, r *repo.Repo, p path.Path) ([]tree.Side, error) {
	t, err := r.Tree(ctx)
	if err != nil {
		return nil, err
	}
	root, err := t.Root(ctx)
	if err != nil {
		return nil, err
	}
	return t.Sides(ctx, root, p)
}

// list prints the sides and says what to type.
func list(env *local.Env, sides []tree.Side) error {
	if err := env.PrintSides(sides, false); err != nil {
		return err
	}
	env.Say("nothing is decided: -take NAME takes one of these sides, -file FILE a file in their place, -keep NAME=AS keeps a side under a name")
	return &cli.StatusError{Status: cli.ExitUsage}
}

// read takes a file into the store.
func read(ctx context.Context, env *local.Env, r *repo.Repo, source string) (unixfs.Entry, error) {
	if source == "-" {
		return r.ImportStream(ctx, env.Stdin)
	}
	result, err := r.Import(ctx, source, osfs.Options{})
	return result.Entry, err
}
