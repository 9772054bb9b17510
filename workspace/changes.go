package workspace

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
)

// A group is what one commit takes.
type group struct {
	changes  []*change
	journals []*journal // that are done with it
	steps    []func(*repo.Tx)
	fresh    []fresh
}

// A change is a name in a directory that is not as it is committed, as it was when the group was
// taken.
type change struct {
	dir    *Node
	name   string
	path   string // of the name
	number uint64
	node   *Node        // nil: nothing stands there
	clear  bool         // what is committed there has to go first
	was    unixfs.Entry // what that was, as far as it is known here

	file  *snapshot    // of a file that was written to
	base  unixfs.Entry // of a directory, what it is made of
	below []*change    // and what differs in it
	entry unixfs.Entry // what it becomes
	bad   bool         // there can be no such path

	attributes repo.Attributes
}

// A snapshot is what was written to a file since the last one.
type snapshot struct {
	file  *file
	saved unixfs.Entry // what it is made of
	count int64        // how many chunks of that are right, but for those in dirty
	dirty map[int64]struct{}
	size  int64
	attr  unixfs.Attr
}

// fresh are attributes that have to be recorded.
type fresh struct {
	node       *Node
	path       string
	attributes repo.Attributes
}

// takeFresh takes the attributes of nodes that changed in nothing else. ws.mu is held.
func (ws *Workspace) takeFresh(g *group) {
	taken := map[*Node]bool{}
	g.each(func(c *change) { taken[c.node] = true })
	for n := range ws.fresh {
		if _, changed := n.parent.dir.changed[n.name]; n.lost() || taken[n] {
			delete(ws.fresh, n)
		} else if !changed || n.dir != nil {
			g.fresh = append(g.fresh, fresh{n, n.path(), n.attributes()})
			delete(ws.fresh, n)
		}
	}
}

const (
	// busyFor is how long after the last write a file counts as being written.
	busyFor = 60 * time.Millisecond
	// busyAtMost is how long a commit leaves out a file because it is being written.
	busyAtMost = 3 * time.Second
)

// busy reports whether f is being written just now, and may wait.
func (f *file) busy(now time.Time) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.changed && f.writers > 0 && !f.synced && now.Sub(f.last) < busyFor && now.Sub(f.since) < busyAtMost
}

// mayWait reports whether n is a file that is being written just now, and nothing else depends on it:
// one that was renamed would be nowhere meanwhile. ws.mu is held.
func (n *Node) mayWait(now time.Time) bool {
	return n.file != nil && (n.placed || !n.entry.Cid.Defined()) && n.file.busy(now)
}

// take collects what has to be committed; with all also of files that are being written.
func (ws *Workspace) take(all bool) (*group, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	g := &group{}
	if !ws.ready(all) {
		return g, nil
	}
	if err := ws.nextJournal(); err != nil {
		return nil, err
	}
	g.journals = ws.journals[:len(ws.journals)-1]
	for d := range ws.dirty {
		if len(d.dir.changed) == 0 || d.lost() {
			delete(ws.dirty, d)
			continue
		}
		if d.unsettled() == nil {
			g.changes = append(g.changes, ws.changesOf(d, all)...)
		}
	}
	g.steps, ws.steps = ws.steps, nil
	ws.takeFresh(g)
	return g, nil
}

// ready reports whether something has to be committed that need not wait. ws.mu is held.
func (ws *Workspace) ready(all bool) bool {
	if len(ws.fresh) > 0 || all && len(ws.dirty) > 0 {
		return true
	}
	now := time.Now()
	for d := range ws.dirty {
		for name := range d.dir.changed {
			if kid := d.dir.kids[name]; kid == nil || !kid.mayWait(now) {
				return true
			}
		}
	}
	return false
}

// changesOf returns the changes in the directory d. ws.mu is held.
func (ws *Workspace) changesOf(d *Node, all bool) []*change {
	var changes []*change
	for name, number := range d.dir.changed {
		kid := d.dir.kids[name]
		if kid != nil && !all && kid.mayWait(time.Now()) && kid.file.stays() {
			continue
		}
		_, listed := d.dir.listing[name]
		if old, theirs := d.dir.theirs[name]; kid == nil && (!listed || theirs && !old.Cid.Defined()) {
			d.forgetChange(name) // made and removed
			continue
		}
		changes = append(changes, ws.changeOf(d, name, number, kid, all))
	}
	return changes
}

// stays puts what f is by now into the new journal, as it is left out of the group, and reports
// whether it could.
func (f *file) stays() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.node.ws.write(f.statement()) == nil
}

// forgetChange notes that a name is as it is committed. ws.mu is held.
func (n *Node) forgetChange(name string) {
	delete(n.dir.changed, name)
	delete(n.dir.cleared, name)
	delete(n.dir.theirs, name)
}

func (ws *Workspace) changeOf(d *Node, name string, number uint64, kid *Node, all bool) *change {
	c := &change{dir: d, name: name, path: d.childPath(name), number: number, node: kid}
	_, cleared := d.dir.cleared[name]
	listed, theirs := d.dir.listing[name], false
	if c.was, theirs = d.dir.theirs[name]; !theirs {
		c.was = listed
	}
	c.clear = kid == nil || cleared || kid.dir != nil && listed.Cid.Defined()
	if kid == nil {
		return c
	}
	c.entry, c.attributes = kid.entry, kid.attributes()
	switch {
	case kid.file != nil:
		c.file = kid.file.snapshot()
	case kid.dir != nil:
		c.base = kid.entry
		c.below = append(ws.changesOf(kid, all), ws.changesBelow(kid, all)...)
	}
	return c
}

// changesBelow returns the changes of directories in d that are as committed themselves.
func (ws *Workspace) changesBelow(d *Node, all bool) []*change {
	var changes []*change
	for name, kid := range d.dir.kids {
		if _, changed := d.dir.changed[name]; changed || kid.dir == nil {
			continue
		}
		below := append(ws.changesOf(kid, all), ws.changesBelow(kid, all)...)
		if len(below) > 0 {
			changes = append(changes, &change{
				dir: d, name: name, path: d.childPath(name), node: kid, base: kid.entry, below: below, attributes: kid.attributes(),
			})
		}
	}
	return changes
}

// snapshot returns what was written to f since the last one; nil if nothing was. ws.mu is held.
func (f *file) snapshot() *snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.changed {
		return nil
	}
	s := &snapshot{file: f, saved: f.saved, count: f.savedChunks, dirty: f.dirty, size: f.size}
	s.attr.Executable = f.node.executable()
	if f.base != nil && !f.base.index.Attr().Mtime.IsZero() { // as it was recorded, so that its leaves stay
		s.attr.Mtime = f.node.mtime.or(time.Now())
	}
	f.snapshots++
	f.changed, f.dirty, f.savedChunks = false, map[int64]struct{}{}, math.MaxInt64
	return s
}

// put writes the chunks of a snapshot and returns the file.
func (s *snapshot) put(ctx context.Context, blocks store.Blocks) (unixfs.Entry, error) {
	added, err := unixfs.PatchFile(ctx, blocks, unixfs.Patch{
		Base: s.saved.Cid, BaseChunks: s.count, Size: s.size, Attr: s.attr,
		Changed: func(i int64) bool { _, dirty := s.dirty[i]; return dirty },
		Data:    s.file.local,
	})
	return unixfs.Entry{Cid: added.Cid, Tsize: added.Tsize}, err
}

// put writes what c becomes: files to one place, and directories to another that gives back what was
// put.
func (c *change) put(ctx context.Context, files, dirs store.Blocks) (err error) {
	switch {
	case c.node == nil:
		return nil
	case c.file != nil:
		c.entry, err = c.file.put(ctx, files)
		return err
	case c.node.kind == unixfs.Symlink && !c.entry.Cid.Defined():
		c.entry, err = unixfs.AddSymlink(ctx, dirs, c.node.target, time.Time{})
		return err
	case c.node.kind == unixfs.Directory:
		return c.putDir(ctx, files, dirs)
	}
	return nil
}

func (c *change) putDir(ctx context.Context, files, dirs store.Blocks) error {
	entries := make([]unixfs.Entry, 0, len(c.below))
	for _, below := range c.below {
		if err := below.put(ctx, files, dirs); err != nil {
			return err
		}
		e := below.entry
		e.Name = below.name
		entries = append(entries, e)
	}
	base := c.base.Cid
	if !base.Defined() {
		empty, e := unixfs.EmptyDir()
		if err := dirs.Put(ctx, empty); err != nil {
			return err
		}
		base = e.Cid
	}
	var err error
	c.entry, err = unixfs.Edit(ctx, dirs, base, entries)
	return err
}

// each calls fn for c and all changes below it.
func (c *change) each(fn func(*change)) {
	fn(c)
	for _, below := range c.below {
		below.each(fn)
	}
}

func (g *group) each(fn func(*change)) {
	for _, c := range g.changes {
		c.each(fn)
	}
}

// forTree returns the changes as the tree takes them, and those of which the path is none.
func (g *group) forTree(ctx context.Context, ws *Workspace, root *tree.Root, blocks store.Getter) (changes []tree.Change, refused []tree.Refusal, err error) {
	for _, c := range g.changes {
		p, err := path.Parse(c.path)
		if err != nil {
			refused = append(refused, tree.Refusal{Change: tree.Change{Entry: c.entryOrNil()}, Err: fmt.Errorf("%s: %w", c.path, err)})
			c.bad = true
			continue
		}
		change := tree.Change{Path: p, Remove: c.clear, Entry: c.entryOrNil()}
		if !c.clear {
			changes = append(changes, change)
			continue
		}
		more, err := (&remover{ws, root, blocks}).without(ctx, change, c.was)
		if err != nil {
			return nil, nil, err
		}
		changes = append(changes, more...)
	}
	return outermost(changes), refused, nil
}

func (c *change) entryOrNil() *unixfs.Entry {
	if c.node == nil {
		return nil
	}
	e := c.entry
	return &e
}

// outermost leaves out the changes below others: they are part of those.
func outermost(changes []tree.Change) []tree.Change {
	slices.SortFunc(changes, func(a, b tree.Change) int { return strings.Compare(a.Path.String()+"/", b.Path.String()+"/") })
	kept := changes[:0]
	for _, c := range changes {
		if len(kept) > 0 {
			if _, below := c.Path.Below(kept[len(kept)-1].Path); below {
				continue
			}
		}
		kept = append(kept, c)
	}
	return kept
}
