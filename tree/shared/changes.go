package shared

import (
	"bytes"
	"context"
	"slices"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A PathOutcome says what became of what is shown at a path.
type PathOutcome string

// The outcomes of paths.
const (
	PathAdded    PathOutcome = "added"
	PathChanged  PathOutcome = "changed"
	PathDeleted  PathOutcome = "deleted"            // its author has it no more
	PathHidden   PathOutcome = "hidden"             // its author still has it, and a mark hides it
	PathConflict PathOutcome = "conflict-both-kept" // shown beside what has the plain name
	PathRestored PathOutcome = "restored"           // what was hidden at this path is shown again
)

// A Change is a path at which a directory shows something else than before.
type Change struct {
	Outcome PathOutcome
	Path    string // as shown, relative to the directory
	Plain   string // of a conflict, the path that it is a version of
	// Authors wrote what is shown now; of what was hidden, those of the marks; of what was
	// deleted, those who had it. None if it cannot be told.
	Authors []cid.Cid
	Content cid.Cid // what is shown now, else what was
}

// Changes calls fn for every path at which the shared directory now, with its view, shows something
// else than before, with its view. Either may be the zero Directory, without a view. The order is
// not specified. The cost follows what differs in the views.
func Changes(ctx context.Context, blocks store.Blocks, before Directory, beforeView cid.Cid, now Directory, view cid.Cid, fn func(Change) error) error {
	c := &changer{reader: newReader(blocks), fn: fn}
	return c.dir(ctx, newLevel(before.ID, before.Layers), newLevel(now.ID, now.Layers), beforeView, view)
}

type changer struct {
	*reader
	fn func(Change) error
}

func (c *changer) dir(ctx context.Context, old, now level, oldView, view cid.Cid) error {
	if oldView.Equals(view) {
		return nil
	}
	if old.plain() && now.plain() {
		return c.tree(ctx, old, now, oldView, view)
	}
	return unixfs.Diff(ctx, c.blocks, oldView, view, func(name string, was, is *unixfs.Entry) error {
		return c.name(ctx, old, now, was, is, name)
	})
}

// plain reports whether all that the level shows is what each of its layers has.
func (l level) plain() bool {
	_, single := l.single()
	return single || len(l.layers) == 0
}

func (l level) authors() []cid.Cid {
	var authors []cid.Cid
	for _, layer := range l.layers {
		authors = append(authors, layer.Author)
	}
	return authors
}

// tree compares views below which nothing has to be told apart.
func (c *changer) tree(ctx context.Context, old, now level, oldView, view cid.Cid) error {
	removed, written := old.authors(), now.authors()
	return unixfs.DiffTree(ctx, c.blocks, oldView, view, func(at string, was, is *unixfs.Entry) error {
		switch at = now.childPath(at); {
		case is == nil:
			return c.fn(Change{Outcome: PathDeleted, Path: at, Authors: removed, Content: was.Cid})
		case was == nil:
			return c.fn(Change{Outcome: PathAdded, Path: at, Authors: written, Content: is.Cid})
		}
		return c.fn(Change{Outcome: PathChanged, Path: at, Authors: written, Content: is.Cid})
	})
}

// name tells what became of one name, which was shown as one entry and is as another.
func (c *changer) name(ctx context.Context, old, now level, was, is *unixfs.Entry, name string) error {
	if was != nil && is != nil && was.Cid.Equals(is.Cid) {
		return nil
	}
	oldDir, err := unixfs.DirectoryOf(ctx, c.blocks, was)
	if err != nil {
		return err
	}
	newDir, err := unixfs.DirectoryOf(ctx, c.blocks, is)
	if err != nil {
		return err
	}
	switch {
	case oldDir.Defined() && isEmpty(is) || newDir.Defined() && isEmpty(was):
		// filled or emptied; what is below tells of it
	case is != nil && !newDir.Defined():
		err = c.shown(ctx, old, now, was != nil && !oldDir.Defined(), *is, name)
	case was != nil && !oldDir.Defined():
		err = c.gone(ctx, old, now, *was, newDir.Defined(), name)
	}
	if err != nil || !oldDir.Defined() && !newDir.Defined() {
		return err
	}
	before, err := c.group(ctx, old, name)
	if err != nil {
		return err
	}
	after, err := c.group(ctx, now, name)
	if err != nil {
		return err
	}
	return c.dir(ctx, before.below, after.below, oldDir, newDir)
}

func isEmpty(e *unixfs.Entry) bool { return e != nil && e.Cid.Equals(emptyCid) }

// shown tells of a file that is shown now; wasFile says that another had its name.
func (c *changer) shown(ctx context.Context, old, now level, wasFile bool, is unixfs.Entry, name string) error {
	g, versions, err := c.versions(ctx, now, name, is.Cid)
	if err != nil {
		return err
	}
	before, err := c.group(ctx, old, name)
	if err != nil {
		return err
	}
	change := Change{Outcome: PathChanged, Path: now.childPath(name), Authors: authorsOf(versions), Content: is.Cid}
	switch {
	case g.name != name:
		change.Outcome, change.Plain = PathConflict, now.childPath(g.name)
	case before.hides(is.Cid):
		change.Outcome = PathRestored
	case !wasFile:
		change.Outcome = PathAdded
	}
	return c.fn(change)
}

// gone tells of a file that was shown; isDir says that a directory has taken its name.
func (c *changer) gone(ctx context.Context, old, now level, was unixfs.Entry, isDir bool, name string) error {
	g, versions, err := c.versions(ctx, old, name, was.Cid)
	if err != nil {
		return err
	}
	after, err := c.group(ctx, now, g.name)
	if err != nil {
		return err
	}
	change := Change{Outcome: PathDeleted, Path: now.childPath(name), Authors: authorsOf(versions), Content: was.Cid}
	var by []cid.Cid
	for _, v := range versions {
		still, ok := after.version(v.id)
		if ok && !still.hidden && isDir {
			return nil // shown beside the directory, which is told of there
		}
		if ok && still.hidden {
			by = append(by, after.hiders(v.id)...)
			change.Outcome, change.Authors = PathHidden, by
		}
	}
	return c.fn(change)
}

// versions returns the versions with the content that the level shows under the name, which may
// be a conflict name, and the group they are of.
func (c *changer) versions(ctx context.Context, l level, name string, content cid.Cid) (*group, []version, error) {
	g, err := c.group(ctx, l, name)
	if err != nil {
		return nil, nil, err
	}
	if found := g.visible(content); len(found) > 0 {
		return g, found, nil
	}
	plain, _, ok := plainName(name)
	if !ok {
		return g, nil, nil
	}
	beside, err := c.group(ctx, l, plain)
	if err != nil {
		return nil, nil, err
	}
	if found := beside.visible(content); len(found) > 0 {
		return beside, found, nil
	}
	return g, nil, nil
}

// visible returns the versions with the content that are not hidden.
func (g *group) visible(content cid.Cid) []version {
	var found []version
	for _, v := range g.versions {
		if !v.hidden && v.entry.Cid.Equals(content) {
			found = append(found, v)
		}
	}
	return found
}

// hides reports whether all versions with the content, and at least one, are hidden.
func (g *group) hides(content cid.Cid) bool {
	hidden := slices.ContainsFunc(g.versions, func(v version) bool { return v.hidden && v.entry.Cid.Equals(content) })
	return hidden && len(g.visible(content)) == 0
}

func (g *group) version(id VersionID) (version, bool) {
	i := slices.IndexFunc(g.versions, func(v version) bool { return bytes.Equal(v.id, id) })
	if i < 0 {
		return version{}, false
	}
	return g.versions[i], true
}

// hiders returns the authors of the marks on a version.
func (g *group) hiders(id VersionID) []cid.Cid {
	var by []cid.Cid
	for _, p := range g.parts {
		if slices.ContainsFunc(p.record.Hides, func(m Mark) bool { return bytes.Equal(m.Version, id) }) {
			by = append(by, p.author)
		}
	}
	return by
}

func authorsOf(versions []version) []cid.Cid {
	var authors []cid.Cid
	for _, v := range versions {
		authors = append(authors, v.author)
	}
	return authors
}
