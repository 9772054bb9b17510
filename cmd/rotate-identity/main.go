// Rotate-identity replaces the key of an identity by the next one.
package main

import (
	"context"
	"errors"
	"fmt"

	"archivecache/identity"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/internal/passphrase"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

const help = `usage: rotate-identity [-repo DIR] [-as-of N] [-drop] [-next FILE] [-next-out FILE] [-wait TIME] PATH IDENTITY

Rotate-identity replaces the key of the identity at the path IDENTITY by the
next one, to which the identity has committed from the start, and publishes that
with a new node at PATH, as new-node does. The id stays, and friends learn of it
through any merge. Do it when somebody else may have the key, and when something
of yours is forked: what the old key has signed counts from then on only as far
as it stands in root now. Nothing else that it signs is accepted by anybody who
knows of the rotation.

With -as-of, what stood in root after entry N of the log counts, from before the
thief was at work: log lists the entries. If the identity has published from
elsewhere and that is not merged here, merge it first, or give -drop if it was
not you.

Destroy backups of keys that were replaced: whoever has two keys that follow
each other, however old, can rotate once more from the first of them, and that
ends the identity for everybody.

If the next key was kept elsewhere (new-identity -next), name its file with
-next; it is not changed, and not needed any more then. The key after that is
kept in the folder keys, or with -next-out in a new FILE and nowhere else. If the
command was interrupted, type it once more as it was. Pinning services are told
as by new-node, and the exit status is 3 if they do not have everything in TIME.

Example:

  $ rotate-identity node identities/me
  $ message-read-reference node | add-node-from-message -repo "$OTHER"
`

func main() { local.Main(help, run) }

// options are the options of the command.
type options struct {
	how           repo.Rotation
	next, nextOut string
	words         *passphrase.Source
}

func run(ctx context.Context, env *local.Env) error {
	var o options
	env.Flags.Int64Var(&o.how.AsOf, "as-of", 0, "what counts is what stood in root after entry `N` of the log")
	env.Flags.BoolVar(&o.how.Drop, "drop", false, "what was published elsewhere and is not merged here shall not count")
	env.Flags.StringVar(&o.next, "next", "", "the `FILE` with the next key, if it was kept elsewhere")
	env.Flags.StringVar(&o.nextOut, "next-out", "", "keep the key after the next one in the new `FILE`, and nowhere else")
	words := env.PassphraseFlag()
	wait := env.WaitFlag()
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	o.words = words()
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	if err := repo.CheckNodePath(p); err != nil {
		return err
	}
	err = env.WithIdentity(ctx, args[1], func(r *repo.Repo, _ *tree.Tree, id cid.Cid) error {
		return rotate(ctx, env, r, id, p, o)
	})
	if err != nil {
		return err
	}
	return env.RenewPins(ctx, *wait)
}

// rotate tries the rotation, keeps the keys so that they serve before and after, commits, and takes
// the old key away. Killed in between it can be done again. What is refused has changed no file.
func rotate(ctx context.Context, env *local.Env, r *repo.Repo, id cid.Cid, p path.Path, o options) error {
	ask := identity.Once(func(identity.ID) ([]byte, error) { return o.words.Ask("the key of " + id.String()) })
	chain, err := r.Chain(ctx, id)
	if err != nil {
		return err
	}
	epoch := chain.Epoch()
	if err := checkNextOut(r.Keys(), id, o); err != nil {
		return err
	}
	if finished, err := finish(r.Keys(), chain, id, ask, o); finished || err != nil {
		if finished {
			env.Say("%s is in epoch %d by a rotation that was interrupted; the folder has only the key of that now, and %s the next one", id, epoch, o.nextOut)
		}
		return err
	}
	secret, err := assemble(r.Keys(), id, ask, epoch, o)
	if err != nil {
		return err
	}
	var done repo.Rotated
	var published repo.Publication
	commit := func(ctx context.Context, tx *repo.Tx) error {
		if done, err = tx.Rotate(ctx, secret, o.how); err != nil {
			return err
		}
		published, err = tx.Publish(ctx, secret, p, nil)
		return err
	}
	if err := try(ctx, r, commit); err != nil {
		return explain(err)
	}
	if err := keep(r.Keys(), secret, ask, epoch, o); err != nil {
		return err
	}
	if err := r.Update(ctx, env.Name, commit); err != nil {
		return explain(err)
	}
	_, err = r.Keys().Update(id, ask, func(s *identity.Secret) (*identity.Secret, error) { return s.From(epoch + 1), nil })
	if err != nil {
		return fmt.Errorf("the identity has its new key, and the old one could not be deleted: %w", err)
	}
	report(env, done, published)
	return nil
}

// errTried ends a commit that is not to be made.
var errTried = errors.New("tried")

// try does what a commit does, and does not make it.
func try(ctx context.Context, r *repo.Repo, commit func(context.Context, *repo.Tx) error) error {
	err := r.Update(ctx, "", func(ctx context.Context, tx *repo.Tx) error {
		if err := commit(ctx, tx); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return err
}

func report(env *local.Env, done repo.Rotated, published repo.Publication) {
	for _, c := range done.Changes {
		switch {
		case c.Offered == done.Reference:
		case c.Offered == nil && c.Old != nil:
			env.Say("%s: nothing of it counts any more", c.Old.Path)
		case c.Offered != nil:
			env.Say("%s: sequence %d of epoch %d counts", c.Offered.Path, c.Offered.Sequence, c.Offered.Epoch)
		}
	}
	for _, ref := range published.Signed {
		env.Say("signed %s, sequence %d", ref.Path, ref.Sequence)
	}
	env.Say("%s signs with its key of epoch %d: %s", done.Reference.Owner, done.Reference.Epoch+1, identity.DIDKey(done.Reference.NextKey))
	env.Say("node %d of %s; send it to your friends, and make a new backup: export-identity", published.Node.Sequence, published.Node.Owner)
}

func explain(err error) error {
	if errors.Is(err, repo.ErrElsewhere) {
		return cli.WithHint(err, "if it was not you who published, give -drop here, and see -as-of")
	}
	return err
}
