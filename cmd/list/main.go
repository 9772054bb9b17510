// List prints the names in a directory.
package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/tree"
)

const help = `usage: list [-repo DIR] [-long] [-json] [-hidden] [PATH]

List prints the names that stand in the directory at PATH, one a line; of
anything else, its own name. Without PATH it lists the top of the tree. With
-hidden it lists what is hidden in a shared directory: versions of files that
somebody replaced or deleted, by path and version.

Example:

  $ list root
  $ list -long root/forum
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	long := env.Flags.Bool("long", false, "print kind, size in bytes and CID as well")
	asJSON := env.Flags.Bool("json", false, "print an object a line")
	hidden := env.Flags.Bool("hidden", false, "list what is hidden instead")
	args, err := env.Parse(0, 1)
	if err != nil {
		return err
	}
	p, err := local.Path(append(args, ".")[0])
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
	thing, err := t.Resolve(ctx, p)
	if err != nil {
		return err
	}
	var items []tree.Item
	if *hidden {
		items, err = t.Hidden(ctx, thing)
	} else {
		items, err = t.List(ctx, thing, *long || *asJSON)
	}
	if err != nil {
		return err
	}
	slices.SortFunc(items, func(a, b tree.Item) int { return strings.Compare(a.Name, b.Name) })
	for _, item := range items {
		if err := print(env, item, *long || *hidden, *asJSON); err != nil {
			return err
		}
	}
	return nil
}

func print(env *local.Env, item tree.Item, long, asJSON bool) error {
	name := cli.Printed(env.Stdout, item.Name)
	var err error
	switch {
	case asJSON:
		err = env.JSON(item)
	case item.Version != "":
		_, err = fmt.Fprintf(env.Stdout, "%s  %s  %s\n", item.Version, item.Author, name)
	case long:
		_, err = fmt.Fprintf(env.Stdout, "%-10s %12d  %s  %s%s\n", item.Kind, item.Size, item.Cid, name, detail(item))
	default:
		_, err = fmt.Fprintln(env.Stdout, name)
	}
	return err
}

func detail(item tree.Item) string {
	var b strings.Builder
	if item.Target != "" {
		fmt.Fprintf(&b, " -> %s", cli.Quote(item.Target))
	}
	if item.Executable {
		b.WriteString(" *")
	}
	if item.Mtime != 0 {
		fmt.Fprintf(&b, "  %s", time.Unix(item.Mtime, 0).UTC().Format(time.RFC3339))
	}
	return b.String()
}
