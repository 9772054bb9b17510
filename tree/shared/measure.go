package shared

import (
	"context"
	"errors"
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

// Sizes keeps the sizes of directories and of trees of marks that were measured.
type Sizes interface {
	Size(ctx context.Context, c cid.Cid) (size Size, known bool, err error)
	SetSize(c cid.Cid, size Size)
}

// MeasureLayer returns the size of the layer now, of files and marks, from that of the layer before
// as far as its sizes are known. Sizes may be nil.
func MeasureLayer(ctx context.Context, blocks store.Getter, sizes Sizes, before, now Layer) (Size, error) {
	files, err := measureTree(ctx, blocks, sizes, before.Files, now.Files, MeasureFiles)
	if err != nil {
		return Size{}, err
	}
	marks, err := measureTree(ctx, blocks, sizes, before.Marks, now.Marks, MeasureMarks)
	return files.Plus(marks), err
}

type measureFunc = func(ctx context.Context, blocks store.Getter, before cid.Cid, size Size, now cid.Cid) (Size, error)

func measureTree(ctx context.Context, blocks store.Getter, sizes Sizes, before, now cid.Cid, measure measureFunc) (Size, error) {
	if !now.Defined() {
		return Size{}, nil
	}
	if size, ok, err := knownSize(ctx, sizes, now); err != nil || ok {
		return size, err
	}
	size, ok, err := knownSize(ctx, sizes, before)
	if err != nil {
		return Size{}, err
	}
	if !ok {
		before = cid.Undef
	}
	if size, err = measure(ctx, blocks, before, size, now); err == nil && sizes != nil {
		sizes.SetSize(now, size)
	}
	return size, err
}

func knownSize(ctx context.Context, sizes Sizes, c cid.Cid) (Size, bool, error) {
	if !c.Defined() || sizes == nil {
		return Size{}, false, nil
	}
	return sizes.Size(ctx, c)
}

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

// errPairs is a difference that is more work than both trees.
var errPairs = errors.New("too many pairs of directories")

func measure(before cid.Cid, size Size, now cid.Cid, diff func(old, now cid.Cid, depth int) (delta, error)) (Size, error) {
	if before.Defined() && !size.full() {
		d, err := diff(before, now, 0)
		if err != nil && !errors.Is(err, errPairs) {
			return Size{}, err
		}
		if sum := size.Plus(d.come); err == nil && !sum.full() && !d.gone.full() {
			return Size{sum.Entries - d.gone.Entries, sum.Bytes - d.gone.Bytes}, nil
		}
	}
	d, err := diff(cid.Undef, now, 0)
	return d.come, err
}

// A meter measures trees. What was measured is remembered: a tree may stand in itself as often as
// there are places, and so in 2^40 of them.
type meter struct {
	ctx    context.Context
	blocks store.Getter
	done   pairs[delta] // the first is undefined where a tree was measured whole
}

func newMeter(ctx context.Context, blocks store.Getter) *meter {
	return &meter{ctx: ctx, blocks: blocks}
}

// diff returns the difference of two trees of one kind. Either may be undefined; of one tree alone
// the size is that of the whole.
func (m *meter) diff(old, now cid.Cid, depth int, walk func(old, now cid.Cid, add func(delta)) error) (delta, error) {
	switch {
	case old.Equals(now):
		return delta{}, nil
	case depth > path.MaxDepth:
		return delta{}, fmt.Errorf("%w: deeper than %d directories", unixfs.ErrMalformed, path.MaxDepth)
	case !now.Defined():
		e, err := m.diff(cid.Undef, old, depth, walk)
		return delta{gone: e.come}, err
	}
	d, known := m.done.of(old, now)
	if known {
		return d, nil
	}
	if old.Defined() && m.done.full() {
		return delta{}, errPairs
	}
	err := errors.Join(m.ctx.Err(), walk(old, now, func(e delta) { d.add(e) }))
	if err == nil {
		m.done.set(old, now, d)
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
