// Trust says how much of a friend counts.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"

	"github.com/ipfs/go-cid"
)

const help = `usage: trust [-repo DIR] [-json] [-friends yes|no] [-marks yes|no] [-entries N] [-bytes N] [friends/ID]

Trust says how much of a friend counts. The options change that; without any it
prints the settings, of all friends if none is named.

With -friends yes, the authors whom the friend accepts are accepted as well: those
whom the friend's node that was merged last lists, but not whom these accept in
turn. They have the settings of the friend, of several friends the more generous.
More than 10,000 are too many, and then none is accepted. With -marks no, what the
friend replaces or deletes of others is not hidden here. -entries and -bytes are a
quota, of files, directories and marks, and of bytes as the links claim them: of
the directories that the friend writes to, in the order of their ids, those that
do not fit any more are left out as a whole. What is left out is recorded all the
same, and shown as soon as the settings allow it. 0 is no quota.

A change is a commit, which undo takes back. Root is then as if the settings had
been so from the start; where more authors are accepted than before, after the
next merge-all.

Example:

  $ FRIEND=$(list friends)
  $ trust -marks no -bytes 2GiB friends/$FRIEND
  $ trust -friends yes $FRIEND
  $ trust
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	asJSON := env.Flags.Bool("json", false, "print an object a line for each friend")
	change := changeFlags(env)
	args, err := env.Parse(0, 1)
	if err != nil {
		return err
	}
	friend := cid.Undef
	if len(args) > 0 {
		if friend, err = repo.ParseAuthor(args[0]); err != nil {
			return err
		}
	}
	if set := change(); set != nil && !friend.Defined() {
		return cli.Usage("name the friend whose settings change, such as friends/ID")
	} else if set != nil {
		return env.Update(ctx, func(ctx context.Context, tx *repo.Tx) error {
			_, err := tx.SetTrust(ctx, friend, set)
			return err
		})
	}
	return env.WithTree(ctx, func(_ *repo.Repo, t *tree.Tree) error {
		lines, err := repo.TrustLines(ctx, t, friend)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if err := print(env, l, *asJSON); err != nil {
				return err
			}
		}
		return nil
	})
}

func print(env *local.Env, l repo.TrustLine, asJSON bool) error {
	if asJSON {
		return env.JSON(l)
	}
	_, err := fmt.Fprintf(env.Stdout, "friends/%s  friends=%s marks=%s entries=%d bytes=%d accepts=%d\n",
		l.ID, yesNo(l.Friends), yesNo(l.Marks), l.Entries, l.Bytes, l.Accepts)
	return err
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// changeFlags declares the options that change settings. The result, called after the command line
// was parsed, returns what they change; nil if none is given.
func changeFlags(env *local.Env) func() func(*repo.Trust) {
	var changes []func(*repo.Trust)
	yes := func(name, usage string, set func(*repo.Trust, bool)) {
		env.Flags.Func(name, usage, func(text string) error {
			i := slices.Index([]string{"no", "yes"}, text)
			if i < 0 {
				return errors.New("it is yes or no")
			}
			changes = append(changes, func(t *repo.Trust) { set(t, i == 1) })
			return nil
		})
	}
	number := func(name, usage string, parse func(string) (uint64, error), set func(*repo.Trust, uint64)) {
		env.Flags.Func(name, usage, func(text string) error {
			n, err := parse(text)
			if err == nil && n > repo.MaxQuota {
				err = fmt.Errorf("more than %d; 0 is no quota", uint64(repo.MaxQuota))
			}
			changes = append(changes, func(t *repo.Trust) { set(t, n) })
			return err
		})
	}
	yes("friends", "`yes|no`: accept whom the friend accepts", func(t *repo.Trust, is bool) { t.Friends = is })
	yes("marks", "`yes|no`: hide what the friend replaces or deletes of others", func(t *repo.Trust, is bool) { t.Marks = is })
	number("entries", "show at most `N` files, directories and marks", parseNumber, func(t *repo.Trust, n uint64) { t.Entries = n })
	number("bytes", "show at most `N` bytes, such as 10MiB or 2GiB", cli.ParseBytes, func(t *repo.Trust, n uint64) { t.Bytes = n })
	return func() func(*repo.Trust) {
		if len(changes) == 0 {
			return nil
		}
		return func(t *repo.Trust) {
			for _, change := range changes {
				change(t)
			}
		}
	}
}

func parseNumber(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: not a number that can be a quota", text)
	}
	return n, nil
}
