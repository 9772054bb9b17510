// Rehash reads every block of something again and checks it.
package main

import (
	"context"
	"fmt"

	"archivecache/exchange"
	"archivecache/internal/cli"
	"archivecache/internal/local"
	"archivecache/repo"

	"github.com/ipfs/go-cid"
)

const help = `usage: rehash [-repo DIR] PATH

Rehash reads every block at PATH and below from the disk, hashes it, and
compares with the CID. It prints the CID of what stands at PATH. A block that is
damaged or missing is named, with exit status 1.

Example:

  $ rehash root
`

func main() { local.Main(help, local.CheckBlocks(rehash)) }

func rehash(ctx context.Context, r *repo.Repo, c cid.Cid) (string, error) {
	stats, err := exchange.Rehash(ctx, r.Store(), c)
	return fmt.Sprintf("%s, %s, all as their hashes say", cli.Plural(int(stats.Blocks), "block"), cli.Bytes(stats.Bytes)), err
}
