// Publish-name puts a node behind an IPNS name.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"archivecache/exchange/name"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/store/kubo"
	"archivecache/tree"

	"github.com/ipfs/go-cid"
)

const help = `usage: publish-name [-repo DIR] [-out FILE] [-api ADDRESS] [-lifetime TIME] PATH IDENTITY

Publish-name makes a record that leads from an IPNS name to the node at PATH,
which the identity at the path IDENTITY has published. An identity has one name,
which stays when its key is replaced. Tell it your friends once: resolve-name
then finds your newest node wherever a record of the name is. What they find is
checked like a node that came by mail; the name only helps to find it.

The record goes to standard output, or to FILE, to be carried, or to the IPFS
daemon at ADDRESS, such as /ip4/127.0.0.1/tcp/5001, which makes it known in the
IPFS network if it is online. serve gives it to those who ask for the name. The
name is printed, on standard error if the record is on standard output. Run it
again after new-node, and before TIME is over, 720h if nothing else is said.

The key of the name is in the folder names of the repository, and not in what
export-identity writes. Without it there will be a new name, and no other harm.

Example:

  $ new-node node identities/me
  $ publish-name -out me.ipns node identities/me
`

func main() { local.Main(help, run) }

const (
	minLifetime = time.Minute
	maxLifetime = 10 * 365 * 24 * time.Hour
)

func run(ctx context.Context, env *local.Env) error {
	out := env.Flags.String("out", "", "write the record to `FILE`")
	api := env.Flags.String("api", "", "hand the record to the IPFS daemon whose API is at `ADDRESS`")
	lifetime := env.Flags.Duration("lifetime", 30*24*time.Hour, "the record counts for `TIME`")
	args, err := env.Parse(2, 2)
	if err != nil {
		return err
	}
	if *lifetime < minLifetime || *lifetime > maxLifetime {
		return cli.Usage("-lifetime %s: from one minute to ten years", *lifetime)
	}
	var daemon *kubo.Daemon
	if *api != "" {
		if daemon, err = kubo.Open(ctx, *api, kubo.Options{Name: env.Name}); err != nil {
			return err
		}
		defer daemon.Close()
	}
	record, err := sign(ctx, env, args[0], args[1], *lifetime)
	if err != nil {
		return err
	}
	return deliver(ctx, env, record, *out, daemon)
}

// sign makes the record of the node at a path, and keeps it in the repository.
func sign(ctx context.Context, env *local.Env, at, by string, lifetime time.Duration) (record []byte, err error) {
	err = env.WithIdentity(ctx, by, func(r *repo.Repo, t *tree.Tree, id cid.Cid) error {
		p, err := local.Path(at)
		if err != nil {
			return err
		}
		thing, err := t.Resolve(ctx, p)
		if err != nil {
			return err
		}
		if !thing.Local() || thing.Node == nil || !thing.Node.Owner.Equals(id) {
			return cli.WithHint(fmt.Errorf("%s: %w of %s", p, repo.ErrNotNode, id), "new-node %s %s makes one", p, by)
		}
		names := name.Folder(r.Names())
		key, err := names.Key(id)
		if err != nil {
			return err
		}
		sequence := name.Sequence(thing.Node.Epoch, thing.Node.Sequence)
		if record, err = key.Sign(thing.Entry.Link.Target(), sequence, time.Now().Add(lifetime)); err != nil {
			return err
		}
		err = names.Keep(key.Name(), record)
		if errors.Is(err, name.ErrOlder) {
			return cli.WithHint(fmt.Errorf("%s: %w", p, err), "new-node %s %s continues what was published", p, by)
		}
		return err
	})
	return record, err
}

// deliver brings the record where it is wanted, and prints the name.
func deliver(ctx context.Context, env *local.Env, record []byte, out string, daemon *kubo.Daemon) error {
	r, err := name.Verify(record, "")
	if err != nil {
		return err
	}
	if out != "" {
		if err := os.WriteFile(out, record, 0o644); err != nil {
			return err
		}
	}
	if daemon != nil {
		if err := daemon.PutRecord(ctx, r.Name, record, "/ipfs/"+r.Node.String()); err != nil {
			return cli.WithHint(err, "the record is kept: run it again")
		}
	}
	if out == "" && daemon == nil {
		env.Say("the name is %s", r.Name)
		_, err := env.Stdout.Write(record)
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, r.Name)
	return err
}
