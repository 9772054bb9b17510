package shared

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Reasons why a conflict is not resolved so.
var (
	ErrNoConflict = errors.New("there is no conflict")
	ErrExists     = errors.New("something stands there")
)

// A Choice is a file that stays when a conflict is resolved.
type Choice struct {
	Name  string // in the directory of the conflict
	Entry unixfs.Entry
}

// Sides returns the sides of the conflict at names, which are the plain path or that of a side.
// Where nothing is in conflict that is [ErrNoConflict].
func (e *Editor) Sides(ctx context.Context, names []string) ([]Conflict, error) {
	at := place{level: e.top, view: e.view}
	for len(names) > 1 {
		g, err := e.group(ctx, at.level, names[0])
		if err != nil {
			return nil, err
		}
		sub, err := e.sub(ctx, at, g)
		if err != nil {
			return nil, err
		}
		if !sub.view.Defined() {
			return nil, fmt.Errorf("%s: %w", at.childPath(names[0]), ErrNotFound)
		}
		at, names = sub, names[1:]
	}
	if len(names) == 0 {
		return nil, ErrNoConflict
	}
	_, sides, err := e.conflictAt(ctx, at, names[0])
	return sides, err
}

// conflictAt returns the group in conflict that has the name, or a side of that name, and its
// sides.
func (e *Editor) conflictAt(ctx context.Context, at place, name string) (*group, []Conflict, error) {
	g, err := e.group(ctx, at.level, name)
	if err != nil {
		return nil, nil, err
	}
	sides, err := e.sidesOf(ctx, at, g)
	if err != nil || len(sides) > 0 {
		return g, sides, err
	}
	base, _, err := e.behind(ctx, at, name)
	if err != nil {
		return nil, nil, err
	}
	if base == nil {
		return nil, nil, fmt.Errorf("%s: %w", at.childPath(name), ErrNoConflict)
	}
	sides, err = e.sidesOf(ctx, at, base)
	return base, sides, err
}

func (e *Editor) sidesOf(ctx context.Context, at place, g *group) ([]Conflict, error) {
	dir, err := e.shownDir(ctx, g, at.view)
	if err != nil {
		return nil, err
	}
	return e.sides(ctx, at.level, g, dir)
}

// Resolve returns the author's layer after a decision about the conflict at names, which are the
// plain path or that of a side: what is chosen stands under the chosen names, as new versions of
// the author, and all files that are in conflict are replaced. A directory with something in it is
// not: it keeps the plain name, which no choice can have then. Without choices the files are
// deleted.
func (e *Editor) Resolve(ctx context.Context, names []string, choices []Choice) (Layer, error) {
	if len(names) == 0 {
		return Layer{}, ErrNoConflict
	}
	return e.descend(ctx, place{level: e.top, view: e.view}, names, false, func(at place, name string, edits *edits) error {
		g, sides, err := e.conflictAt(ctx, at, name)
		if err != nil {
			return err
		}
		if err := e.checkChoices(ctx, at, g, sides, choices); err != nil {
			return err
		}
		return e.resolve(ctx, at, g, choices, edits)
	})
}

// checkChoices refuses names that are taken by something that is no side of the conflict, or
// twice.
func (e *Editor) checkChoices(ctx context.Context, at place, g *group, sides []Conflict, choices []Choice) error {
	for i, c := range choices {
		where := at.childPath(c.Name)
		if slices.ContainsFunc(choices[:i], func(before Choice) bool { return before.Name == c.Name }) {
			return fmt.Errorf("%s: %w: two sides cannot have one name", where, ErrExists)
		}
		if kind, err := e.kind(ctx, c.Entry.Cid); err != nil {
			return err
		} else if kind == unixfs.Directory && !c.Entry.Cid.Equals(emptyCid) {
			return fmt.Errorf("%s: %w", where, ErrIsDirectory)
		}
		side := slices.IndexFunc(sides, func(s Conflict) bool { return s.Path == where })
		if side >= 0 && sides[side].ID == nil {
			return fmt.Errorf("%s: %w, and keeps the name; move it away first, or keep the file under another name", where, ErrIsDirectory)
		}
		shown, err := e.lookup(ctx, at.view, c.Name)
		if err != nil {
			return err
		}
		if shown.Cid.Defined() && side < 0 {
			return fmt.Errorf("%s: %w; choose another name", where, ErrExists)
		}
		if !shown.Cid.Defined() {
			if err := e.checkHash(ctx, at, c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve writes the choices and replaces all that g shows. The marks are by the version at the
// plain name, or else by the first.
func (e *Editor) resolve(ctx context.Context, at place, g *group, choices []Choice, edits *edits) error {
	if g.of(e.author).isVersion() {
		e.leave(g, edits)
	}
	var by VersionID
	for _, c := range choices {
		to, where := g, at
		if c.Name != g.name {
			var err error
			if to, err = e.group(ctx, at.level, c.Name); err != nil {
				return err
			}
			where.met = true // nobody may know the id before: a mark on it would take the marks by it away
		}
		id, err := e.write(where, to, c.Entry, nil, edits)
		if err != nil {
			return err
		}
		if by == nil || to == g {
			by = id
		}
	}
	for _, content := range g.contents() {
		e.hideOthers(g, content, by, edits)
	}
	return nil
}

// contents returns the contents of the versions of g that are not hidden.
func (g *group) contents() []cid.Cid {
	var all []cid.Cid
	for _, v := range g.versions {
		if !v.hidden && !slices.Contains(all, v.entry.Cid) {
			all = append(all, v.entry.Cid)
		}
	}
	return all
}

// isVersion reports whether p has a version: a file, a symlink or an empty directory.
func (p part) isVersion() bool {
	return p.entry.Cid.Defined() && (p.kind != unixfs.Directory || p.entry.Cid.Equals(emptyCid))
}

// base returns the last name of a path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
