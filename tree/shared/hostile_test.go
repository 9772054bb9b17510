package shared

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"archivecache/dagcbor"
	"archivecache/tree/merkle"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

func TestRecordsRefused(t *testing.T) {
	type m = map[string]any
	id := bytes.Repeat([]byte{1}, versionSize)
	for name, bad := range map[string]any{
		"nothing in it":             m{},
		"a short nonce":             m{"nonce": []byte{1}},
		"a long nonce":              m{"nonce": bytes.Repeat([]byte{1}, 17)},
		"an empty nonce":            m{"nonce": []byte{}},
		"met that is false":         m{"met": false},
		"no marks, as a list":       m{"hides": []any{}},
		"a mark on nothing":         m{"hides": []any{m{}}},
		"a short version":           m{"hides": []any{m{"version": id[1:]}}},
		"a short by":                m{"hides": []any{m{"version": id, "by": id[1:]}}},
		"an empty by":               m{"hides": []any{m{"version": id, "by": []byte{}}}},
		"an unknown field":          m{"met": true, "x": 1},
		"an unknown field in marks": m{"hides": []any{m{"version": id, "x": 1}}},
		"a field in capitals":       m{"Met": true},
		"another type":              m{"met": 1},
		"no map":                    []any{true},
		"null":                      nil,
		"a link to nothing":         m{"below": []byte("x")},
	} {
		data, err := dagcbor.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := decodeRecord(data); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
		w := newWorld(t)
		tree := merkle.NewMap(w.blocks, merkle.Whole, cid.Undef)
		w.must(tree.Set(t.Context(), []byte("f"), data))
		root, err := tree.Flush(t.Context(), w.blocks)
		w.must(err)
		d := Directory{ID: w.id, Layers: []Layer{{Author: author(0), Files: w.tree(map[string]string{"f": "1"}).Cid, Marks: root}}}
		if _, err := View(t.Context(), w.blocks, Directory{}, cid.Undef, d); err == nil {
			t.Errorf("%s: there is a view", name)
		}
	}
}

// hostileMarks returns a tree of marks with n marks on versions of one name, each by the one
// before, so that they form one long way, from first to last.
func (w *world) hostileMarks(n int, first, last VersionID) (cid.Cid, record) {
	id := func(i int) VersionID {
		switch i {
		case 0:
			return first
		case n:
			return last
		}
		b := make(VersionID, versionSize)
		binary.BigEndian.PutUint64(b, uint64(i))
		return b
	}
	var r record
	for i := range n {
		r.Hides = append(r.Hides, Mark{Version: id(i + 1), By: id(i)})
	}
	tree := openMarks(w.blocks, cid.Undef)
	w.must(tree.set(context.Background(), "f", r))
	c, err := tree.flush(context.Background(), w.blocks)
	w.must(err)
	return c, r
}

// TestManyMarks gives authors as many marks on one name as they may have, and merges, replaces
// and replays them.
func TestManyMarks(t *testing.T) {
	w := newWorld(t)
	const marks = MaxMarks
	first, err := versionID(author(0), w.id, "f", w.file("0").Cid, nil)
	w.must(err)
	d := Directory{ID: w.id}
	for i := range 10 {
		last, err := versionID(author(i), w.id, "f", w.file(string(rune('a'+i))).Cid, nil)
		w.must(err)
		tree, _ := w.hostileMarks(marks, first, last)
		d.Layers = append(d.Layers, Layer{Author: author(i), Files: w.tree(map[string]string{"f": string(rune('a' + i))}).Cid, Marks: tree})
	}
	start := time.Now()
	view := w.view(d)
	if n := len(w.list(view)); n != 0 {
		t.Errorf("%d of the versions are shown, all are hidden", n)
	}
	_, big := w.hostileMarks(marks, first, first)
	var r record
	r.addMarks(big.Hides)
	r.addMarks(big.Hides)
	if len(r.Hides) != marks {
		t.Errorf("%d marks, want %d", len(r.Hides), marks)
	}
	layer, err := w.editor(d, view, author(60)).Put(t.Context(), []string{"f"}, w.file("new"), true)
	w.must(err)
	if n := len(w.list(w.view(Directory{ID: w.id, Layers: append(d.Layers, layer)}))); n != 1 {
		t.Errorf("%d versions are shown, want the new one", n)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("100,000 marks took %v", took)
	}
}

// TestEndlessMarks unfolds a small set of blocks to a tree of marks with 2^200 names; the time is
// bounded by the caller.
func TestEndlessMarks(t *testing.T) {
	w := newWorld(t)
	below := cid.Undef
	for range 200 {
		tree := openMarks(w.blocks, cid.Undef)
		for _, name := range []string{"a", "b"} {
			w.must(tree.set(t.Context(), name, record{Met: true, Below: linkTo(below)}))
		}
		var err error
		below, err = tree.flush(t.Context(), w.blocks)
		w.must(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := View(ctx, w.blocks, Directory{}, cid.Undef, Directory{ID: w.id, Layers: []Layer{{Author: author(0), Marks: below}}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
}

// TestExecutableDiffers writes the same bytes with and without the executable bit.
func TestExecutableDiffers(t *testing.T) {
	c := newCast(t)
	added, err := unixfs.AddFile(t.Context(), c.blocks, strings.NewReader("1"), unixfs.Attr{Executable: true})
	c.must(err)
	c.put("a", "f", "1")
	c.putEntry("b", "f", unixfs.Entry{Cid: added.Cid, Tsize: added.Tsize}, true)
	c.meet()
	if shown := c.list(c.people[0].view); len(shown) != 2 {
		t.Errorf("shown: %v, want both", shown)
	}
}

func TestVersionIDVector(t *testing.T) {
	const want = "4ac2fde436f248500b0fa769912f93581032f5a521859d68a50bc5036bdf81af"
	id, err := versionID(author(0), author(1), "a/b", author(2), nil)
	if err != nil || id.String() != want {
		t.Errorf("version id %s, %v; want %s", id, err, want)
	}
}

func TestReplayMarks(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := func(b byte) VersionID { return bytes.Repeat([]byte{b}, versionSize) }
	nonce := func(b byte) []byte { return bytes.Repeat([]byte{b}, nonceSize) }
	build := func(records map[string]record) cid.Cid {
		tree := openMarks(w.blocks, cid.Undef)
		for name, r := range records {
			w.must(tree.set(ctx, name, r))
		}
		c, err := tree.flush(ctx, w.blocks)
		w.must(err)
		return c
	}
	base := build(map[string]record{"x": {Nonce: nonce(1)}, "y": {Nonce: nonce(2)}})
	mine := build(map[string]record{
		"x": {Nonce: nonce(1), Hides: []Mark{{Version: id(1)}}},
		"y": {Nonce: nonce(3)},
		"d": {Below: linkTo(build(map[string]record{"f": {Met: true}}))},
	})
	top := build(map[string]record{
		"x": {Nonce: nonce(4), Hides: []Mark{{Version: id(2)}}},
		"y": {Nonce: nonce(2), Met: true},
		"d": {Below: linkTo(build(map[string]record{"g": {Met: true}}))},
	})
	got, err := ReplayMarks(ctx, w.blocks, base, mine, top)
	w.must(err)
	want := build(map[string]record{
		"x": {Nonce: nonce(4), Hides: []Mark{{Version: id(2)}, {Version: id(1)}}},
		"y": {Nonce: nonce(3), Met: true},
		"d": {Below: linkTo(build(map[string]record{"f": {Met: true}, "g": {Met: true}}))},
	})
	if !got.Equals(want) {
		t.Errorf("%+v, want %+v", w.plain(Layer{Marks: got}).marks, w.plain(Layer{Marks: want}).marks)
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range []record{
		{Met: true},
		{Nonce: bytes.Repeat([]byte{1}, nonceSize), Hides: []Mark{{Version: bytes.Repeat([]byte{2}, versionSize)}}},
		{Hides: []Mark{{bytes.Repeat([]byte{2}, versionSize), bytes.Repeat([]byte{3}, versionSize)}}, Below: linkTo(author(0))},
	} {
		data, err := dagcbor.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRecord(data)
		if err != nil {
			return
		}
		again, err := dagcbor.Marshal(r)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x is read and written as %x, %v", data, again, err)
		}
	})
}
