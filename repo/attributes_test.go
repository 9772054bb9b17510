package repo

import (
	"context"
	"testing"
	"time"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// TestAttributes sets, moves and forgets attributes, of things and of what is below them.
func TestAttributes(t *testing.T) {
	r := newRepo(t)
	c := store.Sum(cid.Raw, []byte("x"))
	at := time.Unix(12, 345)
	before, err := r.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	change := func(fn func(tx *Tx)) {
		t.Helper()
		err := r.Update(t.Context(), "test", func(_ context.Context, tx *Tx) error { fn(tx); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(dir string, names ...string) {
		t.Helper()
		found, err := r.Attributes(t.Context(), dir)
		if err != nil || len(found) != len(names) {
			t.Fatalf("%s has %v, %v, and should have %v", dir, found, err, names)
		}
		for _, name := range names {
			if a := found[name]; a.Mode != 0o640 || !a.Mtime.Equal(at) {
				t.Errorf("%s/%s has %v", dir, name, a)
			}
		}
	}
	set := func(tx *Tx, dir, name string) {
		tx.SetAttributes(dir, name, Attributes{Cid: c, Mode: 0o640, Mtime: at})
	}
	change(func(tx *Tx) {
		for _, dir := range []string{"root", "root/d", "root/d/e", "root/d.x", "root/d\xff", "root/f"} {
			set(tx, dir, "a")
			set(tx, dir, "d")
		}
	})
	change(func(tx *Tx) { tx.MoveAttributes("root", "d", "root/f", "g") })
	want("root", "a")
	want("root/d")
	want("root/f", "a", "d", "g")
	want("root/f/g", "a", "d")
	want("root/f/g/e", "a", "d")
	want("root/d.x", "a", "d")
	want("root/d\xff", "a", "d")
	change(func(tx *Tx) { tx.ForgetAttributes("root", "f") })
	want("root/f")
	want("root/f/g")
	want("root/f/g/e")
	want("root", "a")
	since, err := r.AttributesSince(t.Context(), before)
	if err != nil || len(since) != 5 {
		t.Errorf("%d are recorded since, %v: %v", len(since), err, since)
	}
	now, err := r.Head(t.Context())
	if err != nil || now.Entry != before.Entry || now == before {
		t.Errorf("the head was %v, and is %v: %v", before, now, err)
	}
	if since, err = r.AttributesSince(t.Context(), now); err != nil || len(since) != 0 {
		t.Errorf("%v are recorded since, %v", since, err)
	}
}

// TestFarTimes keeps times that fit, and of others on which side of 1970 they are.
func TestFarTimes(t *testing.T) {
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(-1, 5), time.Date(2250, 1, 1, 0, 0, 0, 7, time.UTC)} {
		if got := time.Unix(0, nanoseconds(at)); !got.Equal(at) {
			t.Errorf("%v is kept as %v", at, got)
		}
	}
	for _, at := range []time.Time{{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := time.Unix(0, nanoseconds(at)); got.Unix() < 0 != (at.Unix() < 0) {
			t.Errorf("%v is kept as %v", at, got)
		}
	}
}
