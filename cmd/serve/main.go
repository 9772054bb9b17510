// Serve gives the blocks of a repository to whoever asks for them, or shows the tree by WebDAV.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"

	"archivecache/exchange/gateway"
	"archivecache/exchange/name"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

const help = `usage: serve [-repo DIR] [-listen ADDRESS] [-pages local|all|none] [-webdav [-identity PATH] [-read-only]]

Serve gives the blocks of the repository to whoever knows their CIDs, by HTTP as
an IPFS trustless gateway, until it is interrupted. Friends need it while they
merge. It prints the address it listens on. It listens on this machine only,
unless -listen says otherwise: then everybody who can reach it can ask.

A browser at that address shows root as it is now, with files of others in a
sandbox. By default, -pages local, only this machine sees pages, and only if
serve listens for nobody else; -pages all shows them to everybody who can reach
it, and -pages none to nobody.

An IPFS daemon, kubo, fetches from it by HTTP when it is told to ask it who has
what: in its configuration set Routing to {"Type": "delegated",
"DelegatedRouters": ["http://127.0.0.1:7070"]}, HTTPRetrieval.Enabled to true,
and Provide.Enabled to false.

With -webdav it shows the whole tree by WebDAV in place of that, for machines
that cannot mount it: file managers (that of Windows only with TLS), davfs2,
rclone and many programs open its address. What may be changed is what mount
lets you change, and it is committed within a second, as drafts. It asks for a
password, which is printed unless -password-file or
$ARCHIVECACHE_WEBDAV_PASSWORD says one, and listens for other machines only with
TLS: -tls-cert and -tls-key.

Example:

  $ timeout 1 serve -listen 127.0.0.1:7070 || true
  $ timeout 1 serve -webdav -listen 127.0.0.1:0 || true
`

const blockListen = "127.0.0.1:7070"

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	listen := env.Flags.String("listen", "", "the `ADDRESS` to listen on; port 0 takes a free one (default "+blockListen+", with -webdav "+davListen+")")
	show := env.Flags.String("pages", "local", "`WHO` sees pages in a browser: local, all or none")
	verbose := env.Flags.Bool("verbose", false, "say on standard error who asks for what")
	webdav := env.Flags.Bool("webdav", false, "show the tree by WebDAV, and give no blocks")
	var dav davFlags
	dav.declare(env.Flags)
	if _, err := env.Parse(0, 0); err != nil {
		return err
	}
	if err := dav.check(env, *webdav); err != nil {
		return err
	}
	if *webdav {
		return serveDAV(ctx, env, cmp.Or(*listen, davListen), &dav, *verbose)
	}
	return serveBlocks(ctx, env, cmp.Or(*listen, blockListen), *show, *verbose)
}

// serveBlocks serves as a gateway until ctx ends.
func serveBlocks(ctx context.Context, env *local.Env, listen, show string, verbose bool) error {
	r, err := env.Repo()
	if err != nil {
		return err
	}
	defer r.Close()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer ln.Close()
	opt := gateway.Options{Log: logger(env, verbose), Root: viewOf(r), Record: name.Folder(r.Names()).Record}
	if opt.Pages, err = pages(show, ln.Addr()); err != nil {
		return err
	}
	handler, err := gateway.NewHandler(r.Store(), opt)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(env.Stdout, "http://%s\n", ln.Addr()); err != nil {
		return err
	}
	return gateway.Serve(ctx, ln, handler)
}

// pages returns who may see pages of a server that listens at an address.
func pages(who string, at net.Addr) (gateway.Pages, error) {
	switch who {
	case "all":
		return gateway.AllPages, nil
	case "none":
		return gateway.NoPages, nil
	case "local":
		if isLoopback(at) {
			return gateway.LocalPages, nil
		}
		return gateway.NoPages, nil
	}
	return gateway.NoPages, cli.Usage("-pages %q: it is local, all or none", who)
}

// viewOf returns what tells the directory that root shows now.
func viewOf(r *repo.Repo) func(context.Context) (cid.Cid, error) {
	return func(ctx context.Context) (cid.Cid, error) {
		t, err := r.Tree(ctx)
		if err != nil {
			return cid.Undef, err
		}
		root, err := t.Resolve(ctx, path.MustParse(path.Root))
		if err != nil {
			return cid.Undef, err
		}
		return root.Content.Cid, nil
	}
}

func logger(env *local.Env, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level}))
}
