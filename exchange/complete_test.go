package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"archivecache/dagcbor"
	"archivecache/exchange"
	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/embedded"
	"archivecache/store/storetest"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// counted is a store that notes what it is asked.
type counted struct {
	*store.Memory
	mu   sync.Mutex
	gets map[cid.Cid]int
	has  int
}

func newCounted() *counted { return &counted{Memory: store.NewMemory(), gets: make(map[cid.Cid]int)} }

func (s *counted) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	s.mu.Lock()
	s.gets[c]++
	s.mu.Unlock()
	return s.Memory.Get(ctx, c)
}

func (s *counted) Has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	s.mu.Lock()
	s.has += len(cids)
	s.mu.Unlock()
	return s.Memory.Has(ctx, cids)
}

// put commits what fn writes.
func put(t testing.TB, st store.Store, fn func(store.Writer) (cid.Cid, error)) cid.Cid {
	t.Helper()
	w := st.Writer()
	defer w.Close()
	c, err := fn(w)
	if err == nil {
		err = w.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// makeTree makes folders of files: content says what is in each file.
func makeTree(t testing.TB, st store.Store, folders, files int, content func(folder, file int) []byte) cid.Cid {
	t.Helper()
	return put(t, st, func(w store.Writer) (cid.Cid, error) {
		ctx := t.Context()
		var top []unixfs.Entry
		for d := range folders {
			var entries []unixfs.Entry
			for n := range files {
				data := content(d, n)
				f, err := unixfs.AddSerial(ctx, w, bytes.NewReader(data), int64(len(data)), unixfs.Attr{})
				if err != nil {
					return cid.Undef, err
				}
				entries = append(entries, unixfs.Entry{Name: fmt.Sprintf("file%05d", n), Cid: f.Cid, Tsize: f.Tsize})
			}
			dir, err := unixfs.Build(ctx, w, entries)
			if err != nil {
				return cid.Undef, err
			}
			dir.Name = fmt.Sprintf("folder%d", d)
			top = append(top, dir)
		}
		root, err := unixfs.Build(ctx, w, top)
		return root.Cid, err
	})
}

func text(folder, file int) []byte { return fmt.Appendf(nil, "%d/%d", folder, file) }

func TestComplete(t *testing.T) {
	ctx := t.Context()
	srv := serve(t)
	root := makeTree(t, srv.store, 10, 50, text)
	st := store.NewMemory()
	f := fetcher(t, st, srv)
	var calls int
	stats, err := exchange.Complete(ctx, f, root, nil, exchange.Scope{Progress: func(exchange.Stats) { calls++ }})
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(1 + 10 + 500); stats.Blocks != want || stats.Fetched != want || calls == 0 {
		t.Errorf("%+v, want %d blocks; %d calls of Progress", stats, want, calls)
	}
	if err := f.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if st.Len() != srv.store.Len() {
		t.Errorf("%d blocks, the server has %d", st.Len(), srv.store.Len())
	}
	// Again, from what is here alone.
	before := srv.requests.Load()
	stats, err = exchange.Complete(ctx, fetcher(t, st), root, nil, exchange.Scope{})
	if err != nil || stats.Fetched != 0 || srv.requests.Load() != before {
		t.Errorf("again: %+v, %v, %d requests", stats, err, srv.requests.Load()-before)
	}
}

// TestCompleteDifference changes one file of many and counts what is looked at.
func TestCompleteDifference(t *testing.T) {
	ctx := t.Context()
	srv, st := serve(t), newCounted()
	changed := func(folder, file int) []byte {
		if folder == 3 && file == 77 {
			return []byte("changed")
		}
		return text(folder, file)
	}
	known := makeTree(t, st, 4, 10000, text) // sharded
	root := makeTree(t, srv.store, 4, 10000, changed)
	clear(st.gets)
	stats, err := exchange.Complete(ctx, fetcher(t, st, srv), root, []cid.Cid{known}, exchange.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	// The root, the folder, its shards on the way down, the file.
	if stats.Fetched > 6 || stats.Fetched < 4 || stats.Blocks != stats.Fetched {
		t.Errorf("%+v", stats)
	}
	if len(st.gets) > 12 || st.has > 2 {
		t.Errorf("%d blocks read, %d asked for", len(st.gets), st.has)
	}
	stats, err = exchange.Complete(ctx, fetcher(t, st), known, []cid.Cid{known}, exchange.Scope{})
	if err != nil || stats.Blocks != 0 {
		t.Errorf("known root: %+v, %v", stats, err)
	}
}

// TestCompleteMoved has known blocks deeper in the new tree than in the old, and the other way
// round.
func TestCompleteMoved(t *testing.T) {
	ctx := t.Context()
	st := store.NewMemory()
	known := makeTree(t, st, 3, 20, text)
	wrap := func(st store.Store, c cid.Cid) cid.Cid {
		return put(t, st, func(w store.Writer) (cid.Cid, error) {
			e, err := unixfs.Build(ctx, w, []unixfs.Entry{{Name: "in", Cid: c, Tsize: 1}})
			return e.Cid, err
		})
	}
	srv := serve(t)
	deeper := wrap(srv.store, wrap(srv.store, known))
	f := fetcher(t, st, srv)
	stats, err := exchange.Complete(ctx, f, deeper, []cid.Cid{known}, exchange.Scope{})
	if err != nil || stats.Fetched != 2 || stats.Blocks != 2 {
		t.Errorf("deeper: %+v, %v", stats, err)
	}
	if err := f.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	stats, err = exchange.Complete(ctx, fetcher(t, st), known, []cid.Cid{deeper}, exchange.Scope{})
	if err != nil {
		t.Errorf("higher: %+v, %v", stats, err)
	}
}

func TestCompleteMetadataOnly(t *testing.T) {
	ctx := t.Context()
	srv := serve(t)
	root := makeTree(t, srv.store, 2, 3, func(folder, file int) []byte {
		if file == 0 {
			return make([]byte, unixfs.ChunkSize+1+folder) // two leaves below a node
		}
		return text(folder, file)
	})
	record := put(t, srv.store, func(w store.Writer) (cid.Cid, error) {
		data, err := dagcbor.Marshal(map[string]any{"state": dagcbor.LinkTo(root), "view": dagcbor.LinkTo(root)})
		b := store.NewBlock(cid.DagCBOR, data)
		return b.Cid, errors.Join(err, w.Put(ctx, b))
	})
	st := store.NewMemory()
	f := fetcher(t, st, srv)
	stats, err := exchange.Complete(ctx, f, record, nil, exchange.Scope{MetadataOnly: true})
	// The record, the root, two folders, the nodes of two large files.
	if err != nil || stats.Fetched != 6 {
		t.Errorf("metadata: %+v, %v", stats, err)
	}
	if err := f.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	stats, err = exchange.Complete(ctx, fetcher(t, st, srv), record, nil, exchange.Scope{})
	if err != nil || stats.Fetched != 4+3 { // small files; the large ones share their first leaf
		t.Errorf("content afterwards: %+v, %v", stats, err)
	}
}

// TestCompleteShared has a DAG of 40 levels whose nodes are linked twice from above.
func TestCompleteShared(t *testing.T) {
	srv := serve(t)
	root := put(t, srv.store, func(w store.Writer) (cid.Cid, error) {
		b := store.NewBlock(cid.Raw, []byte("leaf"))
		err := w.Put(t.Context(), b)
		for range 40 {
			data, e := dagcbor.Marshal([]*dagcbor.Link{dagcbor.LinkTo(b.Cid), dagcbor.LinkTo(b.Cid)})
			b = store.NewBlock(cid.DagCBOR, data)
			err = errors.Join(err, e, w.Put(t.Context(), b))
		}
		return b.Cid, err
	})
	stats, err := exchange.Complete(t.Context(), fetcher(t, store.NewMemory(), srv), root, nil, exchange.Scope{})
	if err != nil || stats.Fetched != 41 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestCompleteMissing(t *testing.T) {
	st, full := store.NewMemory(), serve(t)
	root := makeTree(t, full.store, 2, 30, text)
	f := fetcher(t, st, full) // for all but the files
	if _, err := exchange.Complete(t.Context(), f, root, nil, exchange.Scope{MetadataOnly: true}); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason  string
		servers []*server
		least   int
		most    int
		words   string
	}{
		{"nobody to ask", nil, 60, 60, "import-car"},
		{"one who has nothing", []*server{serve(t)}, 20, 60, "does not have it"},
		{"one who is gone", []*server{gone(t)}, 20, 60, "refused"},
	} {
		_, err := exchange.Complete(t.Context(), fetcher(t, st, c.servers...), root, nil, exchange.Scope{})
		var unavailable *exchange.UnavailableError
		if !errors.As(err, &unavailable) || !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", c.reason, err)
			continue
		}
		if n := unavailable.Count; n < c.least || n > c.most || len(unavailable.Missing) != 20 {
			t.Errorf("%s: %d missing, %d named", c.reason, n, len(unavailable.Missing))
		}
		if !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), unavailable.Missing[19].String()) {
			t.Errorf("%s: %v", c.reason, err)
		}
	}
}

func TestCompleteBudget(t *testing.T) {
	srv := serve(t)
	root := makeTree(t, srv.store, 5, 20, text)
	for _, scope := range []exchange.Scope{{MaxBlocks: 50}, {MaxBytes: 500}} {
		_, err := exchange.Complete(t.Context(), fetcher(t, store.NewMemory(), srv), root, nil, scope)
		if !errors.Is(err, exchange.ErrBudget) {
			t.Errorf("%+v: %v", scope, err)
		}
	}
	if _, err := exchange.Complete(t.Context(), fetcher(t, store.NewMemory(), srv), root, nil, exchange.Scope{MaxBlocks: 106, MaxBytes: 1 << 20}); err != nil {
		t.Errorf("enough: %v", err)
	}
}

func TestCompleteMalformed(t *testing.T) {
	for _, b := range []store.Block{
		store.NewBlock(cid.DagCBOR, []byte{0xff}),
		store.NewBlock(cid.DagProtobuf, []byte{0xff}),
		store.NewBlock(cid.DagJSON, []byte("{}")),
	} {
		_, err := exchange.Complete(t.Context(), fetcher(t, store.NewMemory(), serve(t, b)), b.Cid, nil, exchange.Scope{})
		if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), b.Cid.String()) {
			t.Errorf("%s: %v", b.Cid, err)
		}
	}
}

func TestCompleteCancelled(t *testing.T) {
	b := storetest.Blocks(20, 1, 10)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := exchange.Complete(ctx, fetcher(t, store.NewMemory(), hang(t)), b.Cid, nil, exchange.Scope{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func BenchmarkCompleteDifference(b *testing.B) {
	for _, folders := range []int{1, 10} {
		b.Run(fmt.Sprint(folders, "0000 files"), func(b *testing.B) {
			st := store.NewMemory()
			known := makeTree(b, st, folders, 10000, text)
			root := makeTree(b, st, folders, 10000, func(folder, file int) []byte {
				if file%(100*folders) == 7 {
					return []byte("changed")
				}
				return text(folder, file)
			})
			for b.Loop() {
				f := exchange.NewFetcher(st, nil, exchange.Options{})
				if _, err := exchange.Complete(b.Context(), f, root, []cid.Cid{known}, exchange.Scope{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkComplete fetches 10,000 blocks of 4 KiB from a server on this machine into an embedded
// store.
func BenchmarkComplete(b *testing.B) {
	srv := serve(b)
	root := makeTree(b, srv.store, 100, 100, func(folder, file int) []byte {
		return bytes.Repeat(text(folder, file), 4096/len(text(folder, file)))
	})
	for b.Loop() {
		b.StopTimer()
		db, err := sqlite.Open(filepath.Join(b.TempDir(), "db"))
		if err != nil {
			b.Fatal(err)
		}
		st, err := embedded.New(db, b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		f := fetcher(b, st, srv)
		_, err = exchange.Complete(b.Context(), f, root, nil, exchange.Scope{})
		if err := errors.Join(err, f.Commit(b.Context()), f.Close(), st.Close(), db.Close()); err != nil {
			b.Fatal(err)
		}
	}
}
