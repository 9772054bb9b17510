package unixfs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

func TestCheckDir(t *testing.T) {
	ctx := context.Background()
	blocks := store.NewOverlay(store.NewMemory())
	entries := func(n int) []unixfs.Entry {
		var list []unixfs.Entry
		for i := range n {
			list = append(list, unixfs.Entry{Name: fmt.Sprint("file", i), Cid: store.Sum(cid.Raw, fmt.Append(nil, i)), Tsize: 3})
		}
		return list
	}
	for _, n := range []int{0, 1, 100, 5000, 20000} {
		e, err := unixfs.Build(ctx, blocks, entries(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := unixfs.CheckDir(ctx, blocks, cid.Undef, e.Cid); err != nil {
			t.Errorf("%d entries, built: %v", n, err)
		}
	}
	put := func(n *unixfs.Node) cid.Cid {
		b := store.NewBlock(cid.DagProtobuf, n.Encode())
		if err := blocks.Put(ctx, b); err != nil {
			t.Fatal(err)
		}
		return b.Cid
	}
	var many []unixfs.Link
	for _, e := range entries(9000) {
		many = append(many, unixfs.NewLink(fmt.Sprintf("x%05d", len(many)), e.Cid, e.Tsize))
	}
	big, err := unixfs.Build(ctx, blocks, entries(20000))
	if err != nil {
		t.Fatal(err)
	}
	data, err := blocks.Get(ctx, big.Cid)
	if err != nil {
		t.Fatal(err)
	}
	shard, err := unixfs.DecodeNode(data)
	if err != nil {
		t.Fatal(err)
	}
	lying := *shard
	lying.Links = append([]unixfs.Link(nil), shard.Links...)
	lying.Links[7].Tsize++
	for name, c := range map[string]cid.Cid{
		"a directory with a mode":       put(&unixfs.Node{Kind: unixfs.Directory, Mode: 0o755}),
		"too large for one block":       put(&unixfs.Node{Kind: unixfs.Directory, Links: many}),
		"a shard that lies about sizes": put(&lying),
	} {
		if err := unixfs.CheckDir(ctx, blocks, cid.Undef, c); !errors.Is(err, unixfs.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := unixfs.CheckDir(ctx, blocks, big.Cid, put(&lying)); !errors.Is(err, unixfs.ErrMalformed) {
		t.Errorf("a shard that lies about sizes, beside the true one: %v", err)
	}
}
