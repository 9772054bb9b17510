// Import-identity brings back a private key from a backup.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"archivecache/identity"
	"archivecache/internal/local"
	"archivecache/internal/passphrase"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
)

const help = `usage: import-identity [-repo DIR] [-passphrase] [-passphrase-fd N] PATH < BACKUP

Import-identity reads a backup that export-identity wrote, or the file with the
next key that new-identity -next wrote, from standard input, puts the identity
at PATH and its keys into the repository, and prints its id. An identity that is
there at PATH gets the keys that it has not; none that are there get lost, and
they stay under a passphrase if they are. Take in nothing that is not your own.

Passphrases come from a file descriptor, from $ARCHIVECACHE_PASSPHRASE, or from
the terminal: first that of the backup, then that of the key that is there.

One identity in two repositories that both publish forks its history, unless
each merges what the other has published before it publishes. Use it to move,
not to share.

Example:

  $ ARCHIVECACHE_PASSPHRASE='four words and more' export-identity identities/me > me.age
  $ ARCHIVECACHE_PASSPHRASE='four words and more' import-identity -repo "$OTHER" identities/me < me.age
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	fd := env.Flags.Int("passphrase-fd", -1, "read passphrases from the file descriptor `N`, a line each")
	protect := env.Flags.Bool("passphrase", false, "encrypt a key that was not here with the passphrase of the backup")
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
	source := passphrase.New(*fd)
	secret, words, err := read(env.Stdin, source, *fd == 0)
	if err != nil {
		return err
	}
	in := &importer{env.Name, r, p, secret}
	ask := identity.Once(func(id identity.ID) ([]byte, error) { return source.Ask("the key of " + id.String()) })
	have, err := r.Keys().Load(secret.ID(), ask)
	switch {
	case err == nil:
		err = in.merge(ctx, have, ask)
	case errors.Is(err, identity.ErrNoKey):
		err = in.create(ctx, *protect, words, source)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, secret.ID())
	return err
}

// read reads a backup and returns its passphrase, too, nil if it has none. The passphrase comes
// first if it is in the same stream.
func read(backup io.Reader, source *passphrase.Source, first bool) (s *identity.Secret, words []byte, err error) {
	ask := func(identity.ID) (answer []byte, err error) {
		if words == nil {
			words, err = source.Ask("the backup")
		}
		return words, err
	}
	if first {
		if _, err := ask(identity.ID{}); err != nil {
			return nil, nil, err
		}
	}
	s, err = identity.Import(backup, ask)
	return s, words, err
}

// An importer takes one identity in.
type importer struct {
	name   string // of the command
	repo   *repo.Repo
	path   path.Path
	secret *identity.Secret
}

// create takes in an identity whose key is not here.
func (in *importer) create(ctx context.Context, protect bool, words []byte, source *passphrase.Source) (err error) {
	if protect && words == nil {
		if words, err = source.AskNew("the key"); err != nil {
			return err
		}
	}
	if !protect {
		words = nil
	}
	if err := in.repo.Keys().Create(in.secret, words); err != nil {
		return err
	}
	if err := in.put(ctx, true); err != nil {
		return errors.Join(err, in.repo.Keys().Remove(in.secret.ID()))
	}
	return nil
}

// merge takes in the keys of an identity of which some are here. It may have been deleted, or its
// import killed.
func (in *importer) merge(ctx context.Context, have *identity.Secret, ask identity.Ask) error {
	if _, err := have.With(in.secret); err != nil {
		return err
	}
	more := !have.Has(in.secret)
	if err := in.put(ctx, more); err != nil || !more {
		return err
	}
	_, err := in.repo.Keys().Update(in.secret.ID(), ask, func(s *identity.Secret) (*identity.Secret, error) {
		return s.With(in.secret)
	})
	return err
}

// put puts the document at the path, unless it stands there. If it stands elsewhere, or there is
// not even a key to import, nothing is to be done.
func (in *importer) put(ctx context.Context, more bool) error {
	doc := in.secret.Document()
	return in.repo.Update(ctx, in.name, func(ctx context.Context, tx *repo.Tx) error {
		authors, err := tx.Accepted(ctx)
		if err != nil {
			return err
		}
		at, inUse := authors.Own[doc.ID()]
		switch {
		case !inUse:
			return tx.AddIdentity(ctx, in.path, doc)
		case !more:
			return identity.ErrKeyExists
		}
		if e, err := tx.Get(ctx, in.path); err != nil || e.Policy != tree.IdentityPolicy || !e.Link.Equals(doc.ID()) {
			return fmt.Errorf("%s: %w: that identity stands at %s; import its keys there", in.path, tree.ErrForbidden, at)
		}
		return nil
	})
}
