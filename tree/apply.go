package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Change says what stands at a path afterwards.
type Change struct {
	Path   path.Path     // below root, such as root/forum/x/y
	Remove bool          // what stands there is removed first, a whole directory too; nothing there is no error
	Entry  *unixfs.Entry // what stands there then; nil is nothing, and then Remove is set
}

// A Refusal is a change that could not be made, and why.
type Refusal struct {
	Change Change
	Err    error
}

// Apply makes changes as drafts of author, each directory once: all that can be made. It returns
// the others, in the order given, with the reasons; the order has no other meaning. An entry is put
// as by [Root.Put] with keep, and what is removed is removed as by [Root.Delete]; but a directory
// stays when all that was in it is removed. No path may stand below another. If a block cannot be
// read or written, Apply returns that error and r stays as it is.
func (r *Root) Apply(ctx context.Context, author cid.Cid, changes []Change) ([]Refusal, error) {
	if err := checkChanges(changes); err != nil {
		return nil, err
	}
	dirs, err := r.Directories(ctx)
	if err != nil {
		return nil, err
	}
	a := newApplier(r, author, dirs)
	if err := a.apply(ctx, changes); err != nil {
		return nil, err
	}
	if err := r.setDrafts(ctx, a.drafts); err != nil {
		return nil, err
	}
	var refusals []Refusal
	for _, n := range slices.Sorted(maps.Keys(a.refused)) {
		refusals = append(refusals, Refusal{changes[n], a.refused[n]})
	}
	return refusals, nil
}

// checkChanges returns an error if changes do not say what stands where.
func checkChanges(changes []Change) error {
	paths := make([]string, len(changes))
	for i, c := range changes {
		if first, _ := c.Path.First(); first != path.Root {
			return fmt.Errorf("change of %s: %w: it does not stand below %s", c.Path, path.ErrInvalid, path.Root)
		}
		if c.Entry == nil && !c.Remove {
			return fmt.Errorf("change of %s: %w: it neither removes nor puts anything", c.Path, path.ErrInvalid)
		}
		paths[i] = strings.ReplaceAll(c.Path.String(), "/", "\x00") + "\x00" // what is below sorts right behind
	}
	slices.Sort(paths)
	for i := 1; i < len(paths); i++ {
		if strings.HasPrefix(paths[i], paths[i-1]) {
			text := strings.TrimSuffix(strings.ReplaceAll(paths[i-1], "\x00", "/"), "/")
			return fmt.Errorf("change of %s: %w: there is another at or below it", text, path.ErrInvalid)
		}
	}
	return nil
}

// setDrafts sets all drafts or, with an error, none.
func (r *Root) setDrafts(ctx context.Context, drafts []*Draft) error {
	before := cid.Undef
	n, err := r.drafts.Len(ctx)
	if err == nil && n > 0 {
		before, err = r.drafts.Flush(ctx, r.blocks)
	}
	if err != nil {
		return err
	}
	touched := maps.Clone(r.touched)
	for _, d := range drafts {
		if err := r.setDraft(ctx, d); err != nil {
			r.drafts, r.touched = merkle.NewMap(r.blocks, draftPosition, before), touched
			return err
		}
	}
	return nil
}

// An applier finds out which drafts changes make, and which changes are refused.
type applier struct {
	*Root
	author  cid.Cid
	dirs    []*Directory
	shown   map[path.Path]*Directory
	plain   map[path.Path]bool // the plain directories
	drafts  []*Draft
	refused map[int]error // by the number of the change
}

func newApplier(r *Root, author cid.Cid, dirs []*Directory) *applier {
	a := &applier{
		Root: r, author: author, dirs: dirs, shown: map[path.Path]*Directory{},
		plain: map[path.Path]bool{path.MustParse(path.Root): true}, refused: map[int]error{},
	}
	for _, d := range dirs {
		if d.Shown.IsTop() {
			continue // it found no name
		}
		a.shown[d.Shown] = d
		for p := d.Shown.Parent(); !a.plain[p]; p = p.Parent() {
			a.plain[p] = true
		}
	}
	return a
}

// governor is [Governor] for many paths.
func (a *applier) governor(p path.Path) (*Directory, []string) {
	for at := p; !at.IsTop(); at = at.Parent() {
		if d := a.shown[at]; d != nil {
			rest, _ := p.Below(at)
			return d, rest.Names()
		}
	}
	return nil, nil
}

func (a *applier) apply(ctx context.Context, changes []Change) error {
	governed := map[*Directory][]shared.Edit{}
	var plain []plainChange
	for n, c := range changes {
		change := shared.Edit{Number: n, Remove: c.Remove, Entry: c.Entry}
		d, names := a.governor(c.Path)
		if d == nil {
			plain = append(plain, plainChange{change, c.Path})
			continue
		}
		change.Names = names
		governed[d] = append(governed[d], change)
	}
	for _, d := range a.dirs {
		if err := a.directory(ctx, d, governed[d]); err != nil {
			return fmt.Errorf("%s: %w", d.Shown, err)
		}
	}
	return a.plainPlaces(ctx, plain)
}

// directory makes changes in one owned or shared directory.
func (a *applier) directory(ctx context.Context, d *Directory, changes []shared.Edit) error {
	switch {
	case len(changes) == 0:
		return nil
	case d.Shared():
		return a.shared(ctx, d, changes)
	}
	if err := mayEdit(d, a.author); err != nil {
		a.refuse(changes, err)
		return nil
	}
	content, err := a.owned(ctx, d, changes)
	switch {
	case err != nil:
		return err
	case !content.Defined():
		a.drafts = append(a.drafts, d.deletion())
	case !content.Equals(d.Content):
		a.drafts = append(a.drafts, d.edited(content))
	}
	return nil
}

// owned returns the content of an owned directory after changes; undefined if it is removed.
func (a *applier) owned(ctx context.Context, d *Directory, changes []shared.Edit) (cid.Cid, error) {
	c := changes[0]
	if len(c.Names) > 0 {
		return a.edit(ctx, d.Content, d.Shown, changes)
	}
	if c.Entry == nil {
		return cid.Undef, nil
	}
	if ok, err := directoryAt(ctx, a.blocks, *c.Entry); err != nil || !ok {
		why := ErrIsDirectory
		if c.Remove {
			why = ErrForbidden
		}
		a.refuse(changes, fmt.Errorf("%s: %w; name a file in it", d.Shown, why))
		return d.Content, err
	}
	if c.Remove {
		return c.Entry.Cid, nil
	}
	blocks := &noting{Blocks: a.blocks}
	content, err := overlay(ctx, blocks, d.Content, c.Entry.Cid)
	if refuses(err) && blocks.err == nil {
		a.refuse(changes, fmt.Errorf("%s: %w", d.Shown, err))
		return d.Content, nil
	}
	return content, cmp.Or(blocks.err, err)
}

// shared makes changes in a shared directory.
func (a *applier) shared(ctx context.Context, d *Directory, changes []shared.Edit) error {
	mine := d.Part(a.author)
	if mine.Fork != nil {
		a.refuse(changes, fmt.Errorf("%s: %w", d.Shown, ErrForked))
		return nil
	}
	layer, refused, err := shared.NewEditor(a.blocks, d.shared(), d.Content, a.author).Apply(ctx, changes)
	if err != nil {
		return err
	}
	for n, err := range refused {
		a.refused[n] = fmt.Errorf("%s: %w", d.Shown, inTerms(err))
	}
	if was := mine.Layer(); !was.Files.Equals(layer.Files) || !was.Marks.Equals(layer.Marks) {
		a.drafts = append(a.drafts, d.layered(a.author, layer))
	}
	return nil
}

// inTerms returns err, a refusal in a shared directory, as what an owned one says as well.
func inTerms(err error) error {
	switch {
	case errors.Is(err, shared.ErrIsFile):
		return fmt.Errorf("%w: %w", ErrNotDirectory, err)
	case errors.Is(err, shared.ErrIsDirectory):
		return fmt.Errorf("%w: %w", ErrIsDirectory, err)
	case errors.Is(err, shared.ErrForbidden):
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return err
}

func (a *applier) refuse(changes []shared.Edit, err error) {
	for _, c := range changes {
		a.refused[c.Number] = err
	}
}

// A plainChange is one of a path that stands in no directory.
type plainChange struct {
	shared.Edit
	path path.Path
}

// plainPlaces makes changes where only plain directories stand.
func (a *applier) plainPlaces(ctx context.Context, changes []plainChange) error {
	below := map[path.Path][]shared.Edit{} // by the directory that is missing
	for _, c := range changes {
		outer, rest, refused, err := a.missing(ctx, c)
		if err != nil {
			return err
		}
		if c.Remove && refused == nil {
			refused = a.removePlain(c.path)
		}
		switch {
		case refused != nil:
			a.refuse([]shared.Edit{c.Edit}, refused)
		case c.Entry != nil:
			c.Names = rest.Names()
			below[outer] = append(below[outer], c.Edit)
		}
	}
	for _, outer := range slices.SortedFunc(maps.Keys(below), func(p, q path.Path) int { return strings.Compare(p.String(), q.String()) }) {
		if err := a.foundAll(ctx, outer, below[outer]); err != nil {
			return fmt.Errorf("%s: %w", outer, err)
		}
	}
	return nil
}

// missing splits the path of a change that puts something behind the first name that is not there,
// after the change has removed what it removes; or it refuses the change.
func (a *applier) missing(ctx context.Context, c plainChange) (outer, rest path.Path, refused, err error) {
	if c.Entry == nil {
		return
	}
	outer = c.path
	for p := c.path; !a.plain[p]; p = p.Parent() {
		outer = p
	}
	rest, _ = c.path.Below(outer)
	if a.plain[outer] && (!c.Remove || outer.Parent().IsTop()) {
		refused = fmt.Errorf("%s: %w: it is a plain directory; name a directory below it", c.path, ErrForbidden)
	} else if rest.IsTop() {
		var isDir bool
		if isDir, err = directoryAt(ctx, a.blocks, *c.Entry); !isDir {
			refused = fileBelowPlain(outer)
		}
	}
	return
}

// removePlain deletes all directories below p.
func (a *applier) removePlain(p path.Path) error {
	below, err := ownBelow(a.author, p, a.dirs)
	for _, d := range below {
		a.drafts = append(a.drafts, d.deletion())
	}
	return err
}
