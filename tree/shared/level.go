package shared

import (
	"bytes"
	"context"
	"slices"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Layer is one author's part of a shared directory, or of a directory in it. Undefined
// CIDs are an absent directory and an absent tree of marks.
type Layer struct {
	Author cid.Cid
	Files  cid.Cid
	Marks  cid.Cid
	// OwnOnly says that of the marks only those on the author's own versions count.
	OwnOnly bool
}

func (l Layer) absent() bool { return !l.Files.Defined() && !l.Marks.Defined() }

// A level is one directory as all layers have it, in the order of their authors.
type level struct {
	directory cid.Cid // id of the shared directory
	path      string  // relative to it; "" is the directory itself
	layers    []Layer
}

func newLevel(directory cid.Cid, layers []Layer) level {
	l := level{directory: directory}
	for _, layer := range layers {
		if !layer.absent() {
			layer.OwnOnly = layer.OwnOnly && layer.Marks.Defined() // so that equal layers are the same
			l.layers = append(l.layers, layer)
		}
	}
	slices.SortFunc(l.layers, func(a, b Layer) int { return bytes.Compare(a.Author.Bytes(), b.Author.Bytes()) })
	return l
}

// of returns the layer of author, which may be absent.
func (l level) of(author cid.Cid) Layer {
	for _, layer := range l.layers {
		if layer.Author.Equals(author) {
			return layer
		}
	}
	return Layer{Author: author}
}

// single returns the content of the level if nothing has to be computed: no layer has
// marks, and all that have the directory have the same.
func (l level) single() (cid.Cid, bool) {
	only := cid.Undef
	for _, layer := range l.layers {
		if layer.Marks.Defined() || only.Defined() && !only.Equals(layer.Files) {
			return cid.Undef, false
		}
		only = layer.Files
	}
	return only, true
}

func (l level) childPath(name string) string {
	if l.path == "" {
		return name
	}
	return l.path + "/" + name
}

// A part is what one layer has under one name.
type part struct {
	author  cid.Cid
	ownOnly bool
	entry   unixfs.Entry // Cid is undefined if the layer has nothing of that name
	kind    unixfs.Kind  // of entry, 0 if there is none
	record  record
}

// A reader reads levels, and keeps the directories it has open.
type reader struct {
	blocks store.Blocks
	dirs   map[cid.Cid]*unixfs.Dir
	trees  map[cid.Cid]marks
}

func newReader(blocks store.Blocks) *reader {
	return &reader{blocks: blocks, dirs: map[cid.Cid]*unixfs.Dir{}, trees: map[cid.Cid]marks{}}
}

// maxOpen is how many directories and trees of marks a reader keeps.
const maxOpen = 4096

func (r *reader) lookup(ctx context.Context, dir cid.Cid, name string) (unixfs.Entry, error) {
	if !dir.Defined() {
		return unixfs.Entry{}, nil
	}
	d, err := r.open(ctx, dir)
	if err != nil {
		return unixfs.Entry{}, err
	}
	return find(ctx, d, name)
}

func (r *reader) open(ctx context.Context, dir cid.Cid) (*unixfs.Dir, error) {
	d := r.dirs[dir]
	if d == nil {
		var err error
		if d, err = unixfs.OpenDir(ctx, r.blocks, dir); err != nil {
			return nil, err
		}
		if len(r.dirs) >= maxOpen {
			clear(r.dirs)
		}
		r.dirs[dir] = d
	}
	return d, nil
}

func (r *reader) record(ctx context.Context, tree cid.Cid, name string) (record, error) {
	if !tree.Defined() {
		return record{}, nil
	}
	t, ok := r.trees[tree]
	if !ok {
		if len(r.trees) >= maxOpen {
			clear(r.trees)
		}
		t = openMarks(r.blocks, tree)
		r.trees[tree] = t
	}
	return t.get(ctx, name)
}

// parts returns what the layers have under name; layers that have nothing are left out.
func (r *reader) parts(ctx context.Context, l level, name string) ([]part, error) {
	var parts []part
	for _, layer := range l.layers {
		p := part{author: layer.Author, ownOnly: layer.OwnOnly}
		var err error
		if p.entry, err = r.lookup(ctx, layer.Files, name); err != nil {
			return nil, err
		}
		if p.record, err = r.record(ctx, layer.Marks, name); err != nil {
			return nil, err
		}
		if p.entry.Cid.Defined() || !p.record.empty() {
			parts = append(parts, p)
		}
	}
	return parts, nil
}

// below returns the level of the directory with the given name, made of those parts that are
// directories or have marks for one.
func (l level) below(name string, parts []part) level {
	sub := level{directory: l.directory, path: l.childPath(name)}
	for _, p := range parts {
		layer := Layer{Author: p.author, Marks: p.record.Below.Target()}
		if p.kind == unixfs.Directory {
			layer.Files = p.entry.Cid
		}
		layer.OwnOnly = p.ownOnly && layer.Marks.Defined()
		if !layer.absent() {
			sub.layers = append(sub.layers, layer)
		}
	}
	return sub
}

// changed calls fn for every name under which the layers of two levels differ; names may come
// more than once.
func (r *reader) changed(ctx context.Context, old, new level, fn func(name string)) error {
	for _, l := range new.layers {
		if err := r.changedLayer(ctx, old.of(l.Author), l, fn); err != nil {
			return err
		}
	}
	for _, l := range old.layers {
		if new.of(l.Author).absent() {
			if err := r.changedLayer(ctx, l, Layer{}, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) changedLayer(ctx context.Context, old, new Layer, fn func(name string)) error {
	if !old.Files.Equals(new.Files) {
		err := unixfs.Diff(ctx, r.blocks, old.Files, new.Files, func(name string, _, _ *unixfs.Entry) error {
			fn(name)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if old.OwnOnly != new.OwnOnly { // every mark may count for something else
		for _, tree := range []cid.Cid{old.Marks, new.Marks} {
			if err := r.marked(ctx, cid.Undef, tree, fn); err != nil {
				return err
			}
		}
		return nil
	}
	return r.marked(ctx, old.Marks, new.Marks, fn)
}

// marked calls fn for every name for which two trees of marks differ.
func (r *reader) marked(ctx context.Context, old, new cid.Cid, fn func(name string)) error {
	if old.Equals(new) {
		return nil
	}
	return merkle.Diff(ctx, r.blocks, merkle.Whole, old, new, func(key []byte, _, _ dagcbor.Raw) error {
		fn(string(key))
		return nil
	})
}
