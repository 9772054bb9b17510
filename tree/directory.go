package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Directory is an owned or shared directory of a root, drafts included.
type Directory struct {
	ID       cid.Cid
	Founding reference.Founding
	Path     path.Path // where its author says that it stands
	Shown    path.Path // where it is shown; differs if another directory has the place
	Content  cid.Cid   // the UnixFS directory it shows
	Parts    []Part    // one for each author, in the order of their ids
}

// A Part is what one author has signed, or drafted, for a directory.
type Part struct {
	Author    cid.Cid
	Reference *reference.Reference // nil if nothing is signed yet, or if the author forked it
	Draft     *Draft               // nil if there is no edit
	Fork      *state.Fork          // the author forked it: nothing of theirs is shown
	OwnMarks  bool                 // marks on other authors' versions do not count; see Trust
	OverQuota bool                 // the author has more than the quota: this is left out of the view

	size *shared.Size // nil until it is measured
}

// Shared reports whether many authors write to d.
func (d *Directory) Shared() bool { return d.Founding.Policy == reference.SharedPolicy }

// Owner returns the owner of an owned directory.
func (d *Directory) Owner() cid.Cid { return d.Founding.Owner.Target() }

// Part returns the part of author, which may be empty.
func (d *Directory) Part(author cid.Cid) Part {
	for _, p := range d.Parts {
		if p.Author.Equals(author) {
			return p
		}
	}
	return Part{Author: author}
}

// Layer returns what a part holds of a shared directory.
func (p Part) Layer() shared.Layer {
	l := shared.Layer{Author: p.Author, OwnOnly: p.OwnMarks}
	switch {
	case p.Draft != nil:
		l.Files, l.Marks = p.Draft.Content.Target(), p.Draft.Marks.Target()
	case p.Reference != nil:
		l.Files, l.Marks = p.Reference.Content.Target(), p.Reference.Marks.Target()
	}
	return l
}

// Deleted reports whether the part of an owner says that the directory is gone.
func (p Part) Deleted() bool {
	return p.Draft != nil && p.Draft.Deleted || p.Draft == nil && p.Reference != nil && p.Reference.Deleted
}

func (d *Directory) shared() shared.Directory {
	s := shared.Directory{ID: d.ID}
	for _, p := range d.Parts {
		if !p.OverQuota {
			s.Layers = append(s.Layers, p.Layer())
		}
	}
	return s
}

// Directories returns the directories of r with their drafts, as they are shown.
func (r *Root) Directories(ctx context.Context) ([]*Directory, error) {
	before, err := r.directoriesBefore(ctx)
	if err != nil {
		return nil, err
	}
	if r.cid.Defined() && len(r.touched) == 0 && !r.allTouched {
		dirs := copies(before)
		return dirs, layout(dirs)
	}
	dirs, err := r.directories(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if !d.Shared() {
			continue
		}
		if err := r.computeShared(ctx, before, d); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Founding.Path, err)
		}
	}
	return dirs, layout(dirs)
}

func copies(dirs []*Directory) []*Directory {
	all := make([]*Directory, len(dirs))
	for i, d := range dirs {
		c := *d
		all[i] = &c
	}
	return all
}

// directories returns all directories, without the views of the shared ones that were changed.
// Those that were not changed since the last commit are not read again.
func (r *Root) directories(ctx context.Context) ([]*Directory, error) {
	byID := map[cid.Cid]*Directory{}
	for _, f := range r.record.Directories {
		directoryIn(byID, f)
	}
	if r.before == nil || r.allTouched {
		if err := r.readAll(ctx, byID); err != nil {
			return nil, err
		}
		return r.finish(ctx, byID)
	}
	for _, b := range r.before {
		if _, touched := r.touched[b.ID]; !touched {
			d := *b
			byID[b.ID] = &d
		}
	}
	for id, f := range r.touched {
		if err := r.readOne(ctx, id, f, byID); err != nil {
			return nil, err
		}
	}
	return r.finish(ctx, byID)
}

// directoryIn returns the directory founded by f, which is made if it is not there.
func directoryIn(byID map[cid.Cid]*Directory, f reference.Founding) *Directory {
	return directoryWith(byID, f.ID(), f)
}

// directoryWith is directoryIn where the id of f is known.
func directoryWith(byID map[cid.Cid]*Directory, id cid.Cid, f reference.Founding) *Directory {
	if byID[id] == nil {
		byID[id] = &Directory{ID: id, Founding: f}
	}
	return byID[id]
}

// readAll reads all directories that have references or drafts.
func (r *Root) readAll(ctx context.Context, byID map[cid.Cid]*Directory) error {
	err := r.state.Each(ctx, func(slot reference.Slot, v state.Value) error {
		addValue(byID, slot, v)
		return nil
	})
	if err != nil {
		return err
	}
	return r.Drafts(ctx, func(d *Draft) error {
		directoryIn(byID, d.Directory).addDraft(d)
		return nil
	})
}

// readOne reads one directory.
func (r *Root) readOne(ctx context.Context, id cid.Cid, f reference.Founding, byID map[cid.Cid]*Directory) error {
	err := r.state.EachOf(ctx, id, func(slot reference.Slot, v state.Value) error {
		addValue(byID, slot, v)
		return nil
	})
	if err != nil {
		return err
	}
	return r.drafts.EachWith(ctx, id.Bytes(), func(_ []byte, data dagcbor.Raw) error {
		d, err := decodeDraft(data)
		if err == nil {
			directoryIn(byID, f).addDraft(d)
		}
		return err
	})
}

func addValue(byID map[cid.Cid]*Directory, slot reference.Slot, v state.Value) {
	if slot == reference.RotationSlot(slot.Author) {
		return // no directory
	}
	if v.Fork != nil {
		d := directoryWith(byID, slot.Directory, v.Fork.Directory)
		d.Parts = append(d.Parts, Part{Author: slot.Author, Fork: v.Fork})
		return
	}
	d := directoryWith(byID, slot.Directory, *v.Reference.Directory)
	d.Parts = append(d.Parts, Part{Author: slot.Author, Reference: v.Reference})
}

func (d *Directory) addDraft(draft *Draft) {
	for i := range d.Parts {
		if d.Parts[i].Author.Equals(draft.Author.Cid) {
			if d.Parts[i].Fork == nil {
				d.Parts[i].Draft = draft
			}
			return
		}
	}
	d.Parts = append(d.Parts, Part{Author: draft.Author.Cid, Draft: draft})
}

// finish sets paths and contents and what counts, and returns the directories that are not deleted
// by their ids.
func (r *Root) finish(ctx context.Context, byID map[cid.Cid]*Directory) ([]*Directory, error) {
	dirs := make([]*Directory, 0, len(byID))
	for _, d := range byID {
		if d.Path != (path.Path{}) { // as before
			dirs = append(dirs, d)
			continue
		}
		slices.SortFunc(d.Parts, func(a, b Part) int { return strings.Compare(a.Author.KeyString(), b.Author.KeyString()) })
		text := d.Founding.Path
		if !d.Shared() {
			if d.Parts[0].Deleted() {
				continue
			}
			text, d.Content = d.Parts[0].owned()
			text = cmp.Or(text, d.Founding.Path)
		}
		var err error
		if d.Path, err = path.Parse(text); err != nil {
			return nil, err
		}
		dirs = append(dirs, d)
	}
	slices.SortFunc(dirs, func(a, b *Directory) int { return strings.Compare(a.ID.KeyString(), b.ID.KeyString()) })
	return dirs, r.weigh(ctx, dirs)
}

// owned returns the place and the content of an owned directory.
func (p Part) owned() (string, cid.Cid) {
	switch {
	case p.Draft != nil:
		return p.Draft.Path, p.Draft.Content.Target()
	case p.Reference != nil:
		return p.Reference.Path, p.Reference.Content.Target()
	}
	b, _ := unixfs.EmptyDir() // forked: shown without content
	return "", b.Cid
}

// A level is a plain directory below root, which is there because directories stand below it.
type level struct {
	dirs  map[string][]*Directory // by the name at this level, in the order of their ids
	below map[string]*level
}

func newLevel() *level {
	return &level{dirs: map[string][]*Directory{}, below: map[string]*level{}}
}

// arrange returns the plain directories that the paths of dirs make.
func arrange(dirs []*Directory) *level {
	top := newLevel()
	for _, d := range dirs {
		if d.leftOut() {
			continue
		}
		names := d.Path.Names()[1:] // the first is root
		at := top
		for _, name := range names[:len(names)-1] {
			if at.below[name] == nil {
				at.below[name] = newLevel()
			}
			at = at.below[name]
		}
		last := names[len(names)-1]
		at.dirs[last] = append(at.dirs[last], d)
	}
	return top
}

// A child is what is shown under one name of a level: one of the two.
type child struct {
	dir   *Directory
	plain *level
}

// children returns what l shows, by name. Where several directories have one place, the lowest id
// takes the name; the others, and then the plain directory, get conflict names:
//
//	root/go (a's)   root/go (b's)   root/go/tools (c's)
//	shown: go = a's, go~bbbbbbbb = b's, go~pppppppp/tools = c's
func (l *level) children(at path.Path) (map[string]child, error) {
	shown := map[string]child{}
	taken := func(name string) (bool, error) {
		_, real := l.dirs[name]
		_, below := l.below[name]
		_, used := shown[name]
		return real || below || used, nil
	}
	for _, name := range slices.Sorted(maps.Keys(l.dirs)) {
		for i, d := range l.dirs[name] {
			as := name
			if i > 0 {
				var err error
				if as, err = shared.ConflictName(name, d.ID.Hash()[2:], taken); err != nil {
					return nil, err
				}
			}
			if as != "" {
				shown[as] = child{dir: d}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.below)) {
		as := name
		if _, real := l.dirs[name]; real {
			id := store.Sum(cid.Raw, []byte(at.String()+"/"+name)).Hash()[2:]
			var err error
			if as, err = shared.ConflictName(name, id, taken); err != nil {
				return nil, err
			}
		}
		if as != "" {
			shown[as] = child{plain: l.below[name]}
		}
	}
	return shown, nil
}

// layout sets where each directory is shown.
func layout(dirs []*Directory) error {
	for _, d := range dirs {
		d.Shown = path.Path{} // those of before were copied
	}
	return arrange(dirs).layout(path.MustParse(path.Root))
}

func (l *level) layout(at path.Path) error {
	children, err := l.children(at)
	if err != nil {
		return err
	}
	for name, c := range children {
		p, err := at.Join(name)
		if err != nil {
			return err
		}
		if c.dir != nil {
			c.dir.Shown = p
		} else if err := c.plain.layout(p); err != nil {
			return err
		}
	}
	return nil
}

// writeView writes the plain directories over dirs and returns the CID of what root shows.
func writeView(ctx context.Context, blocks store.Blocks, dirs []*Directory) (cid.Cid, error) {
	if err := layout(dirs); err != nil {
		return cid.Undef, err
	}
	e, err := arrange(dirs).write(ctx, blocks, path.MustParse(path.Root))
	return e.Cid, err
}

func (l *level) write(ctx context.Context, blocks store.Blocks, at path.Path) (unixfs.Entry, error) {
	children, err := l.children(at)
	if err != nil {
		return unixfs.Entry{}, err
	}
	var entries []unixfs.Entry
	for name, c := range children {
		e, err := c.entry(ctx, blocks, at, name)
		if err != nil {
			return unixfs.Entry{}, err
		}
		e.Name = name
		entries = append(entries, e)
	}
	e, err := unixfs.Build(ctx, blocks, entries)
	if errors.Is(err, unixfs.ErrCollision) {
		return unixfs.Build(ctx, blocks, shared.LeaveOut(entries))
	}
	return e, err
}

func (c child) entry(ctx context.Context, blocks store.Blocks, at path.Path, name string) (unixfs.Entry, error) {
	if c.plain != nil {
		below, err := at.Join(name)
		if err != nil {
			return unixfs.Entry{}, err
		}
		return c.plain.write(ctx, blocks, below)
	}
	if b, _ := unixfs.EmptyDir(); c.dir.Content.Equals(b.Cid) {
		if err := blocks.Put(ctx, b); err != nil {
			return unixfs.Entry{}, err
		}
	}
	d, err := unixfs.OpenDir(ctx, blocks, c.dir.Content)
	if err != nil {
		return unixfs.Entry{}, fmt.Errorf("%s: %w", c.dir.Path, err)
	}
	return d.Entry(), nil
}
