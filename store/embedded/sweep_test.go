package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

// keeping returns what wants the given blocks.
func keeping(blocks []store.Block) func(store.Digest) bool {
	set := map[store.Digest]bool{}
	for _, b := range blocks {
		d, _ := store.DigestOf(b.Cid)
		set[d] = true
	}
	return func(d store.Digest) bool { return set[d] }
}

// batches returns what makes four segments, and small blocks: of the first segment nothing is wanted,
// of the second a half, of the third all but one block, of the fourth all.
func batches() (all [][]store.Block, wanted, unwanted []store.Block) {
	for i, n := range []int{0, 10, 19, 20} {
		blocks := storetest.Blocks(uint64(100+i), 20, 20_000)
		all = append(all, blocks)
		wanted, unwanted = append(wanted, blocks[:n]...), append(unwanted, blocks[n:]...)
	}
	small := storetest.Blocks(200, 3000, 300)
	return append(all, small), append(wanted, small[:1000]...), append(unwanted, small[1000:]...)
}

// mixed fills s with them.
func mixed(t testing.TB, s *Store) (wanted, unwanted []store.Block) {
	t.Helper()
	all, wanted, unwanted := batches()
	for _, blocks := range all {
		storetest.Put(t, s, blocks...)
	}
	return wanted, unwanted
}

// wantSwept checks that the wanted blocks are there, and no others.
func wantSwept(t testing.TB, s *Store, wanted []store.Block) {
	t.Helper()
	storetest.Want(t, s, wanted...)
	st, err := s.Stat(t.Context())
	if err != nil || st.Blocks != int64(len(wanted)) || st.Bytes != bytesOf(wanted) {
		t.Errorf("%+v are there, and %d of %d bytes should be: %v", st, len(wanted), bytesOf(wanted), err)
	}
}

func sweepAll(t testing.TB, s *Store, wanted []store.Block) store.Swept {
	t.Helper()
	swept, compact, err := s.Sweep(t.Context(), keeping(wanted))
	if err == nil {
		err = compact(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return swept
}

// sizes returns how large the segment files are together.
func sizes(t testing.TB, s *Store) (n int64) {
	t.Helper()
	for _, name := range segments(t, s) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

func TestSweep(t *testing.T) {
	s := openIn(t, t.TempDir())
	wanted, unwanted := mixed(t, s)
	orphan := filepath.Join(s.files.dir, "00112233445566778899aabbccddeeff.seg")
	other := filepath.Join(s.files.dir, "notes.txt")
	if err := errors.Join(os.WriteFile(orphan, make([]byte, 5000), 0o666), os.WriteFile(other, []byte("mine"), 0o666)); err != nil {
		t.Fatal(err)
	}
	full := slices.Concat(wanted, unwanted)
	measured, err := s.Measure(t.Context(), keeping(wanted))
	if err != nil {
		t.Fatal(err)
	}
	storetest.Want(t, s, full...)
	before := sizes(t, s)
	swept := sweepAll(t, s, wanted)
	if swept != measured {
		t.Errorf("%+v was measured, and %+v swept", measured, swept)
	}
	if swept.Blocks != int64(len(unwanted)) || swept.Bytes != bytesOf(unwanted) {
		t.Errorf("swept %+v, and it should be %d blocks, %d bytes", swept, len(unwanted), bytesOf(unwanted))
	}
	// The first segment and the half of the second, and the orphan; not one block of the third.
	record := int64(20_000 + recordHead)
	if want := 20*record + 16 + 10*record + 5000; swept.Files != want {
		t.Errorf("%d bytes of files were freed, want %d", swept.Files, want)
	}
	if after := sizes(t, s); before-after != swept.Files {
		t.Errorf("files were %d bytes, and are %d: %d less, and not %d", before, after, before-after, swept.Files)
	}
	wantSwept(t, s, wanted)
	if _, err := os.Stat(other); err != nil {
		t.Errorf("a file that is no segment: %v", err)
	}
	if again := sweepAll(t, s, wanted); again != (store.Swept{}) {
		t.Errorf("a second time it sweeps %+v", again)
	}
	storetest.Put(t, s, unwanted...)
	storetest.Want(t, s, full...)
	sweepAll(t, s, nil)
	wantSwept(t, s, nil)
}

// TestSweepVacuum gives the disk back what a large database does not need any more.
func TestSweepVacuum(t *testing.T) {
	s := openIn(t, t.TempDir())
	blocks := storetest.Blocks(1, 20_000, 900)
	storetest.Put(t, s, blocks...)
	size := func() int64 {
		info, err := os.Stat(s.db.Path())
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	sweepAll(t, s, blocks) // moves the log into the database, or does nothing
	reader := openIn(t, filepath.Dir(s.db.Path()))
	storetest.Want(t, reader, blocks[:10]...)
	sweepAll(t, s, blocks[:1000])
	if n := size(); n > 4<<20 {
		t.Errorf("with 1,000 blocks of 900 bytes the database has %d bytes", n)
	}
	wantSwept(t, s, blocks[:1000])
	storetest.Want(t, reader, blocks[:1000]...)
	storetest.Put(t, s, blocks...)
	storetest.Want(t, reader, blocks...)
}

// TestReadWhileSwept reads with what was looked up before a sweep moved the blocks.
func TestReadWhileSwept(t *testing.T) {
	dir := t.TempDir()
	s, reader := openIn(t, dir), openIn(t, dir)
	wanted, unwanted := mixed(t, s)
	all := slices.Concat(wanted, unwanted)
	var cids []cid.Cid
	for _, b := range all {
		cids = append(cids, b.Cid)
	}
	swept := false
	var buf []byte
	rows, err := reader.find(t.Context(), cids)
	if err != nil {
		t.Fatal(err)
	}
	sweepAll(t, s, wanted)
	for i, b := range all {
		data, err := reader.bytes(t.Context(), b.Cid, &rows[i], &buf)
		switch {
		case errors.Is(err, store.ErrNotFound) && i >= len(wanted):
			swept = true
		case err != nil:
			t.Fatalf("block %d: %v", i, err)
		case string(data) != string(b.Data):
			t.Fatalf("block %d has other bytes", i)
		}
	}
	if !swept {
		t.Error("no garbage was missing")
	}
}

// TestSweepLeavesDamage keeps a damaged block where it is, and what stands behind it.
func TestSweepLeavesDamage(t *testing.T) {
	s := openIn(t, t.TempDir())
	blocks := storetest.Blocks(1, 20, 20_000)
	storetest.Put(t, s, blocks...)
	wanted := blocks[:10]
	name := segments(t, s)[0]
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		_, err = file.WriteAt([]byte("XXXX"), 16+3*(20_000+recordHead)+1000)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	sweepAll(t, s, wanted)
	if _, err := os.Stat(name); err != nil {
		t.Errorf("the damaged segment: %v", err)
	}
	bad := 0
	err = s.Check(t.Context(), func(d store.Digest, size int64, err error) error {
		if err != nil {
			bad++
		}
		return nil
	})
	if err != nil || bad != 1 {
		t.Errorf("%d blocks are damaged: %v", bad, err)
	}
	if err := s.Drop(t.Context(), []store.Digest{store.Digest(blocks[3].Cid.Hash()[2:])}); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, blocks[3])
	wantSwept(t, s, wanted)
	sweepAll(t, s, wanted)
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the segment, of which nothing is needed: %v", err)
	}
}

// sweepChild is what a child process of TestSweepKilled does: it sweeps, and is gone at a step.
func sweepChild(dir, step string) error {
	interrupt = func(at string) {
		if at == step {
			os.Exit(9)
		}
	}
	ctx := context.Background()
	db, err := sqlite.Open(filepath.Join(dir, "db"))
	if err != nil {
		return err
	}
	s, err := New(db, filepath.Join(dir, "segments"))
	if err != nil {
		return err
	}
	_, wanted, _ := batches()
	_, compact, err := s.Sweep(ctx, keeping(wanted))
	if err != nil {
		return err
	}
	return errors.Join(compact(ctx), fmt.Errorf("it did not come to step %q", step))
}

// TestSweepKilled ends a sweep at each of its steps. What is wanted is there, and the next sweep
// drops the rest.
func TestSweepKilled(t *testing.T) {
	for _, step := range []string{"files", "copies", "rows", "old file"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			s := openIn(t, dir)
			wanted, _ := mixed(t, s)
			closeAll(t, s)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "EMBEDDED_TEST_SWEEP="+dir, "EMBEDDED_TEST_STEP="+step)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 9 {
				t.Fatalf("exit status %d: %s", code, out)
			}
			s = openIn(t, dir)
			storetest.Want(t, s, wanted...)
			sweepAll(t, s, wanted)
			wantSwept(t, s, wanted)
			fates, err := s.fates(t.Context(), map[int64]usage{}, new(store.Swept))
			if err != nil || len(fates) != 3 {
				t.Errorf("%d segments are left, %v: %+v", len(fates), err, fates)
			}
		})
	}
}
