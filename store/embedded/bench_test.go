package embedded

import (
	"testing"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

func bytesOf(blocks []store.Block) (n int64) {
	for _, b := range blocks {
		n += int64(len(b.Data))
	}
	return n
}

// BenchmarkPutSmall puts 300 byte blocks, 1000 in a batch, durable each.
func BenchmarkPutSmall(b *testing.B) {
	s := openIn(b, b.TempDir())
	b.SetBytes(300 * 1000)
	for i := uint64(0); b.Loop(); i++ {
		b.StopTimer()
		blocks := storetest.Blocks(i, 1000, 300)
		b.StartTimer()
		storetest.Put(b, s, blocks...)
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
}

// BenchmarkPutFiles puts 10,000 blocks of 1 to 8 KiB into a new store in one durable batch.
func BenchmarkPutFiles(b *testing.B) {
	var blocks []store.Block
	for i := range 100 {
		blocks = append(blocks, storetest.Blocks(uint64(i), 100, 1024+i*72)...)
	}
	b.SetBytes(bytesOf(blocks))
	for b.Loop() {
		b.StopTimer()
		s := openIn(b, b.TempDir())
		b.StartTimer()
		storetest.Put(b, s, blocks...)
		b.StopTimer()
		closeAll(b, s)
		b.StartTimer()
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
}

// BenchmarkPutLarge puts blocks of 1 MiB in one durable batch: 1 GiB, with -short 64 MiB.
func BenchmarkPutLarge(b *testing.B) {
	n := 1024
	if testing.Short() {
		n = 64
	}
	blocks := storetest.Blocks(1, n, 1<<20)
	b.SetBytes(bytesOf(blocks))
	for b.Loop() {
		b.StopTimer()
		s := openIn(b, b.TempDir())
		b.StartTimer()
		storetest.Put(b, s, blocks...)
		b.StopTimer()
		closeAll(b, s)
		b.StartTimer()
	}
}

// BenchmarkPutAgain puts blocks of 1 MiB that are there.
func BenchmarkPutAgain(b *testing.B) {
	s := openIn(b, b.TempDir())
	blocks := storetest.Blocks(1, 64, 1<<20)
	storetest.Put(b, s, blocks...)
	b.SetBytes(bytesOf(blocks))
	for b.Loop() {
		storetest.Put(b, s, blocks...)
	}
}

// filled returns a store with 200,000 blocks of 300 bytes, with -short 20,000.
func filled(b *testing.B) (*Store, string, []store.Block) {
	dir := b.TempDir()
	s := openIn(b, dir)
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	blocks := storetest.Blocks(1, n, 300)
	storetest.Put(b, s, blocks...)
	return s, dir, blocks
}

func BenchmarkGetSmall(b *testing.B) {
	s, _, blocks := filled(b)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(b.Context(), blocks[i*7919%len(blocks)].Cid); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetLarge(b *testing.B) {
	s := openIn(b, b.TempDir())
	blocks := storetest.Blocks(1, 64, 1<<20)
	storetest.Put(b, s, blocks...)
	b.SetBytes(1 << 20)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(b.Context(), blocks[i%len(blocks)].Cid); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHasMiss asks for a thousand blocks at once that are not there.
func BenchmarkHasMiss(b *testing.B) {
	s, _, _ := filled(b)
	var cids []cid.Cid
	for _, block := range storetest.Blocks(2, 1000, 10) {
		cids = append(cids, block.Cid)
	}
	for b.Loop() {
		if _, err := s.Has(b.Context(), cids); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
}

// BenchmarkOpenGet opens the store, reads one block and closes it.
func BenchmarkOpenGet(b *testing.B) {
	s, dir, blocks := filled(b)
	closeAll(b, s)
	for i := 0; b.Loop(); i++ {
		db, err := sqlite.Open(dir + "/db")
		if err != nil {
			b.Fatal(err)
		}
		s, err := New(db, dir+"/segments")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Get(b.Context(), blocks[i*7919%len(blocks)].Cid); err != nil {
			b.Fatal(err)
		}
		closeAll(b, s)
	}
}
