// Import-identity brings back a private key from a backup.
package main

import (
	"context"
	"errors"
	"fmt"

	"archivecache/identity"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
)

const help = `usage: import-identity [-repo DIR] [-passphrase-fd N] PATH < BACKUP

Import-identity reads a backup that export-identity wrote from standard input,
puts the identity at PATH and its keys into the repository, and prints its id.
An identity that is there gets its keys back.

One identity in two repositories that both publish forks its history, unless
each merges what the other has published before it publishes. Use it to move,
not to share.

Example:

  $ ARCHIVECACHE_PASSPHRASE='four words and more' export-identity identities/me > me.age
  $ ARCHIVECACHE_PASSPHRASE='four words and more' import-identity -repo "$OTHER" identities/me < me.age
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	source := env.PassphraseFlag()
	protect := env.Flags.Bool("passphrase", false, "encrypt the private key here with the same passphrase")
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
	words, err := source().Ask("the backup")
	if err != nil {
		return err
	}
	secret, err := identity.Import(env.Stdin, func(identity.ID) ([]byte, error) { return words, nil })
	if err != nil {
		return err
	}
	if !*protect {
		words = nil
	}
	created := r.Keys().Create(secret, words)
	if created != nil && !errors.Is(created, identity.ErrKeyExists) {
		return created
	}
	err = r.Update(ctx, env.Name, func(ctx context.Context, tx *repo.Tx) error {
		return put(ctx, tx, p, secret.Document(), created)
	})
	if err != nil {
		if created == nil {
			err = errors.Join(err, r.Keys().Remove(secret.ID()))
		}
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, secret.ID())
	return err
}

// put puts the document at p, unless it stands there. An identity of which the key was here
// already, as created says, may have been deleted, or its import killed; but if it is in use,
// there is nothing to import.
func put(ctx context.Context, tx *repo.Tx, p path.Path, doc identity.Document, created error) error {
	if created != nil {
		authors, err := tx.Accepted(ctx)
		if err != nil {
			return err
		}
		if _, ok := authors.Own[doc.ID()]; ok {
			return created
		}
	}
	if e, err := tx.Get(ctx, p); err == nil && e.Policy == tree.IdentityPolicy && e.Link.Equals(doc.ID()) {
		return nil
	}
	return tx.AddIdentity(ctx, p, doc)
}
