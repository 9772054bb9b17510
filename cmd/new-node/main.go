// New-node signs the drafts of an identity and publishes its root.
package main

import (
	"context"

	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/internal/passphrase"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

const help = `usage: new-node [-repo DIR] [-address URL]... [-wait TIME] PATH IDENTITY

New-node signs every directory in which the identity at the path IDENTITY has
drafts, and puts a signed node at PATH: what friends need to merge root. Run it
after every change that others shall see. message-read-reference PATH makes a
message of it.

The -address options say where the blocks can be fetched, such as
http://203.0.113.5:7070 for a serve that listens there; without any, the
addresses of the node before stay. Everything that is published is public and in
the clear.

If there are pinning services (add-pinning-service), they are told, and waited
for. The node is published in any case; the exit status is 3 if it is not at
enough places by then, which pins shows.

Example:

  $ new-node -address http://127.0.0.1:7070 node identities/me
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	var addresses cli.Texts
	env.Flags.Var(&addresses, "address", "a `URL` that serves the blocks; may be given several times")
	words := env.PassphraseFlag()
	wait := env.WaitFlag()
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	if err := checkAddresses(addresses); err != nil {
		return err
	}
	if err := publish(ctx, env, p, args[1], addresses, words()); err != nil {
		return err
	}
	return env.RenewPins(ctx, *wait)
}

func publish(ctx context.Context, env *local.Env, p path.Path, by string, addresses []string, words *passphrase.Source) error {
	return env.WithIdentity(ctx, by, func(r *repo.Repo, _ *tree.Tree, id cid.Cid) error {
		secret, err := local.Secret(r, id, words)
		if err != nil {
			return err
		}
		var done repo.Publication
		err = r.Update(ctx, env.Name, func(ctx context.Context, tx *repo.Tx) error {
			if err := repo.CheckNodePath(p); err != nil {
				return err
			}
			done, err = tx.Publish(ctx, secret, p, addresses)
			return err
		})
		if err == nil {
			report(env, done)
		}
		return err
	})
}

func report(env *local.Env, done repo.Publication) {
	for _, ref := range done.Signed {
		env.Say("signed %s, sequence %d", ref.Path, ref.Sequence)
	}
	if done.Dropped > 0 {
		env.Say("%s of other identities are not in it", cli.Plural(done.Dropped, "draft"))
	}
	env.Say("node %d of %s", done.Node.Sequence, done.Node.Owner)
}

// checkAddresses refuses what cannot be an address; which ones are of use depends on who reads
// them.
func checkAddresses(addresses []string) error {
	for _, a := range addresses {
		if err := reference.CheckAddress(a); err != nil {
			return cli.WithHint(err, "an address is such as http://203.0.113.5:7070")
		}
	}
	return nil
}
