package tiered_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/embedded"
	"archivecache/store/storetest"
	"archivecache/store/tiered"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// elsewhere is a Remote in another embedded store.
type elsewhere struct{ *embedded.Store }

func (e elsewhere) Close() error { return nil } // its test closes it

// place is where a test has its two tiers.
type place struct {
	db     *sqlite.DB
	local  *embedded.Store
	remote *embedded.Store
}

func newPlace(t *testing.T) place {
	open := func(name string) (*sqlite.DB, *embedded.Store) {
		db, err := sqlite.Open(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		s, err := embedded.New(db, filepath.Join(t.TempDir(), name+".segments"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(s.Close(), db.Close()); err != nil {
				t.Error(err)
			}
		})
		return db, s
	}
	var p place
	p.db, p.local = open("local")
	_, p.remote = open("remote")
	if err := p.db.Write(t.Context(), true, func(c *sqlite3.Conn) error { return c.Exec(tiered.Schema) }); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p place) open() *tiered.Store {
	return tiered.New(p.db, p.local, func(context.Context) (tiered.Remote, error) { return elsewhere{p.remote}, nil })
}

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) store.Store { return newPlace(t).open() })
	storetest.TestShared(t, func(t *testing.T) (a, b store.Store) {
		p := newPlace(t)
		return p.open(), p.open()
	})
}

// TestTiers puts a block with links and one without: the first is in both tiers.
func TestTiers(t *testing.T) {
	ctx, p := t.Context(), newPlace(t)
	node, leaf := store.NewBlock(cid.DagCBOR, []byte{0xa0}), store.NewBlock(cid.Raw, []byte("leaf"))
	s := p.open()
	storetest.Put(t, s, node, leaf)
	storetest.Want(t, p.remote, node, leaf)
	storetest.Want(t, p.local, node)
	if _, err := p.local.Get(ctx, leaf.Cid); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a leaf in the upper tier: %v", err)
	}
	offline := tiered.New(p.db, p.local, func(context.Context) (tiered.Remote, error) { return nil, errors.New("no daemon") })
	storetest.Want(t, offline, node)
	if _, err := offline.Get(ctx, leaf.Cid); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("a leaf without the remote: %v; want an error that is not that it is missing", err)
	}
}

// TestOthersBlocks looks for a block that somebody else has put into the remote.
func TestOthersBlocks(t *testing.T) {
	p := newPlace(t)
	b := storetest.Blocks(1, 1, 100)[0]
	storetest.Put(t, p.remote, b)
	has, err := p.open().Has(t.Context(), []cid.Cid{b.Cid})
	if err != nil || has[0] {
		t.Errorf("has %v, %v; want no, since others may take it away", has, err)
	}
}

// TestCommitWith has what fn does undone, with its error, and done with the next commit.
func TestCommitWith(t *testing.T) {
	ctx, p := t.Context(), newPlace(t)
	s := p.open()
	b := storetest.Blocks(1, 1, 100)[0]
	w := s.NewWriter()
	defer w.Close()
	if err := w.Put(ctx, b); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	if err := w.CommitWith(ctx, func(*sqlite3.Conn) error { return no }); !errors.Is(err, no) {
		t.Fatalf("commit: %v", err)
	}
	if has, err := s.Has(ctx, []cid.Cid{b.Cid}); err != nil || has[0] {
		t.Errorf("after a commit that failed: %v, %v", has, err)
	}
	if err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	storetest.Want(t, s, b)
}

// TestMany writes more blocks than one batch has.
func TestMany(t *testing.T) {
	s := newPlace(t).open()
	blocks := storetest.Blocks(7, 70_000, 8)
	storetest.Put(t, s, blocks...)
	storetest.Want(t, s, blocks[:100]...)
	storetest.Want(t, s, blocks[len(blocks)-100:]...)
}
