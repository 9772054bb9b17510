// Remove-pinning-service forgets a pinning service.
package main

import (
	"context"

	"archivecache/internal/local"
)

const help = `usage: remove-pinning-service [-repo DIR] NAME

Remove-pinning-service forgets the pinning service that add-pinning-service has
made known under NAME, with its token. It is told nothing: what it keeps by then
stays there as long as it likes.

Example:

  $ remove-pinning-service ours || true
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	return r.RemovePinningService(ctx, args[0])
}
