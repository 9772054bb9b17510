package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"archivecache/tree/path"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Decision says what becomes of a conflict in a shared directory: one of the three.
type Decision struct {
	Take string        // the name or path of the side that gets the plain path
	File *unixfs.Entry // a file that gets the plain path
	Keep []Keep        // sides that stay, each under a name; the others are replaced
}

// A Keep is a side and the name that it gets, in the same directory.
type Keep struct{ Side, As string }

// Resolve decides about the conflict at p, which is the plain path or that of a side. The change
// is a draft of author, and replaces all versions that are visible now, whoever wrote them. A
// directory among the sides stays as it is.
func (r *Root) Resolve(ctx context.Context, author cid.Cid, p path.Path, decision Decision) error {
	d, names, err := r.sharedAt(ctx, p)
	if err != nil {
		return err
	}
	editor := shared.NewEditor(r.blocks, d.shared(), d.Content, author)
	sides, err := editor.Sides(ctx, names)
	if err != nil {
		return explainConflict(p, err)
	}
	choices, err := decision.choices(d.Shown, sides)
	if err != nil {
		return fmt.Errorf("%s/%s: %w", d.Shown, sides[0].Plain, err)
	}
	layer, err := editor.Resolve(ctx, names, choices)
	return r.setLayer(ctx, d, author, layer, err)
}

// Sides returns the sides of the conflict at p, which is the plain path or that of a side.
func (t *Tree) Sides(ctx context.Context, r *Root, p path.Path) ([]Side, error) {
	d, names, err := r.sharedAt(ctx, p)
	if err != nil {
		return nil, err
	}
	found, err := shared.NewEditor(r.blocks, d.shared(), d.Content, cid.Undef).Sides(ctx, names)
	if err != nil {
		return nil, explainConflict(p, err)
	}
	var sides []Side
	for _, c := range found {
		side, err := t.side(ctx, d, c)
		if err != nil {
			return nil, err
		}
		sides = append(sides, side)
	}
	return sides, nil
}

func explainConflict(p path.Path, err error) error {
	if errors.Is(err, shared.ErrNoConflict) {
		return fmt.Errorf("%s: %w; conflicts lists those that there are", p, shared.ErrNoConflict)
	}
	return fmt.Errorf("%s: %w", p, err)
}

// sharedAt returns the shared directory that p stands in or is, and the names below it.
func (r *Root) sharedAt(ctx context.Context, p path.Path) (*Directory, []string, error) {
	dirs, err := r.Directories(ctx)
	if err != nil {
		return nil, nil, err
	}
	d, names := Governor(dirs, p)
	switch {
	case d == nil:
		return nil, nil, fmt.Errorf("%s: %w: it stands in no shared directory", p, ErrForbidden)
	case !d.Shared():
		return nil, nil, fmt.Errorf("%s: %w: %s has one owner, and directories at one place are told apart by moving them", p, ErrForbidden, d.Shown)
	}
	return d, names, nil
}

// choices returns what d means for the given sides of a conflict in the directory at.
func (d Decision) choices(at path.Path, sides []shared.Conflict) ([]shared.Choice, error) {
	plain := sides[0].Entry().Name
	isDir := sides[0].ID == nil
	var only unixfs.Entry
	switch {
	case len(d.Keep) > 0:
		return d.keep(at, sides)
	case d.File != nil:
		only = *d.File
	default:
		side, err := findSide(at, sides, d.Take)
		if err != nil {
			return nil, err
		}
		if side.ID == nil {
			return nil, nil // the directory stays, and the files go
		}
		only = side.Entry()
	}
	if isDir {
		return nil, fmt.Errorf("%w, which has the name before any file; move it away first, or keep the file under another name", ErrIsDirectory)
	}
	return []shared.Choice{{Name: plain, Entry: only}}, nil
}

func (d Decision) keep(at path.Path, sides []shared.Conflict) ([]shared.Choice, error) {
	var choices []shared.Choice
	for _, k := range d.Keep {
		if err := path.CheckName(k.As); err != nil {
			return nil, err
		}
		side, err := findSide(at, sides, k.Side)
		if err != nil {
			return nil, err
		}
		if side.ID == nil {
			return nil, fmt.Errorf("%s: %w; move gives it another name", side.Path, ErrIsDirectory)
		}
		choices = append(choices, shared.Choice{Name: k.As, Entry: side.Entry()})
	}
	return choices, nil
}

// findSide returns the side with the given name or path.
func findSide(at path.Path, sides []shared.Conflict, name string) (shared.Conflict, error) {
	var names []string
	for _, s := range sides {
		base := s.Path[strings.LastIndexByte(s.Path, '/')+1:]
		if name == base || name == at.String()+"/"+s.Path {
			return s, nil
		}
		names = append(names, base)
	}
	return shared.Conflict{}, fmt.Errorf("%w: no side is called %q; there are %s", ErrNotFound, name, quoted(names))
}

func quoted(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", name)
	}
	return b.String()
}
