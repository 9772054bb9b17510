package shared

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// inverse returns the number that n times gives 1, modulo 2^64; n is odd.
func inverse(n uint64) uint64 {
	x := n
	for range 6 {
		x *= 2 - n*x
	}
	return x
}

// The constants of MurmurHash3 x64 128.
const (
	c1, c2     = 0x87c37b91114253d5, 0x4cf5ad432745937f
	mix1, mix2 = 0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53
)

func mix(h uint64) uint64 {
	h = (h ^ h>>33) * mix1
	h = (h ^ h>>33) * mix2
	return h ^ h>>33
}

func unmix(h uint64) uint64 {
	h = (h ^ h>>33) * inverse(mix2)
	h = (h ^ h>>33) * inverse(mix1)
	return h ^ h>>33
}

// nameWithHash returns the n-th name of 16 bytes with the given hash: MurmurHash3 without a key can
// be computed backwards.
func nameWithHash(hash uint64, n int) string {
	for a := uint64(1); ; a++ {
		b := unmix(hash - mix(a))
		h2 := (b - a) ^ 16
		h1 := (a - (b - a)) ^ 16
		k1 := bits.RotateLeft64((h1-0x52dce729)*inverse(5), -27)
		k1 = bits.RotateLeft64(k1*inverse(c2), -31) * inverse(c1)
		k2 := bits.RotateLeft64((h2-0x38495ab5)*inverse(5)-h1, -31)
		k2 = bits.RotateLeft64(k2*inverse(c1), -33) * inverse(c2)
		name := string(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, k1), k2))
		if strings.ContainsAny(name, "/\x00") {
			continue
		}
		if n == 0 {
			return name
		}
		n--
	}
}

func TestNameWithHash(t *testing.T) {
	for i := range 3 {
		if name := nameWithHash(unixfs.HashName("report.txt"), i); unixfs.HashName(name) != unixfs.HashName("report.txt") {
			t.Fatalf("%q has another hash", name)
		}
	}
}

// filler are names that make a directory too large for one block.
func filler() map[string]string {
	many := map[string]string{}
	for i := range 1000 {
		many[fmt.Sprintf("%0250d", i)] = "x"
	}
	return many
}

// TestCollision lets authors write names with the same hash into one large directory.
func TestCollision(t *testing.T) {
	c := newCast(t)
	evil := nameWithHash(unixfs.HashName("report.txt"), 0)
	c.putEntry("a", "d", c.tree(filler()), true)
	c.meet()
	c.put("b", "d/report.txt", "report")
	c.put("c", "d/"+evil, "evil")
	c.put("d", "d/other.txt", "other")
	c.meet()
	low, high := "report.txt", evil
	if evil < low {
		low, high = high, low
	}
	shown := c.list(c.people[0].view)
	if _, ok := shown["d/"+high]; ok || !shown["d/"+low].Defined() {
		t.Errorf("%q is left out, %q is shown", low, high)
	}
	if text := c.content(shown["d/"+leftOutName]); !strings.Contains(text, fmt.Sprintf("1 names have the same hash as another name here, and are not shown:\n%q\n", high)) {
		t.Errorf("the file says %s", text)
	}
	p := c.who("a")
	for _, name := range []string{nameWithHash(unixfs.HashName("other.txt"), 1), nameWithHash(unixfs.HashName("other.txt"), 2) + "/x"} {
		_, err := c.editor(p.known, p.view, p.author).Put(t.Context(), append([]string{"d"}, strings.Split(name, "/")...), c.file("x"), true)
		if !errors.Is(err, unixfs.ErrCollision) || !strings.Contains(err.Error(), "choose another name") {
			t.Errorf("a name with the hash of another one is written: %v", err)
		}
	}
	c.delete("d", "d/"+low)
	c.meet()
	shown = c.list(c.people[0].view)
	if !shown["d/"+high].Defined() || shown["d/"+leftOutName].Defined() {
		t.Errorf("%q is not shown when %q is deleted", high, low)
	}
}

// TestCollisionsIncrementally makes the view from that of before and from nothing, while names
// with the same hash come and go, as files and directories, and the directory becomes large and
// small.
func TestCollisionsIncrementally(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		small, big := w.tree(nil).Cid, w.tree(filler()).Cid
		hash := rapid.SampledFrom([]uint64{7, unixfs.HashName(leftOutName)}).Draw(t, "hash")
		var names []string
		for i := range 3 {
			names = append(names, nameWithHash(hash, i))
		}
		names = append(names, "x", leftOutName)
		layers := make([]Layer, 3)
		before, view := Directory{ID: w.id}, cid.Undef
		for range rapid.IntRange(1, 6).Draw(t, "moves") {
			i := rapid.IntRange(0, 2).Draw(t, "author")
			dir := small
			if i == 0 && rapid.IntRange(0, 3).Draw(t, "large") > 0 {
				dir = big
			}
			for _, name := range names {
				e := &unixfs.Entry{}
				switch rapid.IntRange(0, 3).Draw(t, "what") {
				case 0:
					*e = w.file(contents.Draw(t, "content"))
				case 1:
					*e = w.tree(map[string]string{contents.Draw(t, "below"): "1"})
				}
				edited, err := editDir(t.Context(), w.blocks, dir, map[string]*unixfs.Entry{name: e})
				if errors.Is(err, unixfs.ErrCollision) {
					continue
				}
				w.must(err)
				dir = edited
			}
			layers[i] = Layer{Author: author(i), Files: dir}
			now := Directory{ID: w.id, Layers: slices.Clone(layers)}
			c, err := View(t.Context(), w.blocks, before, view, now)
			w.must(err)
			if nothing := w.view(now); !nothing.Equals(c) {
				w.Fatalf("from before %d entries, from nothing %d", len(w.list(c)), len(w.list(nothing)))
			}
			before, view = now, c
		}
	})
}
