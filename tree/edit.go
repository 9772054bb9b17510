package tree

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Governor returns the directory that p stands in or is, and the names of p below it; nil if p
// is a plain directory, or nothing.
func Governor(dirs []*Directory, p path.Path) (*Directory, []string) {
	for _, d := range dirs {
		if d.Shown.IsTop() {
			continue // it found no name
		}
		if rest, ok := p.Below(d.Shown); ok {
			return d, rest.Names()
		}
	}
	return nil, nil
}

// Lookup returns what the root shows at p, a path that begins with root, as of the last commit.
func (r *Root) Lookup(ctx context.Context, p path.Path) (unixfs.Entry, error) {
	_, rest := p.First()
	return Walk(ctx, r.blocks, r.View(), p, rest.Names())
}

// Put makes p show entry: a directory, or inside a directory also a file or symlink. The change
// is a draft of author. Where p is plain, the outermost missing directory becomes an owned
// directory of author. What the directory at p has and entry lacks is deleted, as far as author
// may, unless keep is set.
func (r *Root) Put(ctx context.Context, author cid.Cid, p path.Path, entry unixfs.Entry, keep bool) error {
	dirs, err := r.Directories(ctx)
	if err != nil {
		return err
	}
	d, names := Governor(dirs, p)
	if d != nil && len(names) == 0 && !isDir(ctx, r.blocks, entry.Cid) {
		return fmt.Errorf("%s: %w; name a file in it", d.Shown, ErrIsDirectory)
	}
	switch {
	case d == nil:
		return r.found(ctx, author, p, entry)
	case d.Shared():
		editor := shared.NewEditor(r.blocks, d.shared(), d.Content, author)
		layer, err := editor.Put(ctx, names, entry, keep || len(names) == 0)
		return r.setLayer(ctx, d, author, layer, err)
	}
	if err := mayEdit(d, author); err != nil {
		return err
	}
	content, err := putOwned(ctx, r.blocks, d.Content, names, entry, keep)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Shown, err)
	}
	return r.setDraft(ctx, d.edited(content))
}

// MayPut returns the error that Put would end with because p is somebody else's.
func (r *Root) MayPut(ctx context.Context, author cid.Cid, p path.Path) error {
	dirs, err := r.Directories(ctx)
	if err != nil {
		return err
	}
	if d, _ := Governor(dirs, p); d != nil && !d.Shared() {
		return mayEdit(d, author)
	}
	return nil
}

// mayEdit checks that author may change the owned directory d.
func mayEdit(d *Directory, author cid.Cid) error {
	if !d.Owner().Equals(author) {
		return fmt.Errorf("%s: %w: %s", d.Shown, ErrNotOwner, d.Owner())
	}
	if d.Part(author).Fork != nil {
		return fmt.Errorf("%s: %w", d.Shown, ErrForked)
	}
	return nil
}

func (r *Root) setLayer(ctx context.Context, d *Directory, author cid.Cid, layer shared.Layer, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", d.Shown, err)
	}
	if d.Part(author).Fork != nil {
		return fmt.Errorf("%s: %w", d.Shown, ErrForked)
	}
	return r.setDraft(ctx, d.layered(author, layer))
}

// layered returns the draft of the author's layer of the shared directory d.
func (d *Directory) layered(author cid.Cid, layer shared.Layer) *Draft {
	return &Draft{
		Directory: d.Founding, Author: dagcbor.Link{Cid: author}, Path: d.Founding.Path,
		Content: dagcbor.LinkTo(layer.Files), Marks: dagcbor.LinkTo(layer.Marks),
	}
}

// edited returns the draft of another content of the owned directory d.
func (d *Directory) edited(content cid.Cid) *Draft {
	return &Draft{
		Directory: d.Founding, Author: *d.Founding.Owner, Path: d.Path.String(), Content: dagcbor.LinkTo(content),
	}
}

// deletion returns the draft that deletes the owned directory d.
func (d *Directory) deletion() *Draft {
	return &Draft{Directory: d.Founding, Author: *d.Founding.Owner, Path: d.Path.String(), Deleted: true}
}

// found makes the outermost missing directory of p an owned directory that holds entry.
func (r *Root) found(ctx context.Context, author cid.Cid, p path.Path, entry unixfs.Entry) error {
	outer, rest, err := r.outermostMissing(ctx, p)
	if err != nil {
		return err
	}
	if rest.IsTop() {
		info, err := unixfs.Stat(ctx, r.blocks, entry.Cid)
		if err != nil {
			return err
		}
		if info.Kind != unixfs.Directory {
			return fileBelowPlain(p)
		}
	}
	content, err := putOwned(ctx, r.blocks, cid.Undef, rest.Names(), entry, false)
	if err != nil {
		return err
	}
	d, err := r.founding(ctx, author, outer, content)
	if err != nil {
		return err
	}
	return r.setDraft(ctx, d)
}

func fileBelowPlain(p path.Path) error {
	return fmt.Errorf("%s: %w: a file has to stand in a directory, such as %s/NAME/%s",
		p, ErrForbidden, p.Parent(), p.Base())
}

// founding returns the draft of a new owned directory of author at p.
func (r *Root) founding(ctx context.Context, author cid.Cid, p path.Path, content cid.Cid) (*Draft, error) {
	founding, err := r.newFounding(ctx, author, p)
	return &Draft{
		Directory: founding, Author: dagcbor.Link{Cid: author}, Path: p.String(), Content: dagcbor.LinkTo(content),
	}, err
}

// outermostMissing splits p behind the first name that is not there.
func (r *Root) outermostMissing(ctx context.Context, p path.Path) (outer, rest path.Path, err error) {
	names := p.Names()
	for i := range names {
		outer = path.Path{}
		if outer, err = outer.Join(names[:i+1]...); err != nil {
			return
		}
		if i == 0 {
			continue // root itself
		}
		_, err = r.Lookup(ctx, outer)
		if errors.Is(err, ErrNotFound) {
			rest, err = path.Path{}.Join(names[i+1:]...)
			return outer, rest, err
		}
		if err != nil {
			return
		}
	}
	return outer, rest, fmt.Errorf("%s: %w: it is a plain directory; name a directory below it", p, ErrForbidden)
}

// newFounding returns the founding document of a directory of author at p. The usual one may be
// in use, by a directory that was moved away; then a salt makes another.
func (r *Root) newFounding(ctx context.Context, author cid.Cid, p path.Path) (reference.Founding, error) {
	f := reference.Founding{Policy: reference.OwnedPolicy, Owner: dagcbor.LinkTo(author), Path: p.String()}
	if err := path.CheckPublished(f.Path); err != nil {
		return f, err
	}
	slot := reference.Slot{Directory: f.ID(), Author: author}
	held, err := r.state.Get(ctx, slot)
	if err != nil {
		return f, err
	}
	draft, err := r.draft(ctx, slot)
	if err != nil {
		return f, err
	}
	part := Part{Author: author, Reference: held.Reference, Draft: draft, Fork: held.Fork}
	if part.Fork != nil || (part.Draft != nil || part.Reference != nil) && !part.Deleted() {
		f.Salt = make([]byte, 16)
		rand.Read(f.Salt) // never fails
	}
	return f, nil
}

// Delete deletes what stands at p, as far as author may.
func (r *Root) Delete(ctx context.Context, author cid.Cid, p path.Path) error {
	if _, err := r.Lookup(ctx, p); err != nil {
		return err
	}
	dirs, err := r.Directories(ctx)
	if err != nil {
		return err
	}
	d, names := Governor(dirs, p)
	switch {
	case d == nil:
		return r.deletePlain(ctx, author, p, dirs)
	case d.Shared() && len(names) == 0:
		return fmt.Errorf("%s: %w: a shared directory stays; delete what is in it", p, ErrForbidden)
	case d.Shared():
		layer, err := shared.NewEditor(r.blocks, d.shared(), d.Content, author).Delete(ctx, names)
		return r.setLayer(ctx, d, author, layer, err)
	}
	if err := mayEdit(d, author); err != nil {
		return err
	}
	if len(names) == 0 {
		return r.setDraft(ctx, d.deletion())
	}
	content, err := deleteOwned(ctx, r.blocks, d.Content, names)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Shown, err)
	}
	return r.setDraft(ctx, d.edited(content))
}

// deletePlain deletes all directories below p; all have to be the author's.
func (r *Root) deletePlain(ctx context.Context, author cid.Cid, p path.Path, dirs []*Directory) error {
	below, err := ownBelow(author, p, dirs)
	if err != nil {
		return err
	}
	for _, d := range below {
		if err := r.setDraft(ctx, d.deletion()); err != nil {
			return err
		}
	}
	return nil
}

// ownBelow returns the directories below p, or an error if not all are the author's.
func ownBelow(author cid.Cid, p path.Path, dirs []*Directory) ([]*Directory, error) {
	var below []*Directory
	for _, d := range dirs {
		if _, ok := d.Shown.Below(p); !ok {
			continue
		}
		if d.Shared() {
			return nil, fmt.Errorf("%s: %w: the shared directory %s stands there", p, ErrForbidden, d.Shown)
		}
		if err := mayEdit(d, author); err != nil {
			return nil, err
		}
		below = append(below, d)
	}
	return below, nil
}

// Copy makes to show what from shows. To must not be there.
func (r *Root) Copy(ctx context.Context, author cid.Cid, from, to path.Path) error {
	entry, err := r.Lookup(ctx, from)
	if err != nil {
		return err
	}
	return r.CopyEntry(ctx, author, from, entry, to)
}

// CopyEntry makes to show entry, which from shows in this root or in another. To must not be there.
func (r *Root) CopyEntry(ctx context.Context, author cid.Cid, from path.Path, entry unixfs.Entry, to path.Path) error {
	if err := r.mustBeFree(ctx, from, to); err != nil {
		return err
	}
	return r.Put(ctx, author, to, entry, true)
}

func (r *Root) mustBeFree(ctx context.Context, from, to path.Path) error {
	if _, inside := to.Below(from); inside {
		return fmt.Errorf("%s: %w: it is inside of %s", to, ErrForbidden, from)
	}
	switch _, err := r.Lookup(ctx, to); {
	case err == nil:
		return fmt.Errorf("%s: %w: something stands there; delete it first", to, ErrForbidden)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return nil
}

// Move makes to show what from shows, and from nothing. An owned directory that moves to a plain
// place stays the same directory.
func (r *Root) Move(ctx context.Context, author cid.Cid, from, to path.Path) error {
	dirs, err := r.Directories(ctx)
	if err != nil {
		return err
	}
	d, names := Governor(dirs, from)
	target, _ := Governor(dirs, to)
	if d != nil && !d.Shared() && len(names) == 0 && target == nil {
		return r.relocate(ctx, author, d, from, to)
	}
	if err := r.Copy(ctx, author, from, to); err != nil {
		return err
	}
	if err := r.refresh(ctx); err != nil {
		return err
	}
	return r.Delete(ctx, author, from)
}

func (r *Root) relocate(ctx context.Context, author cid.Cid, d *Directory, from, to path.Path) error {
	if err := mayEdit(d, author); err != nil {
		return err
	}
	if err := r.mustBeFree(ctx, from, to); err != nil {
		return err
	}
	if err := path.CheckPublished(to.String()); err != nil {
		return err
	}
	return r.setDraft(ctx, &Draft{
		Directory: d.Founding, Author: *d.Founding.Owner, Path: to.String(), Content: dagcbor.LinkTo(d.Content),
	})
}

// refresh commits, so that a second edit sees what the first one did.
func (r *Root) refresh(ctx context.Context) error {
	_, err := r.Commit(ctx)
	return err
}
