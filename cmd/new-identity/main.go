// New-identity makes a key pair and an identity of one's own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"archivecache/identity"
	"archivecache/internal/local"
	"archivecache/internal/passphrase"
	"archivecache/repo"
)

const help = `usage: new-identity [-repo DIR] [-next FILE] [-passphrase] PATH

New-identity makes a key pair and puts its public document at PATH, which stands
below identities. It prints the id, by which friends know you. The private key
is in the folder keys of the repository, for your eyes only; with -passphrase it
is encrypted, and every command that signs asks for the passphrase.

An identity has a next key, to which rotate-identity changes it when the first
one was stolen or may have been. With -next it is written to FILE and not into
the folder keys. Whoever steals that folder can then sign as you until you
rotate, and cannot rotate themselves. Keep FILE away from this machine, on a
stick or on paper: without it you cannot rotate either. With -passphrase it is
encrypted, too, with the passphrase that is asked for after the first one. A
backup by export-identity does not have it. import-identity takes it in.

Example:

  $ new-identity identities/work
  $ new-identity -next work.next identities/safe
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	next := env.Flags.String("next", "", "write the key to change to, to the new `FILE`, and keep it nowhere else")
	protect := env.Flags.Bool("passphrase", false, "encrypt the private key with a passphrase")
	fd := env.Flags.Int("passphrase-fd", -1, "read passphrases from the file descriptor `N`, a line each")
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
	undo, err := keep(r.Keys(), secret, *next, words(*protect, *fd))
	if err != nil {
		return err
	}
	err = r.Update(ctx, env.Name, func(ctx context.Context, tx *repo.Tx) error {
		return tx.AddIdentity(ctx, p, secret.Document())
	})
	if err != nil {
		return errors.Join(err, undo())
	}
	_, err = fmt.Fprintln(env.Stdout, secret.ID())
	return err
}

// words returns a function that asks for a new passphrase. If there shall be none, it answers
// with none.
func words(protect bool, fd int) func(what string) ([]byte, error) {
	if !protect && fd < 0 {
		return func(string) ([]byte, error) { return nil, nil }
	}
	return passphrase.New(fd).AskNew
}

// keep keeps the keys in the key folder, but the next one in the file of that name, if it is not
// empty. When it fails it has kept nothing; undo deletes what it has kept.
func keep(keys *identity.Keyring, secret *identity.Secret, next string, words func(string) ([]byte, error)) (undo func() error, err error) {
	here, away := secret, (*identity.Secret)(nil)
	if next != "" {
		here, away = secret.Split(1)
	}
	hereWords, err := words("the new key")
	if err != nil {
		return nil, err
	}
	removeNext := func() error { return nil }
	if away != nil {
		if removeNext, err = writeNext(next, away, words); err != nil {
			return nil, err
		}
	}
	if err := keys.Create(here, hereWords); err != nil {
		return nil, errors.Join(err, removeNext())
	}
	return func() error { return errors.Join(keys.Remove(here.ID()), removeNext()) }, nil
}

func writeNext(name string, s *identity.Secret, words func(string) ([]byte, error)) (remove func() error, err error) {
	passphrase, err := words("the file with the next key")
	if err != nil {
		return nil, err
	}
	return func() error { return os.Remove(name) }, identity.WriteFile(name, s, passphrase)
}
