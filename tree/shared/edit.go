package shared

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Reasons why an edit is refused.
var (
	ErrNotFound     = errors.New("no such file or directory")
	ErrIsFile       = errors.New("is a file")
	ErrIsDirectory  = errors.New("is a directory")
	ErrForbidden    = errors.New("the shared directory stays; delete what is in it")
	errNameTooClose = errors.New("no free name for the version that stands in the way")
)

// An Editor changes one author's layer of a shared directory.
type Editor struct {
	viewer
	author cid.Cid
	top    level
	view   cid.Cid // of the top level, before the edits
	nonce  func() []byte
}

// NewEditor returns an Editor for the layer of author. View is what the directory shows now.
func NewEditor(blocks store.Blocks, d Directory, view, author cid.Cid) *Editor {
	return &Editor{
		viewer: viewer{newReader(blocks)},
		author: author,
		top:    newLevel(d.ID, d.Layers),
		view:   view,
		nonce:  newNonce,
	}
}

// Put returns the author's layer after writing e, a file, symlink or directory, to names below
// the directory. What was visible there and is another file is replaced. A directory is written
// into the one that is there: with keep, what it lacks stays; without, the author's own files
// that it lacks are deleted, and those of others stay. No names at all are the directory itself.
func (e *Editor) Put(ctx context.Context, names []string, entry unixfs.Entry, keep bool) (Layer, error) {
	if len(names) == 0 {
		if kind, err := e.kind(ctx, entry.Cid); err != nil || kind != unixfs.Directory {
			return Layer{}, cmp.Or(err, fmt.Errorf("a file in place of the shared directory: %w", ErrIsDirectory))
		}
		return e.putDir(ctx, place{level: e.top, view: e.view}, entry.Cid, keep)
	}
	return e.descend(ctx, place{level: e.top, view: e.view}, names, true, func(at place, name string, edits *edits) error {
		return e.put(ctx, at, name, entry, keep, edits)
	})
}

// Delete returns the author's layer after deleting what stands at names: the author's own
// versions go, those of others get marks.
func (e *Editor) Delete(ctx context.Context, names []string) (Layer, error) {
	return e.descend(ctx, place{level: e.top, view: e.view}, names, false, func(at place, name string, edits *edits) error {
		return e.delete(ctx, at, name, edits)
	})
}

// A place is a level with what it shows; met says that a directory above was removed here before,
// so that new versions need a nonce.
type place struct {
	level
	view  cid.Cid
	met   bool
	taken bool // something else than a directory is shown under the name
}

// edits collects the changes to one directory of the author's layer.
type edits struct {
	files   map[string]*unixfs.Entry
	records map[string]record
}

func newEdits() *edits {
	return &edits{files: map[string]*unixfs.Entry{}, records: map[string]record{}}
}

// mine returns the author's record for name with the edits so far.
func (d *edits) record(g *group, author cid.Cid) record {
	if r, ok := d.records[g.name]; ok {
		return r
	}
	return g.of(author).record
}

func (g *group) of(author cid.Cid) part {
	for _, p := range g.parts {
		if p.author.Equals(author) {
			return p
		}
	}
	return part{author: author}
}

// descend applies op to the last of names and returns the author's changed layer at the place.
func (e *Editor) descend(ctx context.Context, at place, names []string, create bool, op func(place, string, *edits) error) (Layer, error) {
	edits := newEdits()
	name := names[0]
	if len(names) == 1 {
		if err := op(at, name, edits); err != nil {
			return Layer{}, err
		}
		return e.apply(ctx, at.of(e.author), edits)
	}
	g, err := e.group(ctx, at.level, name)
	if err != nil {
		return Layer{}, err
	}
	sub, err := e.sub(ctx, at, g)
	if err != nil {
		return Layer{}, err
	}
	switch {
	case create && sub.taken:
		return Layer{}, fmt.Errorf("%s: %w", at.childPath(name), ErrIsFile)
	case !create && !sub.view.Defined():
		return Layer{}, fmt.Errorf("%s: %w", at.childPath(name), ErrNotFound)
	case !sub.view.Defined():
		if err := e.checkHash(ctx, at, name); err != nil {
			return Layer{}, err
		}
	}
	layer, err := e.descend(ctx, sub, names[1:], create, op)
	if err != nil {
		return Layer{}, err
	}
	if err := e.setSub(ctx, at, g, layer, edits); err != nil {
		return Layer{}, err
	}
	return e.apply(ctx, at.of(e.author), edits)
}

// sub returns the place of the directory with the name of g. Its view is undefined if there is
// none.
func (e *Editor) sub(ctx context.Context, at place, g *group) (place, error) {
	sub := place{level: g.below, met: at.met}
	sub.path = at.childPath(g.name)
	sub.directory = at.directory
	for _, p := range g.parts {
		sub.met = sub.met || p.record.Met
	}
	shown, err := e.lookup(ctx, at.view, g.name)
	if err != nil || !shown.Cid.Defined() {
		return sub, err
	}
	kind, err := e.kind(ctx, shown.Cid)
	if kind == unixfs.Directory {
		sub.view = shown.Cid
	}
	sub.taken = !sub.view.Defined()
	return sub, err
}

// setSub puts the author's layer of a directory below into edits.
func (e *Editor) setSub(ctx context.Context, at place, g *group, layer Layer, edits *edits) error {
	mine := g.of(e.author)
	if layer.Files.Defined() {
		if mine.entry.Cid.Defined() && mine.kind != unixfs.Directory {
			if err := e.vacate(ctx, at, g, true, edits); err != nil {
				return err
			}
		}
		entry, err := dirEntry(ctx, e.blocks, g.name, layer.Files)
		if err != nil {
			return err
		}
		edits.files[g.name] = &entry
	}
	r := edits.record(g, e.author)
	r.Below = linkTo(layer.Marks)
	if layer.Files.Equals(emptyCid) && (!mine.entry.Cid.Equals(emptyCid) || e.ownHidden(g)) {
		// An empty directory is a version, as a file is.
		if r.Nonce = nil; len(g.parts) > 0 || at.met {
			r.Nonce = e.nonce()
		}
	}
	edits.records[g.name] = r
	return nil
}

// apply returns layer with edits.
func (e *Editor) apply(ctx context.Context, layer Layer, edits *edits) (Layer, error) {
	if len(edits.files) > 0 {
		var err error
		if layer.Files, err = editDir(ctx, e.blocks, layer.Files, edits.files); err != nil {
			return Layer{}, err
		}
	}
	tree := openMarks(e.blocks, layer.Marks)
	for name, r := range edits.records {
		if err := tree.set(ctx, name, r); err != nil {
			return Layer{}, err
		}
	}
	if len(edits.records) > 0 {
		var err error
		if layer.Marks, err = tree.flush(ctx, e.blocks); err != nil {
			return Layer{}, err
		}
	}
	return layer, nil
}

// behind returns the group and the version that are shown under a conflict name; nil if name is
// not one.
func (e *Editor) behind(ctx context.Context, at place, name string) (*group, version, error) {
	plain, cut, ok := plainName(name)
	if !ok {
		return nil, version{}, nil
	}
	candidates := map[string]bool{plain: true}
	if cut {
		stem, _, _ := strings.Cut(name, "~")
		err := e.changed(ctx, level{}, at.level, func(n string) {
			if strings.HasPrefix(n, stem) {
				candidates[n] = true
			}
		})
		if err != nil {
			return nil, version{}, err
		}
	}
	for candidate := range candidates {
		g, err := e.group(ctx, at.level, candidate)
		if err != nil {
			return nil, version{}, err
		}
		sub, err := e.sub(ctx, at, g)
		if err != nil {
			return nil, version{}, err
		}
		outs, err := e.outputs(ctx, at.level, g, sub.view.Defined())
		if err != nil {
			return nil, version{}, err
		}
		for _, o := range outs {
			if o.name == name {
				return g, o.version, nil
			}
		}
	}
	return nil, version{}, nil
}
