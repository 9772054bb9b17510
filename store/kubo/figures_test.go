package kubo_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"archivecache/internal/kubotest"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

// TestFigures prints how fast blocks go up and come down, beside what ipfs itself does on the same
// daemon. It asserts nothing.
func TestFigures(t *testing.T) {
	if os.Getenv("ARCHIVECACHE_FIGURES") == "" {
		t.Skip("ARCHIVECACHE_FIGURES is not set")
	}
	for _, profile := range []kubotest.Option{func(*kubotest.Kubo) {}, kubotest.Synced} {
		k := kubotest.Daemon(t, kubotest.Offline, profile)
		s := open(t, k.API, "figures").Store()
		for i, kind := range []struct {
			name    string
			n, size int
		}{{"10,000 blocks of 200 B", 10_000, 200}, {"200 blocks of 1 MiB", 200, 1 << 20}} {
			blocks := storetest.Blocks(uint64(1000+i), kind.n, kind.size)
			cids := make([]cid.Cid, len(blocks))
			for i, b := range blocks {
				cids[i] = b.Cid
			}
			timed(t, kind.name+" up", kind.n, kind.size, func() { storetest.Put(t, s, blocks...) })
			timed(t, kind.name+" up again", kind.n, kind.size, func() { storetest.Put(t, s, blocks...) })
			timed(t, kind.name+" GetMany", kind.n, kind.size, func() {
				err := s.GetMany(context.Background(), cids, func(_ int, _ []byte, err error) error { return err })
				if err != nil {
					t.Fatal(err)
				}
			})
			timed(t, kind.name+" Has", kind.n, kind.size, func() { s.Has(context.Background(), cids) })
			timed(t, kind.name+" Get one after the other", kind.n, kind.size, func() {
				for _, c := range cids {
					s.Get(context.Background(), c)
				}
			})
			// The same sizes again as files for ipfs add, and as a CAR for ipfs dag import.
			dir := t.TempDir()
			for i, b := range storetest.Blocks(uint64(2000+i), kind.n, kind.size) {
				os.WriteFile(filepath.Join(dir, string(rune('a'+i%26))+time.Duration(i).String()), b.Data, 0o666)
			}
			var root string
			timed(t, kind.name+" ipfs add -r", kind.n, kind.size, func() {
				root = k.Run("add", "-r", "-Q", "--cid-version=1", "--chunker=size-1048576", dir)
			})
			car := filepath.Join(t.TempDir(), "a.car")
			f, _ := os.Create(car)
			cmd := k.Command("dag", "export", root)
			cmd.Stdout = f
			cmd.Run()
			f.Close()
			timed(t, kind.name+" ipfs dag import, there already", kind.n, kind.size, func() { k.Run("dag", "import", car) })
			k2 := kubotest.Daemon(t, kubotest.Offline, profile)
			timed(t, kind.name+" ipfs dag import", kind.n, kind.size, func() { k2.Run("dag", "import", car) })
		}
	}
}

func timed(t *testing.T, what string, n, size int, fn func()) {
	begin := time.Now()
	fn()
	d := time.Since(begin)
	t.Logf("%-60s %8.2f s %8.0f blocks/s %8.1f MB/s", what, d.Seconds(), float64(n)/d.Seconds(), float64(n*size)/d.Seconds()/1e6)
}
