package kubo_test

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archivecache/internal/kubotest"
	"archivecache/store"
	"archivecache/store/kubo"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
)

// pins returns the names of the recursive pins of a daemon that have one, sorted.
func pins(k *kubotest.Kubo) (names []string) {
	for line := range strings.Lines(k.Run("pin", "ls", "--type=recursive", "--names")) {
		if f := strings.Fields(line); len(f) == 3 {
			names = append(names, f[2])
		}
	}
	slices.Sort(names)
	return names
}

// TestCollector: what was committed stays, what was not goes.
func TestCollector(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "gc").Store()
	var kept []store.Block
	for i := range 5 {
		blocks := append(storetest.Blocks(uint64(600+i), 200, 100), storetest.Blocks(uint64(610+i), 10, 300_000)...)
		blocks = append(blocks, kept[:min(50, len(kept))]...) // again in another batch
		storetest.Put(t, s, blocks...)
		kept = append(kept, blocks...)
		k.Run("repo", "gc")
	}
	loose := k.Command("block", "put")
	loose.Stdin = strings.NewReader("nobody pins this")
	if err := loose.Run(); err != nil {
		t.Fatal(err)
	}
	gone := store.NewBlock(cid.Raw, []byte("nobody pins this"))
	storetest.Want(t, s, gone)
	k.Run("repo", "gc")
	storetest.Want(t, s, kept...)
	if _, err := s.Get(t.Context(), gone.Cid); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what nobody pins: %v", err)
	}
	for _, name := range pins(k) {
		if !strings.HasPrefix(name, "archivecache/gc/batch/") {
			t.Errorf("a pin is named %q", name)
		}
	}
}

// TestThereAndLoose: a block that the daemon has without keeping it is kept once it is put.
func TestThereAndLoose(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "loose").Store()
	loose := k.Command("block", "put")
	loose.Stdin = strings.NewReader("already here")
	if err := loose.Run(); err != nil {
		t.Fatal(err)
	}
	b := store.NewBlock(cid.Raw, []byte("already here"))
	storetest.Put(t, s, b)
	k.Run("repo", "gc")
	storetest.Want(t, s, b)
}

// TestCollectorBeside runs the collector all the time beside writers of which each has batches that
// it has not committed for long.
func TestCollectorBeside(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "beside").Store()
	stop := make(chan struct{})
	var collector sync.WaitGroup
	collector.Go(func() {
		for n := 0; ; n++ {
			if out, err := k.Command("repo", "gc", "-q").CombinedOutput(); err != nil {
				t.Errorf("repo gc: %v\n%s", err, out)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var writers sync.WaitGroup
	for g := range 2 {
		writers.Go(func() {
			w := s.Writer()
			defer w.Close()
			blocks := append(storetest.Blocks(uint64(620+g), 9000, 50), storetest.Blocks(uint64(630+g), 20, 1<<20)...)
			for _, b := range blocks {
				if err := w.Put(t.Context(), b); err != nil {
					t.Error(err)
					return
				}
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Error(err)
				return
			}
			storetest.Want(t, s, blocks[8950:]...)
		})
	}
	writers.Wait()
	close(stop)
	collector.Wait()
	for g := range 2 {
		all := cids(storetest.Blocks(uint64(620+g), 9000, 50))
		if err := s.GetMany(t.Context(), all, func(_ int, _ []byte, err error) error { return err }); err != nil {
			t.Error(err)
		}
	}
}

// TestSameBlocksTwice: two repositories that wrote the same blocks do not take them from each
// other.
func TestSameBlocksTwice(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	ann, ben := open(t, k.API, "ann").Store(), open(t, k.API, "ben").Store()
	blocks := storetest.Blocks(640, 20, 100)
	storetest.Put(t, ann, blocks...)
	storetest.Put(t, ben, blocks...)
	storetest.Put(t, ben, blocks...)
	none := kubo.CompactOptions{Keep: func(store.Digest) bool { return false }}
	if c, err := ben.Compact(t.Context(), none); err != nil || c != (kubo.Compacted{Freed: 20, Bytes: 2000, Before: 2}) {
		t.Errorf("Compact: %+v, %v", c, err)
	}
	k.Run("repo", "gc")
	storetest.Want(t, ann, blocks...)
	if _, err := ann.Compact(t.Context(), none); err != nil {
		t.Error(err)
	}
	k.Run("repo", "gc")
	if _, err := ann.Get(t.Context(), blocks[0].Cid); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what nobody keeps any more: %v", err)
	}
}

// each returns what Each says.
func each(t *testing.T, s *kubo.Store) (digests []store.Digest, bytes int64) {
	t.Helper()
	err := s.Each(t.Context(), func(d store.Digest, size int64) error {
		digests, bytes = append(digests, d), bytes+size
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return digests, bytes
}

func TestCompact(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "compact").Store()
	var all []store.Block
	for i := range 10 {
		blocks := storetest.Blocks(uint64(650+i), 100, 50+i)
		storetest.Put(t, s, append(blocks, all[:min(10, len(all))]...)...)
		all = append(all, blocks...)
	}
	if digests, bytes := each(t, s); len(digests) != 1000 || bytes != 54_500 {
		t.Errorf("Each: %d blocks of %d bytes", len(digests), bytes)
	}
	wanted := map[store.Digest]bool{}
	for _, b := range all[:700] {
		d, _ := store.DigestOf(b.Cid)
		wanted[d] = true
	}
	opt := kubo.CompactOptions{Keep: func(d store.Digest) bool { return wanted[d] }, DryRun: true}
	want := kubo.Compacted{Kept: 700, Freed: 300, Bytes: 5700 + 5800 + 5900, Before: 10, After: 1}
	for range 2 {
		if c, err := s.Compact(t.Context(), opt); err != nil || c != want {
			t.Fatalf("dry run: %+v, %v; want %+v", c, err, want)
		}
		if n := len(pins(k)); n != 10 {
			t.Fatalf("after a dry run %d pins", n)
		}
	}
	// A manifest from a later moment stays, whatever is in it.
	opt.Before = time.Now().Add(-time.Hour)
	if c, err := s.Compact(t.Context(), opt); err != nil || c.Freed != 0 || c.After != 10 || c.Kept != 1000 {
		t.Fatalf("of what is old only: %+v, %v", c, err)
	}
	opt.DryRun, opt.Before = false, time.Time{}
	if c, err := s.Compact(t.Context(), opt); err != nil || c != want {
		t.Fatalf("Compact: %+v, %v; want %+v", c, err, want)
	}
	if names := pins(k); len(names) != 1 || !strings.HasPrefix(names[0], "archivecache/compact/batch/") {
		t.Errorf("pins %q", names)
	}
	if c, err := s.Compact(t.Context(), opt); err != nil || c != (kubo.Compacted{Kept: 700, Before: 1, After: 1}) {
		t.Errorf("Compact again: %+v, %v", c, err)
	}
	k.Run("repo", "gc")
	storetest.Want(t, s, all[:700]...)
	if has, err := s.Has(t.Context(), cids(all[700:])); err != nil || slices.Contains(has, true) {
		t.Errorf("what was let go of is there, or %v", err)
	}
	if digests, _ := each(t, s); len(digests) != 700 || !wanted[digests[0]] {
		t.Errorf("Each after it: %d blocks", len(digests))
	}
}

func cids(blocks []store.Block) []cid.Cid {
	cids := make([]cid.Cid, len(blocks))
	for i, b := range blocks {
		cids[i] = b.Cid
	}
	return cids
}

// TestCompactFails: whatever fails, what was kept before is kept after.
func TestCompactFails(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "half").Store()
	var all []store.Block
	for i := range 3 {
		all = append(all, storetest.Blocks(uint64(670+i), 10, 50)...)
		storetest.Put(t, s, all[10*i:]...)
	}
	half := func(d store.Digest) bool { return d[0] < 128 }
	for _, call := range []string{"pin/ls", "block/get", "dag/import", "pin/add", "pin/rm"} {
		for _, fault := range []kubotest.Fault{kubotest.Error500("no", call), kubotest.Hang(call), kubotest.CutAnswer(-1, call)} {
			d := openWith(t, kubotest.Faulty(t, k, fault), kubo.Options{Name: "half", Timeout: 100 * time.Millisecond})
			_, err := d.Store().Compact(soon(t), kubo.CompactOptions{Keep: half})
			wantError(t, err, nil, call)
			k.Run("repo", "gc")
			for _, b := range all {
				if d, _ := store.DigestOf(b.Cid); half(d) {
					storetest.Want(t, s, b)
				}
			}
		}
	}
}

// TestNameless: a manifest whose process died before it had its name is found by Compact, other
// pins without a name are let alone.
func TestNameless(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	d := openWith(t, kubotest.Faulty(t, k, kubotest.Hang("pin/add", "pin/rm")), kubo.Options{Name: "dead", Timeout: 100 * time.Millisecond})
	w := d.Store().Writer()
	b := storetest.Blocks(680, 1, 100)[0]
	if err := w.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.Commit(soon(t)), kubo.ErrUnreachable)
	w.Close()
	k.Run("repo", "gc")
	s := open(t, k.API, "dead").Store()
	storetest.Want(t, s, b) // it is pinned by nobody's name
	if c, err := open(t, k.API, "other").Store().Compact(t.Context(), kubo.CompactOptions{Keep: func(store.Digest) bool { return false }}); err != nil || c != (kubo.Compacted{}) {
		t.Errorf("Compact of another repository: %+v, %v", c, err)
	}
	if c, err := s.Compact(t.Context(), kubo.CompactOptions{Keep: func(store.Digest) bool { return false }}); err != nil || c != (kubo.Compacted{Freed: 1, Bytes: 100, Before: 1}) {
		t.Errorf("Compact: %+v, %v", c, err)
	}
	wantNoPins(t, k)
}

// TestGivenUp: Close unpins what has gone up and was not committed.
func TestGivenUp(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "up").Store()
	w := s.Writer()
	for _, b := range storetest.Blocks(690, 40, 1<<20) {
		if err := w.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if len(pins(k)) == 0 {
		t.Error("after 40 MiB nothing has gone up")
	}
	w.Close()
	wantNoPins(t, k)
}

// TestPins: a pin keeps what hangs from a root, once for each repository and purpose.
func TestPins(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	ann, ben := open(t, k.API, "ann"), open(t, k.API, "ann.2")
	add := k.Command("add", "-Q", "--pin=false", "--cid-version=1", "--chunker=size-10")
	add.Stdin = strings.NewReader(strings.Repeat("0123456789", 20) + "x")
	out, err := add.Output()
	if err != nil {
		t.Fatal(err)
	}
	root := cid.MustParse(strings.TrimSpace(string(out)))
	for _, err := range []error{ann.Pin(t.Context(), root, "head", true), ann.Pin(t.Context(), root, "head", true),
		ann.Pin(t.Context(), root, "friends/x", false), ben.Pin(t.Context(), root, "head", true)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"archivecache/ann.2/head", "archivecache/ann/friends/x", "archivecache/ann/head"}
	if got := pins(k); !slices.Equal(got, want) {
		t.Errorf("pins %q, want %q", got, want)
	}
	var listed []string
	for p, err := range ann.Pins(t.Context()) {
		if err != nil || !p.Root.Equals(root) {
			t.Fatalf("Pins: %+v, %v", p, err)
		}
		listed = append(listed, p.Suffix)
	}
	if slices.Sort(listed); !slices.Equal(listed, []string{"friends/x", "head"}) {
		t.Errorf("Pins: %q", listed)
	}
	for i, unpin := range []func() error{
		func() error { return ann.Unpin(t.Context(), root, "head") },
		func() error { return ann.Unpin(t.Context(), root, "head") },
		func() error { return ann.Unpin(t.Context(), root, "friends/x") },
		func() error { return ben.Unpin(t.Context(), root, "nothing") },
	} {
		if err := unpin(); err != nil {
			t.Errorf("Unpin %d: %v", i, err)
		}
		k.Run("repo", "gc")
		if k.Run("cat", root.String()) == "" {
			t.Errorf("after Unpin %d it is gone", i)
		}
	}
	if err := ben.Unpin(t.Context(), root, "head"); err != nil {
		t.Error(err)
	}
	k.Run("repo", "gc")
	if has, err := ann.Store().Has(t.Context(), []cid.Cid{root}); err != nil || has[0] {
		t.Errorf("after the last Unpin: %v, %v", has, err)
	}
	for _, suffix := range []string{"", "batch/x", "a\nb", strings.Repeat("x", 200)} {
		wantError(t, ann.Pin(soon(t), root, suffix, true), kubo.ErrName)
	}
}

// TestTwoDaemons: Fetch and Pin have a daemon get what its peer has; Get does not.
func TestTwoDaemons(t *testing.T) {
	a, b := kubotest.Daemon(t), kubotest.Daemon(t)
	kubotest.Connect(a, b)
	ann, ben := open(t, a.API, "ann"), openWith(t, b.API, kubo.Options{Name: "ben", Timeout: 2 * time.Second})
	blocks := storetest.Blocks(700, 3, 1000)
	storetest.Put(t, ann.Store(), blocks...)
	if _, err := ben.Store().Get(t.Context(), blocks[0].Cid); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what only a peer has: %v", err)
	}
	if has, err := ben.Store().Has(t.Context(), cids(blocks)); err != nil || slices.Contains(has, true) {
		t.Errorf("Has: %v, %v", has, err)
	}
	if data, err := ben.Fetch(t.Context(), blocks[0].Cid); err != nil || string(data) != string(blocks[0].Data) {
		t.Errorf("Fetch: %d bytes, %v", len(data), err)
	}
	add := a.Command("add", "-Q", "--cid-version=1", "--chunker=size-10")
	add.Stdin = strings.NewReader("0123456789abcdefghij")
	out, err := add.Output()
	if err != nil {
		t.Fatal(err)
	}
	root := cid.MustParse(strings.TrimSpace(string(out)))
	if err := ben.Pin(soon(t), root, "friend", true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Pin offline of what only a peer has: %v", err)
	}
	b.Run("block", "get", root.String())
	wantError(t, ben.Pin(soon(t), root, "friend", true), nil, root.String(), "failed to fetch all nodes")
	if err := ben.Pin(t.Context(), root, "friend", false); err != nil {
		t.Fatal(err)
	}
	b.Run("repo", "gc")
	if got := b.Run("cat", "--offline", root.String()); got != "0123456789abcdefghij" {
		t.Errorf("what was pinned from the peer: %q", got)
	}
	nowhere := store.Sum(cid.Raw, []byte("nobody has this"))
	var missing *store.MissingError
	if _, err := ben.Fetch(soon(t), nowhere); !errors.As(err, &missing) || !missing.Cid.Equals(nowhere) {
		t.Errorf("Fetch of what nobody has: %v", err)
	}
	ben = openWith(t, b.API, kubo.Options{Name: "ben", Timeout: 200 * time.Millisecond})
	err = ben.Pin(soon(t), nowhere, "nowhere", false)
	wantError(t, err, kubo.ErrUnreachable, nowhere.String(), "pin/add", "no answer for 1s")
}

// TestGetMany: in order, also what is missing, and ended by fn.
func TestGetMany(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := openWith(t, k.API, kubo.Options{Name: "many", Parallel: 4}).Store()
	blocks := storetest.Blocks(710, 40, 1000)
	for i, b := range blocks {
		if i%4 != 1 {
			storetest.Put(t, s, b)
		}
	}
	next := 0
	err := s.GetMany(t.Context(), cids(blocks), func(i int, data []byte, err error) error {
		if i != next || (i%4 == 1) != errors.Is(err, store.ErrNotFound) || i%4 != 1 && string(data) != string(blocks[i].Data) {
			t.Errorf("block %d as number %d: %d bytes, %v", i, next, len(data), err)
		}
		next++
		return nil
	})
	if err != nil || next != 40 {
		t.Errorf("%d calls, %v", next, err)
	}
	enough, calls := errors.New("enough"), 0
	err = s.GetMany(t.Context(), cids(blocks), func(int, []byte, error) error { calls++; return enough })
	if err != enough || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

// TestIdentityIsNotAsked: an identity CID is answered without the daemon.
func TestIdentityIsNotAsked(t *testing.T) {
	calls := 0
	api := kubotest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"Version":"0.43.0"}`)
	}))
	d := open(t, api, "id")
	c := cid.MustParse("bafkqaaa")
	data, err := d.Store().Get(t.Context(), c)
	if _, fetchErr := d.Fetch(t.Context(), c); err != nil || fetchErr != nil || len(data) != 0 || calls != 1 {
		t.Errorf("%d bytes, %v, %v after %d calls", len(data), err, fetchErr, calls)
	}
}

// TestFlatMemory puts 200 MiB, of which never more than some batches are in memory.
func TestFlatMemory(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "flat").Store()
	w := s.Writer()
	defer w.Close()
	var most uint64
	for i := range 200 {
		if err := w.Put(t.Context(), storetest.Blocks(uint64(800+i), 1, 1<<20)[0]); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if most > 48<<20 {
		t.Errorf("%d MiB were in use", most>>20)
	}
	digests, bytes := each(t, s)
	if len(digests) != 200 || bytes != 200<<20 {
		t.Errorf("Each: %d blocks of %d bytes", len(digests), bytes)
	}
	storetest.Want(t, s, storetest.Blocks(899, 1, 1<<20)...)
}

// TestManySmall puts 10,000 blocks, which is more than a batch.
func TestManySmall(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	s := open(t, k.API, "small").Store()
	blocks := storetest.Blocks(720, 10_000, 200)
	storetest.Put(t, s, blocks...)
	if n := len(pins(k)); n != 2 {
		t.Errorf("%d pins, want 2", n)
	}
	k.Run("repo", "gc")
	got := 0
	err := s.GetMany(t.Context(), cids(blocks), func(_ int, _ []byte, err error) error { got++; return err })
	if err != nil || got != len(blocks) {
		t.Errorf("%d blocks, %v", got, err)
	}
}
