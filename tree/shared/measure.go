package shared

import (
	"context"
	"fmt"
	"math"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Size is how much an author has somewhere: files, directories and records of marks as entries,
// and as bytes what the links to the files claim. [MaxSize] stands for it and for all above.
type Size struct {
	Entries, Bytes uint64
}

// MaxSize is the largest number that a Size counts to.
const MaxSize = math.MaxInt64

// Plus returns the sum of two sizes.
func (s Size) Plus(t Size) Size {
	return Size{plus(s.Entries, t.Entries), plus(s.Bytes, t.Bytes)}
}

func plus(a, b uint64) uint64 { return min(min(a, MaxSize)+min(b, MaxSize), MaxSize) }

// full reports whether s is too large to be told apart from what is larger.
func (s Size) full() bool { return s.Entries >= MaxSize || s.Bytes >= MaxSize }

// MeasureFiles returns the size of what the directory now holds, itself not counted. If before, a
// directory of the given size, is defined, the cost follows the difference of the two; else a
// directory that stands in many places is read once.
func MeasureFiles(ctx context.Context, blocks store.Getter, before cid.Cid, size Size, now cid.Cid) (Size, error) {
	return measure(before, size, now, newMeter(ctx, blocks).files)
}

// MeasureMarks is MeasureFiles for trees of marks: each record is an entry.
func MeasureMarks(ctx context.Context, blocks store.Getter, before cid.Cid, size Size, now cid.Cid) (Size, error) {
	return measure(before, size, now, newMeter(ctx, blocks).marks)
}

// A delta is by how much two trees differ: what is in the one and what is in the other.
type delta struct{ gone, come Size }

func (d *delta) add(e delta) { d.gone, d.come = d.gone.Plus(e.gone), d.come.Plus(e.come) }

func measure(before cid.Cid, size Size, now cid.Cid, diff func(old, now cid.Cid, depth int) (delta, error)) (Size, error) {
	if before.Defined() && !size.full() {
		d, err := diff(before, now, 0)
		if err != nil {
			return Size{}, err
		}
		if sum := size.Plus(d.come); !sum.full() && !d.gone.full() {
			return Size{sum.Entries - d.gone.Entries, sum.Bytes - d.gone.Bytes}, nil
		}
	}
	d, err := diff(cid.Undef, now, 0)
	return d.come, err
}

// A meter measures trees. What was measured whole is remembered: a tree may stand in itself as
// often as there are places, and so in 2^40 of them.
type meter struct {
	ctx    context.Context
	blocks store.Getter
	whole  map[cid.Cid]Size
}

func newMeter(ctx context.Context, blocks store.Getter) *meter {
	return &meter{ctx, blocks, map[cid.Cid]Size{}}
}

// diff returns the difference of two trees of one kind. Either may be undefined; of one tree alone
// the size is remembered.
func (m *meter) diff(old, now cid.Cid, depth int, walk func(old, now cid.Cid, add func(delta)) error) (delta, error) {
	var d delta
	switch {
	case old.Equals(now):
		return d, nil
	case depth > path.MaxDepth:
		return d, fmt.Errorf("%w: deeper than %d directories", unixfs.ErrMalformed, path.MaxDepth)
	case !old.Defined() && now.Defined():
		if size, ok := m.whole[now]; ok {
			return delta{come: size}, nil
		}
	case !now.Defined():
		e, err := m.diff(cid.Undef, old, depth, walk)
		return delta{gone: e.come}, err
	}
	err := walk(old, now, d.add)
	if err == nil && !old.Defined() {
		m.whole[now] = d.come
	}
	return d, err
}

func (m *meter) files(old, now cid.Cid, depth int) (delta, error) {
	return m.diff(old, now, depth, func(old, now cid.Cid, add func(delta)) error {
		return unixfs.Diff(m.ctx, m.blocks, old, now, func(_ string, before, after *unixfs.Entry) error {
			was, err := m.entry(before)
			if err != nil {
				return err
			}
			is, err := m.entry(after)
			if err != nil {
				return err
			}
			below, err := m.files(was.dir, is.dir, depth+1)
			add(delta{gone: was.Size, come: is.Size})
			add(below)
			return err
		})
	})
}

// sized is an entry of a directory: its own size, and the directory it is, if it is one.
type sized struct {
	Size
	dir cid.Cid
}

func (m *meter) entry(e *unixfs.Entry) (sized, error) {
	if e == nil {
		return sized{}, nil
	}
	file := sized{Size: Size{1, min(e.Tsize, MaxSize)}}
	if e.Cid.Type() == cid.Raw {
		return file, nil
	}
	info, err := unixfs.Stat(m.ctx, m.blocks, e.Cid)
	if err != nil || info.Kind == unixfs.Directory {
		return sized{Size{Entries: 1}, e.Cid}, err
	}
	return file, nil
}

func (m *meter) marks(old, now cid.Cid, depth int) (delta, error) {
	return m.diff(old, now, depth, func(old, now cid.Cid, add func(delta)) error {
		return merkle.Diff(m.ctx, m.blocks, merkle.Whole, old, now, func(_ []byte, before, after dagcbor.Raw) error {
			was, err := marked(before)
			if err != nil {
				return err
			}
			is, err := marked(after)
			if err != nil {
				return err
			}
			below, err := m.marks(was.dir, is.dir, depth+1)
			add(delta{gone: was.Size, come: is.Size})
			add(below)
			return err
		})
	})
}

func marked(data dagcbor.Raw) (sized, error) {
	if data == nil {
		return sized{}, nil
	}
	r, err := decodeRecord(data)
	return sized{Size{Entries: 1}, r.Below.Target()}, err
}
