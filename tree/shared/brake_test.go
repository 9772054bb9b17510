package shared

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"archivecache/store"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// lost returns what NewlyHidden should: by the lists of before and after alone.
func (w *world) lost(before, after Directory) int64 {
	ctx := context.Background()
	hiddenNow, n := map[string]bool{}, int64(0)
	w.must(Hidden(ctx, w.blocks, after, func(h HiddenVersion) error { hiddenNow[h.ID.String()] = true; return nil }))
	for _, l := range before.Layers {
		p := w.plain(l)
		for file, c := range p.files {
			at := strings.TrimSuffix(file, "/")
			id, err := versionID(l.Author, w.id, at, c, p.marks[at].Nonce)
			w.must(err)
			seen := false
			w.must(Hidden(ctx, w.blocks, before, func(h HiddenVersion) error {
				seen = seen || h.ID.String() == id.String()
				return nil
			}))
			shadowed := at != file && hasBelow(w.list(w.view(before)), at) && w.list(w.view(before))[file] != c
			if hiddenNow[id.String()] && !seen && !shadowed {
				n++
			}
		}
	}
	return n
}

func TestNewlyHidden(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGame(t)
		for range rapid.IntRange(2, 12).Draw(t, "moves") {
			p := rapid.SampledFrom(g.people).Draw(t, "person")
			switch rapid.IntRange(0, 4).Draw(t, "move") {
			case 0:
				g.delete(p)
			case 1, 2:
				g.put(p)
			default:
				g.sync(p)
			}
		}
		before := rapid.SampledFrom(g.past).Draw(t, "before")
		now := rapid.SampledFrom(g.past).Draw(t, "now")
		if !before.view.Defined() || !now.view.Defined() {
			return
		}
		got, err := NewlyHidden(context.Background(), g.blocks, before.d, now.d, before.view)
		g.must(err)
		if want := g.lost(before.d, now.d); got != want {
			g.Fatalf("newly hidden %d, want %d\nbefore %v\nnow %v", got, want, g.list(before.view), g.list(now.view))
		}
		shown := int64(len(g.list(now.view)))
		for _, limit := range []int64{0, 1, shown, shown + 1} {
			n, err := CountShown(context.Background(), g.blocks, now.view, limit)
			if err != nil || n != min(limit, shown) {
				g.Fatalf("counted %d up to %d, %v; there are %d", n, limit, err, shown)
			}
		}
	})
}

// A tally counts the blocks that are read.
type tally struct {
	store.Blocks
	gets int
}

func (c *tally) Get(ctx context.Context, id cid.Cid) ([]byte, error) {
	c.gets++
	return c.Blocks.Get(ctx, id)
}

// TestNewlyHiddenReadsWhatDiffers marks one file among many.
func TestNewlyHiddenReadsWhatDiffers(t *testing.T) {
	c := newCast(t)
	many := map[string]string{}
	for i := range 5_000 {
		many[fmt.Sprintf("d%d/%d.txt", i%50, i)] = "x"
	}
	c.putEntry("a", "top", c.tree(many), true)
	c.meet()
	before, view := c.who("b").known, c.who("b").view
	c.delete("b", "top/d7/7.txt")
	count := &tally{Blocks: c.blocks}
	n, err := NewlyHidden(t.Context(), count, before, c.who("b").known, view)
	if err != nil || n != 1 || count.gets > 40 {
		t.Errorf("%d newly hidden, %v, with %d blocks read", n, err, count.gets)
	}
	count.gets = 0
	if n, err := CountShown(t.Context(), count, view, 10); err != nil || n != 10 || count.gets > 10 {
		t.Errorf("counted %d, %v, with %d blocks read", n, err, count.gets)
	}
}
