// Log prints what happened to a repository.
package main

import (
	"context"
	"fmt"

	"archivecache/internal/local"
	"archivecache/repo"
)

const help = `usage: log [-repo DIR] [-json] [-limit N]

Log prints the commits of the repository, the newest first: number, time,
command and the CID of root after it. Each is a state that undo brings back. It
ends with the first one, or with the oldest that forget has left. With -json it
prints an object a line, with the CIDs of the tree before and after as well.

Example:

  $ log -limit 3
`

func main() { local.Main(help, run) }

type line struct {
	ID      int64  `json:"id"`
	Time    string `json:"time"`
	Command string `json:"command"`
	Root    string `json:"root"`
	Head    string `json:"head"`
	Before  string `json:"before,omitempty"`
	Undoes  int64  `json:"undoes,omitempty"`
}

func run(ctx context.Context, env *local.Env) error {
	asJSON := env.Flags.Bool("json", false, "print an object a line")
	limit := env.Flags.Int64("limit", 0, "print the newest `N` only; 0 is all")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	entries, err := r.Log(ctx, 0, *limit)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if *asJSON {
			err = env.JSON(toLine(e))
		} else {
			_, err = fmt.Fprintf(env.Stdout, "%6d  %s  %-24s %s\n", e.ID, e.Time.Format("2006-01-02 15:04:05"), text(e), e.Root)
		}
		if err != nil {
			return err
		}
	}
	if n := len(entries); n > 0 && entries[n-1].ID > 1 && !entries[n-1].Before.Defined() {
		env.Say("what was before commit %d is forgotten", entries[n-1].ID)
	}
	return nil
}

func text(e repo.LogEntry) string {
	if e.Undoes != 0 {
		return fmt.Sprintf("%s of %d", e.Command, e.Undoes)
	}
	return e.Command
}

func toLine(e repo.LogEntry) line {
	l := line{
		ID: e.ID, Time: e.Time.UTC().Format("2006-01-02T15:04:05Z"), Command: e.Command,
		Root: e.Root.String(), Head: e.Head.String(), Undoes: e.Undoes,
	}
	if e.Before.Defined() {
		l.Before = e.Before.String()
	}
	return l
}
