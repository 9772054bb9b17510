package shared

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"archivecache/dagcbor"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// ownOnly returns the layer as it would be if its author had marked nothing but their own versions.
func (w *world) ownOnly(l Layer) Layer {
	l.Marks = w.ownMarks(l.Author, l.Marks, w.list(l.Files), "")
	l.OwnOnly = false
	return l
}

func (w *world) ownMarks(author, tree cid.Cid, files map[string]cid.Cid, prefix string) cid.Cid {
	ctx := context.Background()
	left := openMarks(w.blocks, cid.Undef)
	w.must(openMarks(w.blocks, tree).m.Each(ctx, func(key []byte, data dagcbor.Raw) error {
		r, err := decodeRecord(data)
		w.must(err)
		at := prefix + string(key)
		r.Hides = slices.DeleteFunc(r.Hides, func(m Mark) bool {
			for _, suffix := range []string{"", "/"} {
				if c, ok := files[at+suffix]; ok {
					id, err := versionID(author, w.id, at, c, r.Nonce)
					w.must(err)
					return !bytes.Equal(id, m.Version)
				}
			}
			return true
		})
		if r.Below != nil {
			r.Below = linkTo(w.ownMarks(author, r.Below.Cid, files, at+"/"))
		}
		return left.set(ctx, string(key), r)
	}))
	c, err := left.flush(ctx, w.blocks)
	w.must(err)
	return c
}

// random makes some people edit at random and meet, and returns what they all wrote.
func (g *game) random() Directory {
	for range rapid.IntRange(1, 20).Draw(g.t, "moves") {
		p := rapid.SampledFrom(g.people).Draw(g.t, "person")
		switch rapid.IntRange(0, 5).Draw(g.t, "move") {
		case 0, 1:
			g.delete(p)
		case 2, 3:
			g.put(p)
		default:
			g.sync(p)
		}
	}
	all := Directory{ID: g.id}
	for _, p := range g.people {
		if l := newLevel(g.id, p.known.Layers).of(p.author); !l.absent() {
			all.Layers = append(all.Layers, l)
		}
	}
	return all
}

// TestMarksThatDoNotCount flips whether the marks of authors count. The view is the one of layers
// without those marks, from nothing and from every state before.
func TestMarksThatDoNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGame(t)
		d := g.random()
		before := moment{d, g.view(d)}
		for range 3 {
			now, model := Directory{ID: g.id}, Directory{ID: g.id}
			for _, l := range d.Layers {
				if rapid.IntRange(0, 4).Draw(t, "absent") == 0 {
					continue
				}
				l.OwnOnly = rapid.Bool().Draw(t, "own only")
				now.Layers = append(now.Layers, l)
				if l.OwnOnly {
					l = g.ownOnly(l)
				}
				model.Layers = append(model.Layers, l)
			}
			want := g.view(model)
			if got := g.view(now); !got.Equals(want) {
				t.Fatalf("shown %v\nwithout the marks %v", g.list(got), g.list(want))
			}
			step, err := View(context.Background(), g.blocks, before.d, before.view, now)
			g.must(err)
			if !step.Equals(want) {
				t.Fatalf("from before %v\nfrom nothing %v", g.list(step), g.list(want))
			}
			before = moment{now, want}
		}
	})
}

// TestMarksOfOneWhoDeletesAll has a friend mark everything as deleted.
func TestMarksOfOneWhoDeletesAll(t *testing.T) {
	c := newCast(t)
	c.put("a", "f", "1")
	c.put("a", "d/g", "2")
	c.put("b", "mine", "3")
	c.meet()
	for _, name := range []string{"f", "d"} {
		c.delete("b", name)
	}
	c.meet()
	c.shows("mine=3")
	d := Directory{ID: c.id, Layers: slices.Clone(c.who("a").known.Layers)}
	for i := range d.Layers {
		d.Layers[i].OwnOnly = d.Layers[i].Author.Equals(c.who("b").author)
	}
	view := c.view(d)
	if got := c.list(view); len(got) != 3 {
		t.Errorf("shown %v", got)
	}
	hidden := 0
	c.must(Hidden(context.Background(), c.blocks, d, func(HiddenVersion) error { hidden++; return nil }))
	if hidden > 0 {
		t.Errorf("%d versions are hidden", hidden)
	}
}

// TestMeasure measures layers from nothing and by the difference to others, and counts them.
func TestMeasure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGame(t)
		d := g.random()
		ctx := context.Background()
		for _, l := range d.Layers {
			plain := g.plain(l)
			want, dirs := Size{}, map[string]bool{}
			for p, c := range plain.files {
				if !strings.HasSuffix(p, "/") {
					want = want.Plus(Size{1, g.size(c)})
				}
				for i, r := range p {
					if r == '/' {
						dirs[p[:i]] = true
					}
				}
			}
			want.Entries += uint64(len(dirs))
			got, err := MeasureFiles(ctx, g.blocks, cid.Undef, Size{}, l.Files)
			g.must(err)
			if got != want {
				t.Fatalf("%v: %+v, want %+v", plain.files, got, want)
			}
			marks, err := MeasureMarks(ctx, g.blocks, cid.Undef, Size{}, l.Marks)
			g.must(err)
			for _, other := range d.Layers {
				size, err := MeasureFiles(ctx, g.blocks, cid.Undef, Size{}, other.Files)
				g.must(err)
				if by, err := MeasureFiles(ctx, g.blocks, other.Files, size, l.Files); err != nil || by != want {
					t.Fatalf("by the difference to %v: %+v, %v; want %+v", g.list(other.Files), by, err, want)
				}
				size, err = MeasureMarks(ctx, g.blocks, cid.Undef, Size{}, other.Marks)
				g.must(err)
				if by, err := MeasureMarks(ctx, g.blocks, other.Marks, size, l.Marks); err != nil || by != marks {
					t.Fatalf("marks by the difference: %+v, %v; want %+v", by, err, marks)
				}
			}
			if marks != (Size{Entries: uint64(len(plain.marks))}) {
				t.Fatalf("%d marks: %+v", len(plain.marks), marks)
			}
		}
	})
}

func (w *world) size(c cid.Cid) uint64 {
	data, err := w.blocks.Get(context.Background(), c)
	w.must(err)
	return uint64(len(data))
}

// TestMeasureUnfolding measures 60 directories that stand in each other twice, and links that claim
// more bytes than there are.
func TestMeasureUnfolding(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	d := w.tree(map[string]string{"f": "1"})
	for range 60 {
		var entries []unixfs.Entry
		for _, name := range []string{"a", "b"} {
			entries = append(entries, unixfs.Entry{Name: name, Cid: d.Cid, Tsize: d.Tsize})
		}
		var err error
		d, err = unixfs.Build(ctx, w.blocks, entries)
		w.must(err)
	}
	size, err := MeasureFiles(ctx, w.blocks, cid.Undef, Size{}, d.Cid)
	if want := uint64(1<<60 + 1<<61 - 2); err != nil || size != (Size{want, 1 << 60}) {
		t.Errorf("%+v, %v; want %d", size, err, want)
	}
	leaf := w.file("1")
	big, err := unixfs.Build(ctx, w.blocks, []unixfs.Entry{
		{Name: "a", Cid: leaf.Cid, Tsize: 1 << 63}, {Name: "b", Cid: leaf.Cid, Tsize: 1<<64 - 1},
	})
	w.must(err)
	size, err = MeasureFiles(ctx, w.blocks, cid.Undef, Size{}, big.Cid)
	if err != nil || size != (Size{2, MaxSize}) {
		t.Errorf("%+v, %v", size, err)
	}
	small := w.tree(map[string]string{"f": "1"})
	if size, err = MeasureFiles(ctx, w.blocks, big.Cid, size, small.Cid); err != nil || size != (Size{1, 1}) {
		t.Errorf("from the full one: %+v, %v", size, err)
	}
}
