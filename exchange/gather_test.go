package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"archivecache/exchange"
	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// networked is a store that can fetch by itself what stands elsewhere.
type networked struct {
	*store.Memory
	elsewhere *store.Memory
	fail      error
	gathered  int   // blocks
	asked     int   // blocks, one by one
	bytes     int64 // as it was said
}

func (n *networked) Writer() store.Writer { return &networkedWriter{n.Memory.Writer(), n} }

// source is the network for blocks one by one.
func (n *networked) source() exchange.Source {
	return exchange.Source{Who: "network", Get: func(ctx context.Context, c cid.Cid) ([]byte, error) {
		n.asked++
		return n.elsewhere.Get(ctx, c)
	}}
}

type networkedWriter struct {
	store.Writer
	n *networked
}

func (w *networkedWriter) Gather(ctx context.Context, blocks []store.Sized, _ time.Duration, progress func(int)) error {
	for i, b := range blocks {
		if w.n.fail != nil && i > len(blocks)/2 {
			return w.n.fail
		}
		data, err := w.n.elsewhere.Get(ctx, b.Cid)
		if err == nil {
			err = w.Put(ctx, store.Block{Cid: b.Cid, Data: data})
		}
		if err != nil {
			return err
		}
		w.n.gathered, w.n.bytes = w.n.gathered+1, w.n.bytes+int64(b.Size)
		progress(i + 1)
	}
	return nil
}

// folderOf puts a folder with so many files of 100 bytes into a store.
func folderOf(t *testing.T, st store.Store, files int) cid.Cid {
	t.Helper()
	return put(t, st, func(w store.Writer) (cid.Cid, error) {
		var entries []unixfs.Entry
		for i := range files {
			b := store.NewBlock(cid.Raw, fmt.Appendf(nil, "%0100d", i))
			if err := w.Put(t.Context(), b); err != nil {
				return cid.Undef, err
			}
			entries = append(entries, unixfs.Entry{Name: fmt.Sprint(i), Cid: b.Cid, Tsize: 100})
		}
		e, err := unixfs.Build(t.Context(), w, entries)
		return e.Cid, err
	})
}

// TestGather completes a folder whose files the store fetches by itself.
func TestGather(t *testing.T) {
	const files = 10_000
	elsewhere := store.NewMemory()
	root := folderOf(t, elsewhere, files)
	away := errors.New("the network is gone")
	for name, c := range map[string]struct {
		fail     error
		maxBytes int64
		others   bool // there is somebody who serves by HTTP
		few      bool
		gathered bool
		err      error
	}{
		"all":                   {gathered: true},
		"within the budget":     {maxBytes: 100*files + 4<<20, gathered: true},
		"beyond the budget":     {maxBytes: 50 * files, err: exchange.ErrBudget},
		"the store gives up":    {fail: away},
		"others serve":          {others: true},
		"it is not worth while": {few: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := &networked{Memory: store.NewMemory(), elsewhere: elsewhere, fail: c.fail}
			from := root
			if c.few {
				from = folderOf(t, elsewhere, 15)
			}
			sources := []exchange.Source{n.source()}
			if c.others {
				sources = append(sources, exchange.Source{Address: address(t, serve(t).url)})
			}
			f := exchange.NewFetcher(n, sources, exchange.Options{Parallel: 1})
			defer f.Close()
			stats, err := exchange.Complete(t.Context(), f, from, nil, exchange.Scope{MaxBytes: c.maxBytes})
			if !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			if c.err != nil {
				return
			}
			if stats.Fetched != stats.Blocks || stats.Bytes < stats.Blocks*90 {
				t.Errorf("stats %+v", stats)
			}
			// A few leaves that are left at the end of a level are not worth while.
			if c.gathered != (n.gathered > files-16) || c.gathered && (n.bytes != int64(100*n.gathered) || n.asked+n.gathered != int(stats.Blocks)) {
				t.Errorf("%d blocks of %d bytes gathered, %d asked for", n.gathered, n.bytes, n.asked)
			}
			// What was gathered is there before the commit, too, and is not gathered again.
			before := n.gathered + n.asked
			if again, err := exchange.Complete(t.Context(), f, from, nil, exchange.Scope{}); err != nil || again.Fetched != 0 || n.gathered+n.asked != before {
				t.Errorf("again: %+v, %v", again, err)
			}
			if err := f.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			none := exchange.NewFetcher(n, nil, exchange.Options{})
			defer none.Close()
			if _, err := exchange.Complete(t.Context(), none, from, nil, exchange.Scope{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGatherAlone gathers what is missing below nodes that are all here: there is nothing else to
// commit.
func TestGatherAlone(t *testing.T) {
	n := &networked{Memory: store.NewMemory(), elsewhere: store.NewMemory()}
	root := folderOf(t, n.elsewhere, 100)
	for _, scope := range []exchange.Scope{{MetadataOnly: true}, {}} {
		f := exchange.NewFetcher(n, []exchange.Source{n.source()}, exchange.Options{Parallel: 1})
		if _, err := exchange.Complete(t.Context(), f, root, nil, scope); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Commit(t.Context()), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if n.gathered != 100 {
		t.Errorf("%d blocks gathered", n.gathered)
	}
	f := exchange.NewFetcher(n, nil, exchange.Options{})
	defer f.Close()
	if _, err := exchange.Complete(t.Context(), f, root, nil, exchange.Scope{}); err != nil {
		t.Error(err)
	}
}
