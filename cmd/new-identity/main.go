// New-identity makes a key pair and an identity of one's own.
package main

import (
	"context"
	"errors"
	"fmt"

	"archivecache/identity"
	"archivecache/internal/local"
	"archivecache/internal/passphrase"
	"archivecache/repo"
)

const help = `usage: new-identity [-repo DIR] [-passphrase] PATH

New-identity makes a key pair and puts its public document at PATH, which stands
below identities. It prints the id, by which friends know you. The private key
is in the folder keys of the repository, for your eyes only; with -passphrase it
is encrypted, and every command that signs asks for the passphrase.

Example:

  $ new-identity identities/work
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	protect := env.Flags.Bool("passphrase", false, "encrypt the private key with a passphrase")
	fd := env.Flags.Int("passphrase-fd", -1, "read the passphrase from the file descriptor `N`")
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	secret, err := identity.Generate()
	if err != nil {
		return err
	}
	var words []byte
	if *protect || *fd >= 0 {
		if words, err = passphrase.New(*fd).AskNew("the new key"); err != nil {
			return err
		}
	}
	if err := r.Keys().Create(secret, words); err != nil {
		return err
	}
	err = r.Update(ctx, env.Name, func(ctx context.Context, tx *repo.Tx) error {
		return tx.AddIdentity(ctx, p, secret.Document())
	})
	if err != nil {
		return errors.Join(err, r.Keys().Remove(secret.ID()))
	}
	_, err = fmt.Fprintln(env.Stdout, secret.ID())
	return err
}
