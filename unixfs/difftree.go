package unixfs

import (
	"context"
	"errors"
	"fmt"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

const (
	// MaxTreeDepth is how many names deep DiffTree goes; what is deeper is one change, of the
	// directory.
	MaxTreeDepth = 256
	// maxRepeats is how many entries DiffTree reports of directories that it has met before. A few
	// blocks can unfold to more paths than anybody could list.
	maxRepeats = 100_000
)

// DiffTree calls fn for every path, names with slashes between them, at which a file, a symlink
// or an empty directory differs between what is below the directories a and b: old is nil where a
// does not have it, and updated where b does not. An undefined directory is an empty one. Where a
// directory takes the place of a file, the file is gone and what the directory has is new; a
// directory that is filled or emptied is no change but that. A directory that is deeper than
// [MaxTreeDepth] is reported itself, and so is one that was reported before when that has
// happened too often. What is equal is not read. DiffTree stops at the first error of fn.
func DiffTree(ctx context.Context, get store.Getter, a, b cid.Cid, fn func(path string, old, updated *Entry) error) error {
	d := &treeDiffer{ctx: ctx, get: get, fn: fn, seen: map[[2]cid.Cid]bool{}}
	df := differ{ctx: ctx, get: get}
	old, err := df.open(unlessEmpty(a))
	if err != nil {
		return fmt.Errorf("compare directory %s: %w", a, err)
	}
	updated, err := df.open(unlessEmpty(b))
	if err != nil {
		return fmt.Errorf("compare directory %s: %w", b, err)
	}
	return d.dirs("", 0, old, updated, false)
}

type treeDiffer struct {
	ctx     context.Context
	get     store.Getter
	fn      func(path string, old, updated *Entry) error
	seen    map[[2]cid.Cid]bool // pairs of directories that were compared
	repeats int                 // entries of pairs that were compared before
}

// unlessEmpty returns c, or nothing for the empty directory, whose block need not be here.
func unlessEmpty(c cid.Cid) cid.Cid {
	if c.Equals(emptyDir.Cid) {
		return cid.Undef
	}
	return c
}

func (d *treeDiffer) dirs(at string, depth int, a, b *Dir, again bool) error {
	return diffDirs(a, b, differ{ctx: d.ctx, get: d.get, fn: func(name string, old, updated *Entry) error {
		if again {
			d.repeats++
		}
		if at != "" {
			name = at + "/" + name
		}
		return d.entry(name, depth+1, old, updated, again)
	}})
}

func (d *treeDiffer) entry(at string, depth int, old, updated *Entry, again bool) error {
	if old != nil && updated != nil && old.Cid.Equals(updated.Cid) {
		return nil // another Tsize for the same thing
	}
	oldDir, err := openEntry(d.ctx, d.get, old)
	if err != nil {
		return err
	}
	newDir, err := openEntry(d.ctx, d.get, updated)
	if err != nil {
		return err
	}
	if o, u := leaf(old, oldDir, newDir), leaf(updated, newDir, oldDir); o != nil || u != nil {
		if err := d.fn(at, o, u); err != nil {
			return err
		}
	}
	pair := [2]cid.Cid{oldDir.cid, newDir.cid}
	if pair == [2]cid.Cid{} {
		return nil
	}
	again = again || d.seen[pair]
	if depth >= MaxTreeDepth || again && d.repeats >= maxRepeats {
		return d.fn(at, branch(old, oldDir), branch(updated, newDir))
	}
	d.seen[pair] = true
	return d.dirs(at, depth, oldDir, newDir, again)
}

// leaf returns e unless it is the directory dir, or the empty directory where the other side has a
// full one.
func leaf(e *Entry, dir, other *Dir) *Entry {
	if e == nil || dir.cid.Defined() || other.cid.Defined() && !unlessEmpty(e.Cid).Defined() {
		return nil
	}
	return e
}

// branch returns e if it is the directory dir.
func branch(e *Entry, dir *Dir) *Entry {
	if !dir.cid.Defined() {
		return nil
	}
	return e
}

// DirectoryOf returns the CID of e if it is a directory, and an undefined one for the empty
// directory and all else; e may be nil.
func DirectoryOf(ctx context.Context, get store.Getter, e *Entry) (cid.Cid, error) {
	d, err := openEntry(ctx, get, e)
	if err != nil {
		return cid.Undef, err
	}
	return d.cid, nil
}

// openEntry opens what [DirectoryOf] returns; [noDir] for an undefined CID.
func openEntry(ctx context.Context, get store.Getter, e *Entry) (*Dir, error) {
	if e == nil || e.Cid.Type() == cid.Raw || !unlessEmpty(e.Cid).Defined() {
		return noDir, nil
	}
	d, err := OpenDir(ctx, get, e.Cid)
	if errors.Is(err, ErrNotDirectory) {
		return noDir, nil
	}
	return d, err
}
