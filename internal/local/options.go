package local

import (
	"context"
	"time"

	"archivecache/identity"
	"archivecache/internal/passphrase"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/unixfs/osfs"

	"github.com/ipfs/go-cid"
)

// PassphraseFlag declares the option -passphrase-fd; the result is called after the command line
// was parsed.
func (env *Env) PassphraseFlag() func() *passphrase.Source {
	fd := env.Flags.Int("passphrase-fd", -1, "read passphrases from the file descriptor `N`, a line each")
	return func() *passphrase.Source { return passphrase.New(*fd) }
}

// Secret loads the private key of an identity, and asks for the passphrase if it has one.
func Secret(r *repo.Repo, id cid.Cid, words *passphrase.Source) (*identity.Secret, error) {
	return r.Keys().Load(id, func(identity.ID) ([]byte, error) { return words.Ask("the key of " + id.String()) })
}

// AuthorFlag declares the option -identity; the result finds the author in the tree of a commit.
func (env *Env) AuthorFlag() func(context.Context, *repo.Tx) func() (cid.Cid, error) {
	at := env.Flags.String("identity", "", "the `PATH` of the author, for changes below root (default: your first identity)")
	return func(ctx context.Context, tx *repo.Tx) func() (cid.Cid, error) {
		return func() (cid.Cid, error) { return tx.Repo().Author(ctx, tx.Tree, *at) }
	}
}

// WithTree calls fn with the repository and the tree of its head, for reading.
func (env *Env) WithTree(ctx context.Context, fn func(*repo.Repo, *tree.Tree) error) error {
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	t, err := r.Tree(ctx)
	if err != nil {
		return err
	}
	return fn(r, t)
}

// Watch shows a counter on the terminal until the result is called.
func (env *Env) Watch(label string, counter *osfs.Counter) (stop func()) {
	progress := env.NewProgress(label)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress.Set(counter.Files.Load(), counter.Bytes.Load())
			case <-end:
				progress.Done()
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

const progressInterval = 200 * time.Millisecond

// WithThing calls fn with what stands at a path of the tree of the head, for reading.
func (env *Env) WithThing(ctx context.Context, at string, fn func(*repo.Repo, *tree.Tree, *tree.Thing) error) error {
	p, err := Path(at)
	if err != nil {
		return err
	}
	return env.WithTree(ctx, func(r *repo.Repo, t *tree.Tree) error {
		thing, err := t.Resolve(ctx, p)
		if err != nil {
			return err
		}
		return fn(r, t, thing)
	})
}

// WithIdentity calls fn with an identity of one's own; without a path it is the first one.
func (env *Env) WithIdentity(ctx context.Context, at string, fn func(*repo.Repo, *tree.Tree, cid.Cid) error) error {
	return env.WithTree(ctx, func(r *repo.Repo, t *tree.Tree) error {
		id, err := r.Author(ctx, t, at)
		if err != nil {
			return err
		}
		return fn(r, t, id)
	})
}

// Update commits what fn does to the tree of the repository, under the name of the command.
func (env *Env) Update(ctx context.Context, fn func(context.Context, *repo.Tx) error) error {
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Update(ctx, env.Name, fn)
}
