// Fsck checks that everything is there that should be.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/upkeep"
)

const help = `usage: fsck [-repo DIR] [-json] [-drop]

Fsck reads and hashes every block, and looks whether everything is there that
should be, of the tree as it is now and of all versions that log lists: all
trees, states, histories and marks, the names in all directories, all content of
your own, and all that was downloaded of others. Content of others that was not
downloaded may be missing; how many blocks that are is said. It also checks the
inner structure of the database. Nothing is changed, and nobody waits.

Every block that is missing or damaged is printed, with a path that needs it and
exit status 1. With -drop damaged blocks are taken out, so that they count as
missing and come back: with download, with import-car from a copy, or by adding
the same file again.

Example:

  $ fsck
`

func main() { local.Main(help, run) }

type line struct {
	Kind string `json:"kind"`
	Cid  string `json:"cid,omitempty"`
	Path string `json:"path,omitempty"`
	Text string `json:"text"`
}

type summary struct {
	Kind     string `json:"kind"`
	Versions int    `json:"versions"`
	Blocks   int64  `json:"blocks"`
	Bytes    int64  `json:"bytes"`
	Absent   int64  `json:"absent"`
	Problems int64  `json:"problems"`
}

func run(ctx context.Context, env *local.Env) error {
	asJSON := env.Flags.Bool("json", false, "print an object a line, the last with what was read")
	drop := env.Flags.Bool("drop", false, "take damaged blocks out, so that they can come back")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	done, err := upkeep.Check(ctx, r, func(p upkeep.Problem) error { return show(env, p, *asJSON) })
	if err != nil {
		return err
	}
	if err := tell(env, done, *asJSON); err != nil {
		return err
	}
	if *drop && len(done.Damaged) > 0 {
		if err := r.Drop(ctx, done.Damaged); err != nil {
			return err
		}
		env.Say("took out %s", cli.Plural(len(done.Damaged), "damaged block"))
	}
	return status(done, *drop)
}

func show(env *local.Env, p upkeep.Problem, asJSON bool) error {
	l := line{Kind: p.Kind, Path: p.Path, Text: p.Text}
	if p.Cid.Defined() {
		l.Cid = p.Cid.String()
	}
	if asJSON {
		return env.JSON(l)
	}
	if p.Kind == "database" {
		_, err := fmt.Fprintf(env.Stdout, "%-9s %s\n", l.Kind, cli.Quote(l.Text))
		return err
	}
	if l.Path == "" {
		l.Path = "nothing needs it"
	}
	_, err := fmt.Fprintf(env.Stdout, "%-9s %s  %s\n", l.Kind, l.Cid, cli.Quote(l.Path))
	return err
}

// tell says what was read.
func tell(env *local.Env, done upkeep.Checked, asJSON bool) error {
	if asJSON {
		return env.JSON(summary{"checked", done.Versions, done.Blocks, done.Bytes, done.Absent, done.Problems})
	}
	env.Say("%s, %s, of %s", cli.Plural(int(done.Blocks), "block"), cli.Bytes(done.Bytes), cli.Plural(done.Versions, "version"))
	if done.Absent > 0 {
		env.Say("%s of others, or more, are not here; download fetches what root has of them", cli.Plural(int(done.Absent), "block"))
	}
	return nil
}

// status returns the error that the command ends with.
func status(done upkeep.Checked, dropped bool) error {
	if done.Problems == 0 {
		return nil
	}
	err := fmt.Errorf("%s", cli.Plural(int(done.Problems), "problem"))
	switch {
	case len(done.Damaged) > 0 && !dropped:
		return cli.WithHint(err, "fsck -drop takes damaged blocks out; then download fetches them from friends, import-car takes them from a copy (export-car there), or add the same files again; forget drops old versions")
	default:
		return cli.WithHint(err, "download fetches what friends have, import-car takes blocks from a copy (export-car there), or add the same files again; forget drops old versions; if the database is damaged, restore the folder from a copy")
	}
}
