package exchange

import (
	"context"

	"archivecache/dag"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// Rehash reads root and every block below it, each once, and so checks their hashes: a Getter
// verifies what it reads. It ends with the first block that is missing or damaged.
func Rehash(ctx context.Context, get store.Getter, root cid.Cid) (Stats, error) {
	var stats Stats
	var seen keySet
	todo := []cid.Cid{root}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		k, err := keyOf(c)
		if err != nil {
			return stats, err
		}
		if !seen.add(k) {
			continue
		}
		data, err := get.Get(ctx, c)
		if err != nil {
			return stats, err
		}
		stats.Blocks++
		stats.Bytes += int64(len(data))
		if err := dag.Links(c, data, func(c cid.Cid) error { todo = append(todo, c); return nil }); err != nil {
			return stats, err
		}
	}
	return stats, nil
}
