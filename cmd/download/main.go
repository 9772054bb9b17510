// Download fetches the blocks of something that are missing.
package main

import (
	"context"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/merge"
	"archivecache/repo"
	"archivecache/tree"
)

const help = `usage: download [-repo DIR] [-gateway URL]... PATH

Download makes what stands at PATH present, with all below it: it fetches the
blocks that are missing, such as those that merge -metadata-only has left, from
the addresses in all nodes that are known and from the gateways.

Example:

  $ download root
`

func main() { local.Main(help, run) }

func run(ctx context.Context, env *local.Env) error {
	options := env.FetchFlags()
	args, err := env.Parse(1, 1)
	if err != nil {
		return err
	}
	p, err := local.Path(args[0])
	if err != nil {
		return err
	}
	return env.WithTree(ctx, func(r *repo.Repo, t *tree.Tree) error {
		opt, err := options()
		if err != nil {
			return err
		}
		if err := r.BeginWriting(ctx); err != nil {
			return err
		}
		sources, err := merge.AllSources(ctx, t, opt)
		if err != nil {
			return err
		}
		sources = append(append(sources, opt.Gateways...), merge.Network(r)...)
		f := exchange.NewFetcher(r.Store(), sources, opt.Fetch)
		defer f.Close()
		thing, err := tree.Open(merge.Reading(f), t.Head()).Resolve(ctx, p)
		if err != nil {
			return err
		}
		c, err := thing.Cid()
		if err != nil {
			return err
		}
		stats, err := exchange.Complete(ctx, f, c, nil, exchange.Scope{Progress: opt.Progress})
		if err != nil {
			return err
		}
		env.Say("fetched %s, %s", cli.Plural(int(stats.Fetched), "block"), cli.Bytes(stats.Bytes))
		return f.Commit(ctx)
	})
}
