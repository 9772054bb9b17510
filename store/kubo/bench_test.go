package kubo_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"archivecache/internal/kubotest"
	"archivecache/store"
	"archivecache/store/storetest"
)

// BenchmarkStore moves small and large blocks up and down, beside what ipfs does on another daemon
// with files of the same sizes.
func BenchmarkStore(b *testing.B) {
	for _, kind := range []struct{ n, size int }{{10_000, 200}, {200, 1 << 20}} {
		b.Run(fmt.Sprintf("%dx%d", kind.n, kind.size), func(b *testing.B) {
			s := open(b, kubotest.Daemon(b, kubotest.Offline).API, "bench").Store()
			seed := uint64(1000)
			fresh := func() []store.Block {
				seed++
				return storetest.Blocks(seed, kind.n, kind.size)
			}
			b.Run("put", func(b *testing.B) {
				b.SetBytes(int64(kind.n * kind.size))
				for b.Loop() {
					b.StopTimer()
					blocks := fresh()
					b.StartTimer()
					storetest.Put(b, s, blocks...)
				}
			})
			b.Run("get", func(b *testing.B) {
				blocks := fresh()
				storetest.Put(b, s, blocks...)
				b.SetBytes(int64(kind.n * kind.size))
				for b.Loop() {
					err := s.GetMany(context.Background(), cids(blocks), func(_ int, _ []byte, err error) error { return err })
					if err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("ipfs-add", func(b *testing.B) {
				k := kubotest.Daemon(b, kubotest.Offline)
				b.SetBytes(int64(kind.n * kind.size))
				for b.Loop() {
					b.StopTimer()
					dir := files(b, fresh())
					b.StartTimer()
					k.Run("add", "-r", "-Q", "--cid-version=1", "--chunker=size-1048576", dir)
				}
			})
		})
	}
}

// files writes a folder with a file for each block.
func files(b *testing.B, blocks []store.Block) string {
	b.Helper()
	dir := b.TempDir()
	for _, block := range blocks {
		if err := os.WriteFile(filepath.Join(dir, block.Cid.String()), block.Data, 0o666); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}
