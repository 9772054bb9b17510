package repo

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"archivecache/store"
	"archivecache/store/storetest"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

func openAgain(t *testing.T, dir string) *Repo {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func newRepo(t *testing.T) *Repo {
	t.Helper()
	r, err := Initialize(t.Context(), filepath.Join(t.TempDir(), "r"), nil, Place{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func setValue(t *testing.T, r *Repo, value string) {
	t.Helper()
	err := r.Update(t.Context(), "set-value", func(ctx context.Context, tx *Tx) error {
		return tx.SetValue(ctx, path.MustParse("scratch/x"), []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sweepNothing(ctx context.Context, r *Repo) error {
	_, err := r.Sweep(ctx, time.Unix(0, 0), func() error { return nil }, func(store.Digest) bool { return true })
	return err
}

// TestSweepWaits has a sweep meet a writer, of this process and of another, and a writer meet a
// sweep.
func TestSweepWaits(t *testing.T) {
	defer func(s, w time.Duration) { sweepWait, writeWait = s, w }(sweepWait, writeWait)
	sweepWait, writeWait = time.Millisecond, time.Millisecond
	r := newRepo(t) // it has written
	if err := sweepNothing(t.Context(), r); !errors.Is(err, ErrWriting) {
		t.Errorf("a sweep of what writes itself: %v", err)
	}
	other := openAgain(t, r.Dir())
	if err := sweepNothing(t.Context(), other); !errors.Is(err, ErrWriting) {
		t.Errorf("a sweep beside a writer: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sweepNothing(t.Context(), other); err != nil {
		t.Errorf("a sweep when nobody writes: %v", err)
	}
	late := openAgain(t, r.Dir())
	_, err := other.Sweep(t.Context(), time.Unix(0, 0), func() error {
		w := late.Store().Writer()
		defer w.Close()
		if err := w.Put(t.Context(), storetest.Blocks(1, 1, 100)[0]); !errors.Is(err, ErrSweeping) {
			t.Errorf("a block beside a sweep: %v", err)
		}
		if err := late.BeginWriting(t.Context()); !errors.Is(err, ErrSweeping) {
			t.Errorf("a writer beside a sweep: %v", err)
		}
		_, err := late.Head(t.Context()) // who reads does not wait
		return err
	}, func(store.Digest) bool { return true })
	if err != nil {
		t.Error(err)
	}
	setValue(t, late, "1")
	setValue(t, other, "2")
}

// TestForgetMeetsUndo forgets what an undo is about to bring back.
func TestForgetMeetsUndo(t *testing.T) {
	r := newRepo(t)
	for _, v := range []string{"1", "2", "3"} {
		setValue(t, r, v)
	}
	tries := 0
	err := r.Update(t.Context(), "undo", func(ctx context.Context, tx *Tx) error {
		if tries++; tries == 1 {
			if n, err := r.ForgetAllBut(ctx, 1); err != nil || n != 3 {
				t.Errorf("forgot %d versions: %v", n, err)
			}
		}
		undone, err := r.toUndo(ctx, tx.head, 3)
		if err != nil {
			return err
		}
		tx.undoes = undone.ID
		return nil
	})
	if !errors.Is(err, ErrForgotten) {
		t.Errorf("an undo of what is forgotten: %v", err)
	}
	if _, err := r.Undo(t.Context(), 0); !errors.Is(err, ErrForgotten) {
		t.Errorf("another one: %v", err)
	}
	if n, err := r.ForgetAllBut(t.Context(), 5); err != nil || n != 0 {
		t.Errorf("forgot %d versions more: %v", n, err)
	}
	setValue(t, r, "4")
	if _, err := r.Undo(t.Context(), 0); err != nil {
		t.Errorf("an undo of what came later: %v", err)
	}
}

// TestForgetKeepsUndos asks which merges are in effect, before and after the log is cut.
func TestForgetKeepsUndos(t *testing.T) {
	r := newRepo(t)
	for _, v := range []string{"1", "2", "3", "4"} { // entries 2 to 5
		setValue(t, r, v)
	}
	if _, err := r.Undo(t.Context(), 3); err != nil { // entry 6
		t.Fatal(err)
	}
	setValue(t, r, "5")
	last := func() (undo, undoes int64) {
		err := r.db.Read(t.Context(), func(c *sqlite3.Conn) (err error) {
			undo, undoes, err = lastUndo(c, 7)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return undo, undoes
	}
	if _, err := r.ForgetBefore(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if undo, undoes := last(); undo != 6 || undoes != 3 {
		t.Errorf("the last undo is %d, of %d, and it should be 6, of 3", undo, undoes)
	}
}

// TestOlderTables opens repositories of programs that did not know all tables.
func TestOlderTables(t *testing.T) {
	for _, lacks := range []string{
		"DROP TABLE attribute", "DROP TABLE attribute; DROP TABLE pinning",
		"DROP TABLE attribute; DROP TABLE pinning; DROP TABLE undone; DROP TABLE imported",
	} {
		openOlder(t, lacks)
	}
}

func openOlder(t *testing.T, lacks string) {
	r := newRepo(t)
	setValue(t, r, "1")
	err := r.db.Write(t.Context(), true, func(c *sqlite3.Conn) error { return c.Exec(lacks) })
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	again := openAgain(t, r.Dir())
	if err := again.RecordImport(t.Context(), []cid.Cid{storetest.Blocks(1, 1, 10)[0].Cid}); err != nil {
		t.Error(err)
	}
	if n, err := again.ForgetAllBut(t.Context(), 1); err != nil || n != 1 {
		t.Errorf("forgot %d versions: %v", n, err)
	}
	if services, err := again.PinningServices(t.Context()); err != nil || len(services) != 0 {
		t.Errorf("pinning services %v: %v", services, err)
	}
	if found, err := again.Attributes(t.Context(), "root/x"); err != nil || len(found) != 0 {
		t.Errorf("attributes %v: %v", found, err)
	}
}

// TestRoots expects imports by their age.
func TestRoots(t *testing.T) {
	r := newRepo(t)
	imported := storetest.Blocks(1, 1, 10)[0].Cid
	if err := r.RecordImport(t.Context(), []cid.Cid{imported}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		since time.Time
		want  bool
	}{{time.Now().Add(-time.Hour), true}, {time.Now().Add(time.Hour), false}} {
		found := map[cid.Cid]bool{}
		if err := r.Roots(t.Context(), test.since, func(c cid.Cid) error { found[c] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		head, err := r.Head(t.Context())
		if err != nil || !found[head.Cid] || found[imported] != test.want {
			t.Errorf("since %v: %v, %v", test.since, found, err)
		}
	}
}
