// Resolve-name finds the node behind an IPNS name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"archivecache/exchange"
	"archivecache/exchange/name"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/store/kubo"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

const help = `usage: resolve-name [-repo DIR] [-gateway URL]... [-api ADDRESS] [-text] NAME [FILE]

Resolve-name finds the node to which the IPNS name NAME leads, and writes it as a
message to standard output, as message-read-reference does. The record of the
name is asked for at the gateways, such as the serve of a friend, and at the IPFS
daemon at ADDRESS, such as /ip4/127.0.0.1/tcp/5001. Or it is in FILE, which
publish-name has written; FILE alone will do, and - is standard input.

The node is looked for in the repository, if there is one, and asked for at the
same places. It is checked: the record is signed by the key of the name, the
block is the one that the record names, and its author has signed the node. A
name says nothing of who the author is: add-node-from-message takes nodes of
friends only.

Example:

  $ new-node node identities/me
  $ publish-name -out me.ipns node identities/me
  $ message-read-reference identities/me | add-friend-from-message -repo "$OTHER"
  $ resolve-name me.ipns | add-node-from-message -repo "$OTHER"
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	fetch := env.FetchFlags()
	api := env.Flags.String("api", "", "ask the IPFS daemon whose API is at `ADDRESS`")
	text := env.Flags.Bool("text", false, "write base64, on one line")
	args, err := env.Parse(1, 2)
	if err != nil {
		return err
	}
	opt, err := fetch()
	if err != nil {
		return err
	}
	a := asked{gateways: opt.Gateways, fetch: opt.Fetch}
	if *api != "" {
		if a.daemon, err = kubo.Open(ctx, *api, kubo.Options{Name: env.Name, Timeout: opt.Fetch.Stall}); err != nil {
			return err
		}
		defer a.daemon.Close()
	}
	record, err := a.record(ctx, env, args)
	if err != nil {
		return explain(err)
	}
	node, err := a.node(ctx, env, record.Node)
	if err != nil {
		return fmt.Errorf("%s leads to %s: %w", record.Name, record.Node, err)
	}
	env.Say("node %d of %s, by %s until %s", node.Sequence, node.Owner, record.Name, record.Until.UTC().Format(time.RFC3339))
	json, err := node.JSON()
	if err != nil {
		return err
	}
	return cli.WriteMessage(env.Env, json, *text)
}

// asked is who is asked for the record and the blocks.
type asked struct {
	gateways []exchange.Source
	fetch    exchange.Options
	daemon   *kubo.Daemon // may be nil
}

// record returns the record that the arguments name.
func (a *asked) record(ctx context.Context, env *local.Env, args []string) (name.Record, error) {
	wanted, err := name.Parse(args[0])
	switch {
	case len(args) == 2 && err != nil:
		return name.Record{}, err
	case len(args) == 2:
		return fromFile(env, args[1], wanted)
	case err != nil:
		return fromFile(env, args[0], "")
	}
	var sources []name.Source
	for _, g := range a.gateways {
		sources = append(sources, name.Gateway{Address: g.Address})
	}
	if a.daemon != nil {
		sources = append(sources, a.daemon)
	}
	if len(sources) == 0 {
		return name.Record{}, cli.Usage("whom to ask for %s? -gateway URL, -api ADDRESS, or a FILE with the record", wanted)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*a.fetch.Stall)
	defer cancel()
	return name.Find(ctx, wanted, sources)
}

func fromFile(env *local.Env, file, wanted string) (name.Record, error) {
	in := env.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if errors.Is(err, os.ErrNotExist) && wanted == "" {
			return name.Record{}, fmt.Errorf("%s: %w, and no file", cli.Quote(file), name.ErrName)
		}
		if err != nil {
			return name.Record{}, err
		}
		defer f.Close()
		in = f
	}
	return readRecord(in, file, wanted)
}

func readRecord(in io.Reader, file, wanted string) (name.Record, error) {
	data, err := name.ReadBounded(in, name.MaxRecord)
	var r name.Record
	if err == nil {
		r, err = name.Verify(data, wanted)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", cli.Quote(file), err)
	}
	return r, nil
}

// node returns the node c, whose author has signed it.
func (a *asked) node(ctx context.Context, env *local.Env, c cid.Cid) (*reference.Reference, error) {
	r, err := env.Repo()
	if err != nil && !errors.Is(err, repo.ErrNone) {
		return nil, err
	}
	var here store.Store = store.NewMemory()
	if r != nil {
		defer r.Close()
		here = r.Store()
	}
	fetcher := exchange.NewFetcher(here, a.gateways, a.fetch)
	defer fetcher.Close() // nothing is kept
	blocks := &getter{fetcher, a.daemon}
	data, err := blocks.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	node, err := reference.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", repo.ErrNotNode, err)
	}
	if node.Policy != reference.NodePolicy {
		return nil, fmt.Errorf("%w: its policy is %s", repo.ErrNotNode, node.Policy)
	}
	return node, node.VerifyWith(ctx, blocks)
}

// getter asks the fetcher, and then the daemon if there is one.
type getter struct {
	fetcher *exchange.Fetcher
	daemon  *kubo.Daemon
}

// Get implements [store.Getter].
func (g *getter) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := g.fetcher.Get(ctx, c)
	if err == nil || g.daemon == nil || !errors.Is(err, store.ErrNotFound) {
		return data, err
	}
	return g.daemon.Fetch(ctx, c)
}

// explain adds what to do about a record that cannot be used.
func explain(err error) error {
	switch {
	case errors.Is(err, name.ErrExpired):
		return cli.WithHint(err, "ask for a new one: publish-name makes it")
	case errors.Is(err, name.ErrNotFound):
		return cli.WithHint(err, "is the name right? another -gateway may have it, or ask for the record as a file")
	}
	return err
}
