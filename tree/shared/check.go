package shared

import (
	"context"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Bounds of what one author may have in a shared directory. What is beyond them is refused.
const (
	// MaxEntries is how many files, directories and records of marks a layer may have, each counted
	// wherever it stands: a few blocks can unfold to more than any view could be made of.
	MaxEntries = 4 << 20
	// MaxMarks is how many marks a layer may have on versions of one path.
	MaxMarks = 10_000
)

// ErrTooLarge is a layer that is beyond [MaxEntries] or [MaxMarks].
var ErrTooLarge = errors.New("more than one author may have in a shared directory")

// Check returns an error if s is beyond the bounds.
func (s Size) Check() error {
	if s.Entries > MaxEntries {
		return fmt.Errorf("%w: %d files, directories and records of marks, and %d may be", ErrTooLarge, s.Entries, MaxEntries)
	}
	return nil
}

// Check reads what differs between two layers of one author and returns an error if they are not
// fit for a view: a node that is malformed; directories that are deeper than paths may be; more
// marks on one path than [MaxMarks]; and directories that are not in their one form, since the view
// of a directory that one layer alone has is that directory itself. What old has was checked
// before; the zero Layer is none. The blocks have to be here. However much the blocks unfold to,
// each is read a bounded number of times.
func Check(ctx context.Context, blocks store.Getter, old, now Layer) error {
	c := &checker{ctx: ctx, blocks: blocks}
	if _, err := c.files(old.Files, now.Files, 0); err != nil {
		return err
	}
	_, err := c.marks(old.Marks, now.Marks, 0)
	return err
}

type checker struct {
	ctx    context.Context
	blocks store.Getter
	// done has how many directories deep is what differs between two that were compared. CIDs of
	// directories and of marks are never the same.
	done pairs[int]
}

// below calls walk for two trees of one kind, if they were not compared yet, and returns how many
// directories deep they are as far as they differ. The depth is that of now below the layer.
func (c *checker) below(old, now cid.Cid, depth int, walk func(old, now cid.Cid, height *int) error) (int, error) {
	if !now.Defined() || now.Equals(old) {
		return 0, nil
	}
	if c.done.full() {
		old = cid.Undef
	}
	height, known := c.done.of(old, now)
	if !known && depth <= path.MaxDepth {
		if err := errors.Join(c.ctx.Err(), walk(old, now, &height)); err != nil {
			return 0, err
		}
		c.done.set(old, now, height)
	}
	if depth+height > path.MaxDepth {
		return 0, fmt.Errorf("%w: deeper than %d directories", unixfs.ErrMalformed, path.MaxDepth)
	}
	return height, nil
}

func (c *checker) files(old, now cid.Cid, depth int) (int, error) {
	return c.below(old, now, depth, func(old, now cid.Cid, height *int) error {
		if err := unixfs.CheckDir(c.ctx, c.blocks, old, now); err != nil {
			return err
		}
		return unixfs.Diff(c.ctx, c.blocks, old, now, func(_ string, before, after *unixfs.Entry) error {
			h, err := c.entry(before, after, depth)
			*height = max(*height, h)
			return err
		})
	})
}

// entry checks an entry of a directory, and returns how many directories deep it is.
func (c *checker) entry(before, after *unixfs.Entry, depth int) (int, error) {
	if after == nil || after.Cid.Type() == cid.Raw {
		return 0, nil
	}
	info, err := unixfs.Stat(c.ctx, c.blocks, after.Cid)
	if err != nil || info.Kind != unixfs.Directory {
		return 0, err
	}
	if info.Tsize != after.Tsize {
		return 0, fmt.Errorf("%w: a directory of %d bytes that its link says has %d", unixfs.ErrMalformed, info.Tsize, after.Tsize)
	}
	h, err := c.files(directoryOf(c.ctx, c.blocks, before), after.Cid, depth+1)
	return h + 1, err
}

// directoryOf returns the CID of e if it is a directory.
func directoryOf(ctx context.Context, blocks store.Getter, e *unixfs.Entry) cid.Cid {
	if e == nil || e.Cid.Type() == cid.Raw {
		return cid.Undef
	}
	if info, err := unixfs.Stat(ctx, blocks, e.Cid); err != nil || info.Kind != unixfs.Directory {
		return cid.Undef
	}
	return e.Cid
}

func (c *checker) marks(old, now cid.Cid, depth int) (int, error) {
	return c.below(old, now, depth, func(old, now cid.Cid, height *int) error {
		return merkle.Diff(c.ctx, c.blocks, merkle.Whole, old, now, func(key []byte, before, after dagcbor.Raw) error {
			h, err := c.record(key, before, after, depth)
			*height = max(*height, h)
			return err
		})
	})
}

// record checks a record of marks, and returns how many directories deep it is.
func (c *checker) record(key []byte, before, after dagcbor.Raw, depth int) (int, error) {
	if after == nil {
		return 0, nil
	}
	if err := path.CheckName(string(key)); err != nil {
		return 0, fmt.Errorf("%w: %w", merkle.ErrMalformed, err)
	}
	r, err := decodeRecord(after)
	if err != nil {
		return 0, err
	}
	if err := r.check(); err != nil {
		return 0, err
	}
	if r.Below == nil {
		return 0, nil
	}
	below := cid.Undef
	if before != nil {
		if b, err := decodeRecord(before); err == nil {
			below = b.Below.Target()
		}
	}
	h, err := c.marks(below, r.Below.Target(), depth+1)
	return h + 1, err
}

// pairs remembers what came of comparing two trees, of which the first may be undefined. Trees that
// unfold to much have few blocks, and so few pairs that stand in one place; but of n blocks there
// are n² pairs, so after many only the second tree is looked at, of which there are n.
type pairs[T any] struct{ known map[[2]cid.Cid]T }

// maxPairs is how many pairs are compared before that. It is changed by tests only.
var maxPairs = 200_000

func (p *pairs[T]) full() bool { return len(p.known) >= maxPairs }

func (p *pairs[T]) of(old, now cid.Cid) (T, bool) {
	v, ok := p.known[[2]cid.Cid{old, now}]
	return v, ok
}

func (p *pairs[T]) set(old, now cid.Cid, v T) {
	if p.known == nil {
		p.known = map[[2]cid.Cid]T{}
	}
	p.known[[2]cid.Cid{old, now}] = v
}
