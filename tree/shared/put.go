package shared

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// put writes entry under name.
func (e *Editor) put(ctx context.Context, at place, name string, entry unixfs.Entry, keep bool, edits *edits) error {
	kind, err := e.kind(ctx, entry.Cid)
	if err != nil {
		return err
	}
	g, err := e.group(ctx, at.level, name)
	if err != nil {
		return err
	}
	sub, err := e.sub(ctx, at, g)
	if err != nil {
		return err
	}
	if !sub.view.Defined() && !sub.taken {
		if err := e.checkHash(ctx, at, name); err != nil {
			return err
		}
	}
	isDir := kind == unixfs.Directory
	switch {
	case isDir && !sub.view.Defined() && sub.taken:
		return fmt.Errorf("%s: %w; delete it first", at.childPath(name), ErrIsFile)
	case !isDir && sub.view.Defined():
		return fmt.Errorf("%s: %w; delete it first", at.childPath(name), ErrIsDirectory)
	case isDir && len(g.parts) == 0 && !at.met:
		entry.Name = name
		edits.files[name] = &entry // nobody knows anything of that name: it need not be looked into
		return nil
	case isDir:
		layer, err := e.putDir(ctx, sub, entry.Cid, keep)
		if err != nil {
			return err
		}
		return e.setSub(ctx, at, g, layer, edits)
	}
	return e.putFile(ctx, at, g, entry, edits)
}

// putFile writes a file or symlink over what is shown under the name of g.
func (e *Editor) putFile(ctx context.Context, at place, g *group, entry unixfs.Entry, edits *edits) error {
	shown := g.shown(false)
	if len(shown) == 0 {
		return e.putBehind(ctx, at, g, entry, edits)
	}
	winner := shown[0].entry.Cid
	mine := g.of(e.author)
	if winner.Equals(entry.Cid) && mine.entry.Cid.Equals(entry.Cid) && !e.ownHidden(g) {
		return nil
	}
	if e.ownShown(g) && !mine.entry.Cid.Equals(winner) {
		if err := e.vacate(ctx, at, g, false, edits); err != nil {
			return err
		}
	}
	rest := slices.DeleteFunc(slices.Clone(g.versions), func(v version) bool {
		return v.hidden || v.author.Equals(e.author) || v.entry.Cid.Equals(winner)
	})
	id, err := e.write(at, g, entry, rest, edits)
	if err == nil && !winner.Equals(entry.Cid) { // the same beside another author's replaces nothing
		e.hideOthers(g, winner, id, edits)
	}
	return err
}

// putBehind writes a file under a name that no version of it is shown under. The name may be the
// conflict name of a version of another group, which is replaced then.
func (e *Editor) putBehind(ctx context.Context, at place, g *group, entry unixfs.Entry, edits *edits) error {
	base, v, err := e.behind(ctx, at, g.name)
	if err != nil {
		return err
	}
	id, err := e.write(at, g, entry, nil, edits)
	if err == nil && base != nil {
		e.remove(base, v.entry.Cid, id, edits)
	}
	return err
}

// write puts entry into the author's own slot of g and returns the id of the version. It has a
// nonce if anything was known under that name before. Rest are the versions that stay beside it:
// the nonce is chosen so that the new one has the lowest id and with it the plain name.
func (e *Editor) write(at place, g *group, entry unixfs.Entry, rest []version, edits *edits) (VersionID, error) {
	r := edits.record(g, e.author)
	r.Nonce = nil
	var id VersionID
	for try := 0; ; try++ {
		if len(g.parts) > 0 || at.met {
			r.Nonce = e.nonce()
		}
		var err error
		if id, err = versionID(e.author, at.directory, at.childPath(g.name), entry.Cid, r.Nonce); err != nil {
			return nil, err
		}
		lower := func(v version) bool { return bytes.Compare(v.id, id) < 0 }
		if r.Nonce == nil || try == maxTries || !slices.ContainsFunc(rest, lower) {
			break
		}
	}
	entry.Name = g.name
	edits.files[g.name] = &entry
	edits.records[g.name] = r
	return id, nil
}

// maxTries bounds the search for a nonce. It fails only if somebody has searched longer.
const maxTries = 20_000

// ownHidden reports whether the author has a version in g that is hidden.
func (e *Editor) ownHidden(g *group) bool {
	return slices.ContainsFunc(g.versions, func(v version) bool { return v.author.Equals(e.author) && v.hidden })
}

// ownShown reports whether the author has a version in g that is not hidden. A directory with
// something in it is no version.
func (e *Editor) ownShown(g *group) bool {
	return slices.ContainsFunc(g.versions, func(v version) bool { return v.author.Equals(e.author) && !v.hidden })
}

// vacate moves the author's own version of g, which is shown under a conflict name, to that name.
func (e *Editor) vacate(ctx context.Context, at place, g *group, isDir bool, edits *edits) error {
	mine := g.of(e.author)
	if slices.ContainsFunc(g.versions, func(v version) bool {
		return !v.hidden && !v.author.Equals(e.author) && v.entry.Cid.Equals(mine.entry.Cid)
	}) {
		return nil // another has the same, and keeps it shown
	}
	outs, err := e.outputs(ctx, at.level, g, isDir)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(outs, func(o output) bool {
		return o.version.entry.Cid.Equals(mine.entry.Cid) && o.name != g.name
	})
	if i < 0 && e.ownHidden(g) {
		return nil // nobody sees it, so nothing has to be kept
	}
	if i < 0 {
		return fmt.Errorf("%s: %w", at.childPath(g.name), errNameTooClose)
	}
	to, err := e.group(ctx, at.level, outs[i].name)
	if err != nil {
		return err
	}
	moved := mine.entry
	moved.Name = to.name
	r := edits.record(to, e.author) // marks that stand there stay
	r.Nonce = e.nonce()
	edits.files[to.name], edits.records[to.name] = &moved, r
	e.leave(g, edits)
	return nil
}

// putDir writes the directory dir into a place and returns the author's layer there.
func (e *Editor) putDir(ctx context.Context, at place, dir cid.Cid, keep bool) (Layer, error) {
	names := map[string]*unixfs.Entry{}
	note := func(name string, _, new *unixfs.Entry) error { names[name] = new; return nil }
	for _, base := range []cid.Cid{at.of(e.author).Files, at.view} {
		if err := unixfs.Diff(ctx, e.blocks, base, dir, note); err != nil {
			return Layer{}, err
		}
	}
	put := func(at place, name string, edits *edits) error {
		if entry := names[name]; entry != nil {
			return e.put(ctx, at, name, *entry, keep, edits)
		} else if !keep {
			return e.deleteOwn(ctx, at, name, edits)
		}
		return nil
	}
	// What is written through a conflict name changes the group behind it, so the rest has to see
	// it done.
	all := newEdits()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if _, _, ok := plainName(name); !ok {
			continue
		}
		edits := newEdits()
		if err := put(at, name, edits); err != nil {
			return Layer{}, err
		}
		delete(names, name)
		var err error
		if at, err = e.step(ctx, at, edits); err != nil {
			return Layer{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := put(at, name, all); err != nil {
			return Layer{}, err
		}
	}
	return e.finish(ctx, at, all)
}

// finish applies edits to the author's layer at a place, which is a directory from then on, if
// an empty one.
func (e *Editor) finish(ctx context.Context, at place, edits *edits) (Layer, error) {
	layer, err := e.apply(ctx, at.of(e.author), edits)
	if err == nil && !layer.Files.Defined() {
		layer.Files, err = editDir(ctx, e.blocks, cid.Undef, nil)
	}
	return layer, err
}

// step returns the place after edits.
func (e *Editor) step(ctx context.Context, at place, edits *edits) (place, error) {
	if len(edits.files)+len(edits.records) == 0 {
		return at, nil
	}
	layer, err := e.apply(ctx, at.of(e.author), edits)
	if err != nil {
		return at, err
	}
	return e.after(ctx, at, layer)
}

// after returns the place where the author's layer is another one.
func (e *Editor) after(ctx context.Context, at place, layer Layer) (next place, err error) {
	next = at
	next.level = newLevel(at.directory, append(at.others(e.author), layer))
	next.path = at.path
	next.view, err = e.dir(ctx, at.level, next.level, at.view)
	return next, err
}

// others returns the layers of all authors but one.
func (l level) others(author cid.Cid) []Layer {
	return slices.DeleteFunc(slices.Clone(l.layers), func(layer Layer) bool { return layer.Author.Equals(author) })
}

// deleteOwn removes what the author's layer shows under name, and leaves what others have.
func (e *Editor) deleteOwn(ctx context.Context, at place, name string, edits *edits) error {
	g, err := e.group(ctx, at.level, name)
	if err != nil {
		return err
	}
	if g.of(e.author).entry.Cid.Defined() {
		e.leave(g, edits)
		return nil
	}
	base, v, err := e.behind(ctx, at, name)
	if err == nil && base != nil && base.of(e.author).entry.Cid.Equals(v.entry.Cid) {
		e.leave(base, edits)
	}
	return err
}

// leave empties the author's own slot in g.
func (e *Editor) leave(g *group, edits *edits) {
	r := edits.record(g, e.author)
	r.Nonce, r.Met = nil, true
	edits.files[g.name], edits.records[g.name] = nil, r
}
