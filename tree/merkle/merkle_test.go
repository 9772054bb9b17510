package merkle_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

func value(t interface{ Fatal(...any) }, v any) dagcbor.Raw {
	data, err := dagcbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// build returns the root of the map with the given contents, set in the given order.
func build(t *rapid.T, blocks store.Blocks, contents map[string]int, order []string) cid.Cid {
	m := merkle.NewMap(blocks, merkle.Whole, cid.Undef)
	for _, k := range order {
		if err := m.Set(context.Background(), []byte(k), value(t, contents[k])); err != nil {
			t.Fatal(err)
		}
	}
	c, err := m.Flush(context.Background(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMapIsItsContents edits a map at random, in several sittings, beside a Go map, and checks
// that contents, length and CID are those of a map that was built at once.
func TestMapIsItsContents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		blocks := store.NewOverlay(store.NewMemory())
		model := map[string]int{}
		root := cid.Undef
		for range rapid.IntRange(1, 4).Draw(t, "sittings") {
			m := merkle.NewMap(blocks, merkle.Whole, root)
			for range rapid.IntRange(0, 120).Draw(t, "edits") {
				key := fmt.Sprint(rapid.IntRange(0, 150).Draw(t, "key"))
				var err error
				if rapid.IntRange(0, 2).Draw(t, "what") == 0 {
					delete(model, key)
					err = m.Delete(ctx, []byte(key))
				} else {
					model[key] = rapid.IntRange(0, 3).Draw(t, "value")
					err = m.Set(ctx, []byte(key), value(t, model[key]))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if root, err = m.Flush(ctx, blocks); err != nil {
				t.Fatal(err)
			}
			if n, err := m.Len(ctx); err != nil || n != len(model) {
				t.Fatalf("length %d, %v; want %d", n, err, len(model))
			}
		}
		order := slices.Sorted(maps.Keys(model))
		if rapid.Bool().Draw(t, "backwards") {
			slices.Reverse(order)
		}
		if again := build(t, blocks, model, order); !again.Equals(root) {
			t.Fatalf("edited to %s, built at once %s", root, again)
		}
		checkContents(t, blocks, root, model)
	})
}

func checkContents(t *rapid.T, blocks store.Blocks, root cid.Cid, model map[string]int) {
	ctx := context.Background()
	m := merkle.NewMap(blocks, merkle.Whole, root)
	seen := 0
	err := m.Each(ctx, func(key []byte, v dagcbor.Raw) error {
		seen++
		if !bytes.Equal(v, value(t, model[string(key)])) {
			t.Errorf("%s holds %x", key, v)
		}
		if got, ok, err := m.Get(ctx, key); err != nil || !ok || !bytes.Equal(got, v) {
			t.Errorf("Get(%s) = %x, %v, %v", key, got, ok, err)
		}
		return nil
	})
	if err != nil || seen != len(model) {
		t.Fatalf("%d entries, %v; want %d", seen, err, len(model))
	}
}

func TestDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := store.NewOverlay(store.NewMemory())
		numbers := rapid.MapOf(rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "key"))
		}), rapid.IntRange(0, 2))
		a, b := numbers.Draw(t, "a"), numbers.Draw(t, "b")
		want := map[string]bool{}
		for k, v := range a {
			if w, ok := b[k]; !ok || v != w {
				want[k] = true
			}
		}
		for k := range b {
			if _, ok := a[k]; !ok {
				want[k] = true
			}
		}
		ra := build(t, blocks, a, slices.Collect(maps.Keys(a)))
		rb := build(t, blocks, b, slices.Collect(maps.Keys(b)))
		err := merkle.Diff(context.Background(), blocks, merkle.Whole, ra, rb, func(k []byte, old, new dagcbor.Raw) error {
			if !want[string(k)] {
				t.Errorf("%s is reported and does not differ, or twice", k)
			}
			delete(want, string(k))
			if _, ok := a[string(k)]; ok != (old != nil) {
				t.Errorf("%s: old %x", k, old)
			}
			if _, ok := b[string(k)]; ok != (new != nil) {
				t.Errorf("%s: new %x", k, new)
			}
			return nil
		})
		if err != nil || len(want) > 0 {
			t.Errorf("%v; not reported: %v", err, want)
		}
	})
}

func TestEachWith(t *testing.T) {
	ctx := context.Background()
	blocks := store.NewMemory().Writer()
	m := merkle.NewMap(nil, merkle.Split(2), cid.Undef)
	for i := range 300 {
		key := fmt.Appendf(nil, "%02d%d", i%7, i)
		if err := m.Set(ctx, key, value(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Flush(ctx, blocks); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		n := 0
		err := m.EachWith(ctx, fmt.Appendf(nil, "%02d", i), func([]byte, dagcbor.Raw) error { n++; return nil })
		want := (300 - i + 6) / 7
		if i == 7 {
			want = 0
		}
		if err != nil || n != want {
			t.Errorf("%d entries under %02d, %v; want %d", n, i, err, want)
		}
	}
}

// TestHostileMap gives the reader a block that stands below itself at every digit, or entries
// at places that are not theirs.
func TestHostileMap(t *testing.T) {
	ctx := context.Background()
	blocks := store.NewOverlay(store.NewMemory())
	put := func(v any) cid.Cid {
		c, err := merkle.PutNode(ctx, blocks, v)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	type m = map[string]any
	c := put(m{"entries": []any{[]any{[]byte("key"), 1}}})
	for range 40 {
		links := slices.Repeat([]any{dagcbor.Link{Cid: c}}, 16)
		c = put(m{"count": uint64(1 << 40), "children": m{"digits": uint64(1<<16 - 1), "links": links}})
	}
	entries := 0
	err := merkle.NewMap(blocks, merkle.Whole, c).Each(ctx, func([]byte, dagcbor.Raw) error { entries++; return nil })
	if err == nil || entries > 1 {
		t.Errorf("a map that unfolds to 2^160 entries: %d entries, %v", entries, err)
	}
	for name, bad := range map[string]any{
		"no links":         m{"count": 20, "children": m{"digits": 0, "links": []any{}}},
		"too many digits":  m{"count": 20, "children": m{"digits": uint64(3), "links": []any{dagcbor.Link{Cid: c}}}},
		"small branch":     m{"count": 1, "children": m{"digits": uint64(1), "links": []any{dagcbor.Link{Cid: c}}}},
		"unknown field":    m{"entries": []any{}, "x": 1},
		"keys out of turn": m{"entries": []any{[]any{[]byte("b"), 1}, []any{[]byte("a"), 1}}},
	} {
		_, err := merkle.NewMap(blocks, merkle.Whole, put(bad)).Len(ctx)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLog(t *testing.T) {
	ctx := context.Background()
	blocks := store.NewOverlay(store.NewMemory())
	hash := func(i uint64) []byte { h := sha256.Sum256(fmt.Append(nil, i)); return h[:] }
	var l merkle.Log
	checked := []uint64{1, 2, 31, 32, 33, 64, 65, 1023, 1024, 1025, 1100, 2100}
	for i := range uint64(2100) {
		var err error
		if l, err = l.Append(ctx, blocks, hash(i)); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(checked, l.Length) {
			continue
		}
		again, err := merkle.OpenLog(ctx, blocks, l.Root)
		if err != nil || again != l {
			t.Fatalf("reopened at %d: %v, %v", l.Length, again, err)
		}
		for j := range l.Length {
			if h, err := again.At(ctx, blocks, j); err != nil || !bytes.Equal(h, hash(j)) {
				t.Fatalf("length %d, entry %d: %x, %v", l.Length, j, h, err)
			}
		}
		if _, err := again.At(ctx, blocks, l.Length); err == nil {
			t.Errorf("length %d: an entry behind the end", l.Length)
		}
	}
}

// TestExtends compares logs of many lengths that are the same up to some place.
func TestExtends(t *testing.T) {
	ctx := context.Background()
	blocks := store.NewOverlay(store.NewMemory())
	hash := func(side string, i uint64) []byte { h := sha256.Sum256(fmt.Append(nil, side, i)); return h[:] }
	const parting, end = 1030, 1100
	logs := map[string][]merkle.Log{"a": {{}}, "b": {{}}}
	for side := range logs {
		for i := range uint64(end) {
			h := hash("both", i)
			if i >= parting {
				h = hash(side, i)
			}
			l, err := logs[side][i].Append(ctx, blocks, h)
			if err != nil {
				t.Fatal(err)
			}
			logs[side] = append(logs[side], l)
		}
	}
	lengths := []int{0, 1, 2, 31, 32, 33, 63, 64, 65, 1000, 1023, 1024, 1025, 1029, 1030, 1031, 1055, 1056, 1057, 1100}
	for _, long := range lengths {
		for _, short := range lengths {
			for _, side := range []string{"a", "b"} {
				want := short <= long && (side == "a" || short <= parting)
				got, err := logs["a"][long].Extends(ctx, blocks, logs[side][short])
				if err != nil || got != want {
					t.Errorf("length %d extends %d of side %s: %v, %v", long, short, side, got, err)
				}
			}
		}
	}
}

// FuzzNode reads a block as a map and as a log.
func FuzzNode(f *testing.F) {
	type m = map[string]any
	for _, v := range []any{
		m{"entries": []any{[]any{[]byte("key"), 1}}},
		m{"entries": []any{}},
		m{"count": 20, "children": m{"digits": 1, "links": []any{dagcbor.Link{Cid: store.Sum(cid.DagCBOR, nil)}}}},
		m{"length": 1, "hashes": []any{make([]byte, 32)}},
		m{"length": 33, "nodes": []any{dagcbor.Link{Cid: store.Sum(cid.DagCBOR, nil)}, dagcbor.Link{Cid: store.Sum(cid.DagCBOR, nil)}}},
	} {
		f.Add([]byte(value(f, v)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx := t.Context()
		blocks := store.NewOverlay(store.NewMemory())
		b := store.NewBlock(cid.DagCBOR, data)
		if err := blocks.Put(ctx, b); err != nil {
			return // larger than a block may be
		}
		again := merkle.NewMap(nil, merkle.Whole, cid.Undef)
		err := merkle.NewMap(blocks, merkle.Whole, b.Cid).Each(ctx, func(k []byte, v dagcbor.Raw) error { return again.Set(ctx, k, v) })
		if err == nil {
			if c, err := again.Flush(ctx, blocks); err != nil || !c.Equals(b.Cid) {
				t.Errorf("%x is read as a map that is written as %s, %v", data, c, err)
			}
		}
		if l, err := merkle.OpenLog(ctx, blocks, b.Cid); err == nil {
			for _, i := range []uint64{0, 1, 31, 32, l.Length - 1} {
				_, _ = l.At(ctx, blocks, i)
			}
			_, _ = l.Extends(ctx, blocks, l)
			_, _ = l.Append(ctx, blocks, make([]byte, 32))
		}
	})
}
