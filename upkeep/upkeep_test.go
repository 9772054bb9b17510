package upkeep

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archivecache/internal/sqlite"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

func newRepo(t *testing.T) *repo.Repo {
	t.Helper()
	r, err := repo.Initialize(t.Context(), filepath.Join(t.TempDir(), "r"), nil, repo.Place{})
	if err == nil {
		err = r.Close() // who has written cannot sweep
	}
	if err != nil {
		t.Fatal(err)
	}
	return open(t, r.Dir())
}

func open(t *testing.T, dir string) *repo.Repo {
	t.Helper()
	r, err := repo.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// spoil changes the bytes of a small block on the disk.
func spoil(t *testing.T, r *repo.Repo, c cid.Cid) {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(r.Dir(), "repository.db"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := store.DigestOf(c)
	if err == nil {
		err = db.Write(t.Context(), true, func(c *sqlite3.Conn) error {
			q, err := sqlite.Stmt(c, "UPDATE block SET data = zeroblob(length) WHERE hash = ?")
			return errors.Join(err, q.BindBlob(1, d[:]), q.Exec())
		})
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestCollectRefuses does not collect where a damaged block hides what is needed.
func TestCollectRefuses(t *testing.T) {
	r := newRepo(t)
	root, err := r.Log(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, r, root[0].Root)
	mismatch := (*store.MismatchError)(nil)
	if _, err := Collect(t.Context(), r, 0); !errors.As(err, &mismatch) || !mismatch.Cid.Equals(root[0].Root) {
		t.Errorf("a collection below a damaged block: %v", err)
	}
	if _, err := Measure(t.Context(), r, 0); !errors.As(err, &mismatch) {
		t.Errorf("a dry run below a damaged block: %v", err)
	}
	var problems []Problem
	done, err := Check(t.Context(), r, func(p Problem) error { problems = append(problems, p); return nil })
	if err != nil || len(problems) != 1 || done.Problems != 1 || len(done.Damaged) != 1 {
		t.Fatalf("%+v, %+v: %v", done, problems, err)
	}
	if p := problems[0]; p.Kind != "damaged" || !p.Cid.Equals(root[0].Root) || p.Path != "root" || !strings.Contains(p.Text, "do not match the hash") {
		t.Errorf("the problem is %+v", p)
	}
}

// TestCollect drops what nothing points to, and damaged garbage as well; what was put since it
// began stays.
func TestCollect(t *testing.T) {
	r := newRepo(t)
	blocks := storetest.Blocks(1, 4, 100)
	writer := open(t, r.Dir())
	storetest.Put(t, writer.Store(), blocks...)
	if err := writer.RecordImport(t.Context(), []cid.Cid{blocks[0].Cid}); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	spoil(t, r, blocks[1].Cid)
	measured, err := Measure(t.Context(), r, time.Hour)
	if err != nil || measured.Blocks != 3 || measured.Bytes != 300 {
		t.Fatalf("measured %+v: %v", measured, err)
	}
	l := &live{repo: r, since: time.Now().Add(-time.Hour)}
	if err := l.add(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := open(t, r.Dir())
	if err := errors.Join(late.RecordImport(t.Context(), []cid.Cid{blocks[2].Cid}), late.Close()); err != nil {
		t.Fatal(err)
	}
	swept, err := r.Sweep(t.Context(), l.since, func() error { return l.add(t.Context()) }, l.set.Has)
	if err != nil || swept.Blocks != 2 {
		t.Fatalf("swept %+v: %v", swept, err)
	}
	storetest.Want(t, r.Store(), blocks[0], blocks[2])
	if done, err := Collect(t.Context(), r, -time.Hour); err != nil || done.Blocks != 2 {
		t.Errorf("without imports: %+v, %v", done, err)
	}
}
