// Export-identity writes a backup of a private key.
package main

import (
	"context"

	"archivecache/identity"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree"

	"github.com/ipfs/go-cid"
)

const help = `usage: export-identity [-repo DIR] [-passphrase-fd N] PATH

Export-identity writes all keys that are here of the identity at PATH to standard
output, encrypted with a passphrase. Who has both can sign as you: keep them
apart. The backup is an age file; import-identity reads it, and so does age -d.
The passphrase comes from a file descriptor, from $ARCHIVECACHE_PASSPHRASE, or
from the terminal. After rotate-identity, make a new backup: an older one has
not the keys that follow.

Example:

  $ ARCHIVECACHE_PASSPHRASE='four words and more' export-identity identities/me > me.age
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	source := env.PassphraseFlag()
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	words := source()
	return env.WithIdentity(ctx, args[0], func(r *repo.Repo, _ *tree.Tree, id cid.Cid) error {
		secret, err := r.Keys().Load(id, func(identity.ID) ([]byte, error) { return words.Ask("the key") })
		if err != nil {
			return err
		}
		backup, err := words.AskNew("the backup")
		if err != nil {
			return err
		}
		return identity.Export(secret, backup, env.Stdout)
	})
}
