package shared

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// counting counts what is read.
type counting struct {
	store.Getter
	n atomic.Int64
}

func (c *counting) Get(ctx context.Context, id cid.Cid) ([]byte, error) {
	c.n.Add(1)
	return c.Getter.Get(ctx, id)
}

// unfolding returns a layer of so many blocks, each directory or tree of marks of which stands
// twice in the one above.
func (w *world) unfolding(levels int, leaf string) Layer {
	ctx := context.Background()
	l := Layer{Author: author(0), Files: w.tree(map[string]string{"f": leaf}).Cid, Marks: w.marks("f", record{Nonce: newNonce()})}
	for range levels - 1 {
		l.Files = w.above(l.Files, "a", "b")
		tree := openMarks(w.blocks, cid.Undef)
		for _, name := range []string{"a", "b"} {
			w.must(tree.set(ctx, name, record{Below: linkTo(l.Marks)}))
		}
		var err error
		l.Marks, err = tree.flush(ctx, w.blocks)
		w.must(err)
	}
	return l
}

// above returns a directory in which dir stands under the given names.
func (w *world) above(dir cid.Cid, names ...string) cid.Cid {
	var entries []unixfs.Entry
	for _, name := range names {
		e, err := dirEntry(context.Background(), w.blocks, name, dir)
		w.must(err)
		entries = append(entries, e)
	}
	e, err := unixfs.Build(context.Background(), w.blocks, entries)
	w.must(err)
	return e.Cid
}

// marks returns a tree of marks with one record.
func (w *world) marks(name string, r record) cid.Cid {
	tree := openMarks(w.blocks, cid.Undef)
	w.must(tree.set(context.Background(), name, r))
	c, err := tree.flush(context.Background(), w.blocks)
	w.must(err)
	return c
}

// TestUnfolding checks and measures layers of 40 blocks that unfold to 2^40 files and as many
// marks, from nothing and by the difference to another one.
func TestUnfolding(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	first, second := w.unfolding(40, "1"), w.unfolding(40, "2")
	for _, pair := range [][2]Layer{{{}, first}, {first, second}, {second, {Files: first.Files}}, {{}, {Marks: second.Marks}}} {
		old, now := pair[0], pair[1]
		blocks := &counting{Getter: w.blocks}
		w.must(Check(ctx, blocks, old, now))
		if n := blocks.n.Load(); n > 1000 {
			t.Errorf("%d blocks are read of 80 that there are", n)
		}
		blocks.n.Store(0)
		before, err := MeasureLayer(ctx, blocks, nil, Layer{}, old)
		w.must(err)
		sizes := map[cid.Cid]Size{}
		for _, c := range []cid.Cid{old.Files, old.Marks} {
			sizes[c] = before
		}
		size, err := MeasureLayer(ctx, blocks, known(sizes), old, now)
		w.must(err)
		if n := blocks.n.Load(); n > 1000 || !errors.Is(size.Check(), ErrTooLarge) {
			t.Errorf("%d blocks are read for a size of %+v: %v", n, size, size.Check())
		}
	}
}

// known is [Sizes] in memory.
type known map[cid.Cid]Size

func (k known) Size(_ context.Context, c cid.Cid) (Size, bool, error) {
	s, ok := k[c]
	return s, ok, nil
}

func (k known) SetSize(c cid.Cid, s Size) { k[c] = s }

// TestManyPairs compares layers of 2·4·40 directories that meet in 40·40·4 pairs, of which 200
// may be.
func TestManyPairs(t *testing.T) {
	defer func(n int) { maxPairs = n }(maxPairs)
	maxPairs = 200
	w, ctx := newWorld(t), t.Context()
	const wide, deep = 40, 4
	// In level i directory number k has under the name j number k+j·step of the level below.
	build := func(leaf string, step int) cid.Cid {
		var level []cid.Cid
		for k := range wide {
			level = append(level, w.tree(map[string]string{"f": fmt.Sprint(leaf, k)}).Cid)
		}
		for range deep {
			var next []cid.Cid
			for k := range wide {
				var entries []unixfs.Entry
				for j := range wide {
					e, err := dirEntry(ctx, w.blocks, fmt.Sprintf("n%02d", j), level[(k+j*step)%wide])
					w.must(err)
					entries = append(entries, e)
				}
				e, err := unixfs.Build(ctx, w.blocks, append(entries, w.named(fmt.Sprintf("own%d", k))))
				w.must(err)
				next = append(next, e.Cid)
			}
			level = next
		}
		return level[0]
	}
	old, now := build("a", 1), build("b", 3)
	blocks := &counting{Getter: w.blocks}
	w.must(Check(ctx, blocks, Layer{Files: old}, Layer{Files: now}))
	from, err := MeasureFiles(ctx, blocks, cid.Undef, Size{}, old)
	w.must(err)
	by, err := MeasureFiles(ctx, blocks, old, from, now)
	w.must(err)
	n := blocks.n.Load()
	whole, err := MeasureFiles(ctx, blocks, cid.Undef, Size{}, now)
	w.must(err)
	if by != whole || n > 60_000 {
		t.Errorf("%+v by the difference, %+v as a whole; %d blocks are read", by, whole, n)
	}
}

func (w *world) named(name string) unixfs.Entry {
	e := w.file(name)
	e.Name = name
	return e
}

// TestTooDeep checks files and marks 10,000 directories deep, also where a directory that is met at
// a small depth first stands deeper as well.
func TestTooDeep(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	deep := func(n int) Layer {
		l := Layer{Files: w.tree(map[string]string{"f": "1"}).Cid, Marks: w.marks("f", record{Met: true})}
		for range n {
			l.Files = w.above(l.Files, "d")
			l.Marks = w.marks("d", record{Below: linkTo(l.Marks)})
		}
		return l
	}
	w.must(Check(ctx, w.blocks, Layer{}, deep(path.MaxDepth)))
	half := deep(200)
	both := half.Files
	for range 100 {
		both = w.above(both, "z")
	}
	twice, err := unixfs.Build(ctx, w.blocks, []unixfs.Entry{w.dir("a", half.Files), w.dir("b", both)})
	w.must(err)
	thousands := deep(10_000)
	for name, l := range map[string]Layer{
		"one too deep": {Files: deep(path.MaxDepth + 1).Files}, "marks one too deep": {Marks: deep(path.MaxDepth + 1).Marks},
		"files": {Files: thousands.Files}, "marks": {Marks: thousands.Marks}, "met before": {Files: twice.Cid},
	} {
		if err := Check(ctx, w.blocks, Layer{}, l); !errors.Is(err, unixfs.ErrMalformed) || !strings.Contains(err.Error(), "deeper than") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (w *world) dir(name string, c cid.Cid) unixfs.Entry {
	e, err := dirEntry(context.Background(), w.blocks, name, c)
	w.must(err)
	return e
}

// TestLongNames checks files and marks with names of 255 and 256 bytes.
func TestLongNames(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	for n, want := range map[int]bool{path.MaxName: true, path.MaxName + 1: false} {
		name := strings.Repeat("n", n)
		b := store.NewBlock(cid.DagProtobuf, (&unixfs.Node{Kind: unixfs.Directory, Links: []unixfs.Link{
			unixfs.NewLink(name, w.file("1").Cid, 1),
		}}).Encode())
		w.must(w.blocks.Put(ctx, b))
		for _, l := range []Layer{{Files: b.Cid}, {Marks: w.marks(name, record{Met: true})}} {
			if err := Check(ctx, w.blocks, Layer{}, l); (err == nil) != want {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
}

// TestTooManyMarks checks a name with as many marks as may be, and one more; and writes as often to
// one name as would leave more.
func TestTooManyMarks(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	for n, want := range map[int]error{MaxMarks: nil, MaxMarks + 1: ErrTooLarge} {
		m := merkle.NewMap(w.blocks, merkle.Whole, cid.Undef)
		data := encoded(t, record{Hides: web(n, 1)})
		w.must(m.Set(ctx, []byte("f"), data))
		root, err := m.Flush(ctx, w.blocks)
		w.must(err)
		if err := Check(ctx, w.blocks, Layer{}, Layer{Marks: root}); !errors.Is(err, want) {
			t.Errorf("%d marks: %v", n, err)
		}
	}
	tree := openMarks(w.blocks, cid.Undef)
	if err := tree.set(ctx, "f", record{Hides: web(MaxMarks+1, 1)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one's own: %v", err)
	}
}

// web returns marks of which every version has some, chosen by a fixed rule.
func web(n, seed int) []Mark {
	var marks []Mark
	for i := range n {
		marks = append(marks, Mark{Version: numbered(i * seed % (n/3 + 1)), By: numbered((i*7 + seed) % (n/3 + 1))})
	}
	return marks
}

func numbered(i int) VersionID {
	id := make(VersionID, versionSize)
	binary.BigEndian.PutUint64(id, uint64(i)+1)
	return id
}

func encoded(t *testing.T, r record) []byte {
	data, err := dagcbor.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestWovenMarks has 20 authors with 10,000 marks each on one name: a chain through all of their
// versions, and arrows back and forth. The time follows the number of marks.
func TestWovenMarks(t *testing.T) {
	g := &group{name: "f"}
	const people = 20
	for i := range people {
		g.versions = append(g.versions, version{id: numbered(i), author: author(i), entry: unixfs.Entry{Cid: author(i)}})
		p := part{author: author(i)}
		for n := range MaxMarks {
			at := i*MaxMarks + n
			p.record.Hides = append(p.record.Hides, Mark{Version: numbered(at / 2), By: numbered(at)}, Mark{Version: numbered(at), By: numbered(at / 2)})
		}
		p.record.Hides = p.record.Hides[:MaxMarks]
		g.parts = append(g.parts, p)
	}
	start := time.Now()
	g.hide()
	g.newestHidden()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("200,000 marks took %v", took)
	}
}

// TestCircles compares what hides with the rule as it is stated, by ways.
func TestCircles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &group{name: "f"}
		id := rapid.IntRange(0, 6)
		for i := range rapid.IntRange(1, 4).Draw(t, "authors") {
			g.versions = append(g.versions, version{id: numbered(i), author: author(i)})
			p := part{author: author(i)}
			for range rapid.IntRange(0, 5).Draw(t, "marks") {
				m := Mark{Version: numbered(id.Draw(t, "version"))}
				if by := id.Draw(t, "by"); by > 0 {
					m.By = numbered(by)
				}
				p.record.Hides = append(p.record.Hides, m)
			}
			g.parts = append(g.parts, p)
		}
		g.hide()
		out := g.arrows()
		for _, v := range g.versions {
			reached := map[string]bool{}
			reach(out, v.id, reached)
			want := slices.ContainsFunc(g.marksOn()[string(v.id)], func(m markOf) bool { return m.By == nil || !reached[string(m.By)] })
			if v.hidden != want {
				t.Fatalf("%v: hidden %v, want %v", v.id, v.hidden, want)
			}
		}
	})
}

// TestOwnMarksStayFew has two people write in turns over each other's file, and then over the file
// of somebody with as many marks as may be.
func TestOwnMarksStayFew(t *testing.T) {
	defer func(n int) { maxKept = n }(maxKept)
	maxKept = 20
	w, ctx := newWorld(t), t.Context()
	d := Directory{ID: w.id}
	view := w.view(d)
	set := func(l Layer) {
		d.Layers = slices.DeleteFunc(slices.Clone(d.Layers), func(o Layer) bool { return o.Author.Equals(l.Author) })
		d.Layers = append(d.Layers, l)
		view = w.view(d)
	}
	for i := range 2*maxKept + 200 {
		l, err := w.editor(d, view, author(i%2)).Put(ctx, []string{"f"}, w.file(fmt.Sprint(i)), true)
		w.must(err)
		set(l)
	}
	if shown := w.list(view); len(shown) != 1 {
		t.Errorf("%d versions are shown, want the last one", len(shown))
	}
	loud := Layer{Author: author(9), Files: w.tree(map[string]string{"g": "loud"}).Cid}
	id, err := versionID(author(9), w.id, "g", w.file("loud").Cid, nil)
	w.must(err)
	var r record
	for i := range MaxMarks {
		r.Hides = append(r.Hides, Mark{Version: numbered(i), By: id})
	}
	loud.Marks = w.marks("g", r)
	set(loud)
	l, err := w.editor(d, view, author(0)).Put(ctx, []string{"g"}, w.file("quiet"), true)
	w.must(err)
	set(l)
	for _, name := range []string{"f", "g"} {
		for _, l := range d.Layers {
			r, err := newReader(w.blocks).record(ctx, l.Marks, name)
			w.must(err)
			if len(r.Hides) > maxKept && !l.Author.Equals(author(9)) {
				t.Errorf("%s: %d marks of %s, want %d at most", name, len(r.Hides), l.Author, maxKept)
			}
		}
	}
	if shown := w.list(view); len(shown) != 2 {
		t.Errorf("%d versions are shown, want f and g", len(shown))
	}
}
