// Serve gives the blocks of a repository to whoever asks for them.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"archivecache/exchange/gateway"
	"archivecache/internal/local"
)

const help = `usage: serve [-repo DIR] [-listen ADDRESS]

Serve gives the blocks of the repository to whoever knows their CIDs, by HTTP as
an IPFS trustless gateway, until it is interrupted. Friends need it while they
merge. It prints the address it listens on. It listens on this machine only,
unless -listen says otherwise: then everybody who can reach it can ask.

Example:

  $ timeout 1 serve -listen 127.0.0.1:7070 || true
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	listen := env.Flags.String("listen", "127.0.0.1:7070", "the `ADDRESS` to listen on; port 0 takes a free one")
	verbose := env.Flags.Bool("verbose", false, "say on standard error who asks for what")
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	handler, err := gateway.NewHandler(r.Store(), logger(env, *verbose))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if _, err := fmt.Fprintf(env.Stdout, "http://%s\n", ln.Addr()); err != nil {
		return err
	}
	return gateway.Serve(ctx, ln, handler)
}

func logger(env *local.Env, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level}))
}
