package workspace

import (
	"context"
	"time"

	"archivecache/repo"
	"archivecache/unixfs"
)

// A plan is how a directory differs from what is known of it.
type plan struct {
	node  *Node
	entry unixfs.Entry
	names map[string]*unixfs.Entry // nil: nothing stands there any more
	infos map[string]unixfs.Info   // of those that there are nodes of
	below []*plan
	whole bool // nothing was known of it
	late  bool // something of it became known too late for the plan
	// unknown says that it could not be compared: all of it is asked for anew.
	unknown bool
}

// follow makes the workspace show the head.
func (ws *Workspace) follow(ctx context.Context) error {
	ws.following.Lock()
	defer ws.following.Unlock()
	return ws.followHead(ctx)
}

// followHead is follow for who has ws.following.
func (ws *Workspace) followHead(ctx context.Context) error {
	if err := ws.followOnce(ctx, false, func() {}); err != nil {
		return err
	}
	ws.followAgain(ctx)
	return nil
}

// followAgain looks at what became known too late.
func (ws *Workspace) followAgain(ctx context.Context) {
	for ws.again {
		if err := ws.followOnce(ctx, false, func() {}); err != nil {
			ws.sayOnce("cannot follow the repository: %v", err)
			return
		}
	}
}

// followOnce makes the workspace show the head; own says that it has just committed that itself. First
// is done before anything else becomes known, and only if there is no error.
func (ws *Workspace) followOnce(ctx context.Context, own bool, first func()) error {
	next, err := ws.look(ctx)
	if err != nil {
		return err
	}
	c := &comparison{tree: ws.repo.TreeAt(next.Cid)}
	if err := ws.compare(ctx, ws.top, c); err != nil {
		return err
	}
	recorded, err := ws.repo.AttributesSince(ctx, ws.head.Head)
	if err != nil {
		return err
	}
	ws.mu.Lock()
	first()
	ws.foreign = !own || next.Entry > ws.head.Entry+1
	ws.head, ws.again, ws.behind = next, false, false
	for _, step := range c.local {
		step()
	}
	for _, p := range c.plans {
		ws.apply(p)
	}
	ws.applyAttributes(recorded)
	ws.mu.Unlock()
	ws.tellAll()
	return nil
}

// tellAll hands out the events.
func (ws *Workspace) tellAll() {
	ws.mu.Lock()
	events := ws.events
	ws.events = nil
	ws.mu.Unlock()
	if ws.opt.Watch != nil {
		for _, e := range events {
			ws.opt.Watch(e)
		}
	}
}

// tell adds an event. ws.mu is held.
func (ws *Workspace) tell(n *Node, name string) {
	ws.events = append(ws.events, Event{n, name})
}

// plan compares the directory n with what is committed there by now.
func (ws *Workspace) plan(ctx context.Context, n *Node, now unixfs.Entry) (*plan, error) {
	ws.mu.RLock()
	before, known := n.entry, n.dir.listing != nil
	ws.mu.RUnlock()
	p := &plan{node: n, entry: now, names: map[string]*unixfs.Entry{}, infos: map[string]unixfs.Info{}, whole: !known}
	if !known || before.Cid.Equals(now.Cid) {
		return p, nil
	}
	diff, cancel := ws.deadline(ctx)
	defer cancel()
	err := unixfs.Diff(diff, ws.blocks, before.Cid, now.Cid, func(name string, _, e *unixfs.Entry) error {
		p.names[name] = e
		return nil
	})
	if err != nil {
		ws.sayOnce("cannot compare a directory: %v", err)
		p.unknown = true
		return p, ctx.Err()
	}
	for name, e := range p.names {
		if err := ws.planName(ctx, p, name, e); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// planName looks at what stands under a name that differs, if there is a node of it.
func (ws *Workspace) planName(ctx context.Context, p *plan, name string, e *unixfs.Entry) error {
	ws.mu.RLock()
	kid := p.node.dir.kids[name]
	differs := kid != nil && e != nil && !kid.entry.Cid.Equals(e.Cid)
	ws.mu.RUnlock()
	if !differs {
		return nil
	}
	info, err := ws.stat(ctx, *e)
	if err != nil {
		p.infos[name] = unixfs.Info{} // of no kind: whoever looks finds out
		return ctx.Err()
	}
	p.infos[name] = info
	if kid.dir == nil || info.Kind != unixfs.Directory {
		return nil
	}
	below, err := ws.plan(ctx, kid, *e)
	p.below = append(p.below, below)
	return err
}

// apply makes a directory as planned. ws.mu is held.
func (ws *Workspace) apply(p *plan) {
	d := p.node.dir
	if p.whole && d.listing != nil { // it was read just now
		ws.again = true
		return
	}
	if p.unknown {
		ws.askAnew(p)
		return
	}
	before := p.node.entry
	p.node.entry, p.late = p.entry, false
	for _, below := range p.below {
		if kid := below.node; kid.parent == p.node && kid.placed && d.kids[kid.name] == kid {
			ws.apply(below)
		}
	}
	others := false
	for name, e := range p.names {
		others = ws.applyName(p, name, e) || others
	}
	if others {
		p.node.mtime.set(time.Now())
		ws.tell(p.node, "")
	}
	if p.late {
		p.node.entry, ws.again = before, true
	}
}

// askAnew forgets what is known of a directory, but for what was changed in it. ws.mu is held.
func (ws *Workspace) askAnew(p *plan) {
	n := p.node
	for name, kid := range n.dir.kids {
		if _, changed := n.dir.changed[name]; !changed {
			ws.vanish(kid)
		}
	}
	n.entry, n.dir.listing, n.dir.attributes = p.entry, nil, nil
	ws.tell(n, "")
}

// applyName makes a name as planned, unless it was changed here. It reports whether the directory
// has other names then.
func (ws *Workspace) applyName(p *plan, name string, e *unixfs.Entry) (others bool) {
	d := p.node.dir
	old, had := d.listing[name]
	if e == nil {
		delete(d.listing, name)
	} else {
		d.listing[name] = *e
	}
	if e != nil && !old.Cid.Equals(e.Cid) {
		delete(d.attributes, name)
	}
	_, changed := d.changed[name]
	if changed && ws.foreign {
		ws.noteTheirs(d, name, old, e)
	}
	if !changed && d.kids[name] != nil {
		ws.applyKid(p, d.kids[name], e)
	}
	return had != (e != nil)
}

// noteTheirs notes what was committed under a name before somebody else has changed that.
func (ws *Workspace) noteTheirs(d *dir, name string, old unixfs.Entry, e *unixfs.Entry) {
	if e != nil && e.Cid.Equals(old.Cid) {
		return
	}
	if _, noted := d.theirs[name]; !noted {
		d.theirs[name] = old
	}
}

// applyKid makes a node as planned.
func (ws *Workspace) applyKid(p *plan, kid *Node, e *unixfs.Entry) {
	if e == nil {
		ws.vanish(kid)
		return
	}
	if kid.entry.Cid.Equals(e.Cid) { // of a directory that was planned as well
		kid.entry = *e
		return
	}
	info, known := p.infos[kid.name]
	switch {
	case !known:
		p.late = true
	case info.Kind != kid.kind:
		ws.detach(kid)
		ws.tell(p.node, kid.name)
	case kid.dir == nil:
		ws.replace(kid, *e, info)
	default:
		p.late = true
	}
}

// replace makes the file or symlink n show what somebody else has put there. ws.mu is held.
func (ws *Workspace) replace(n *Node, e unixfs.Entry, info unixfs.Info) {
	n.entry, n.target = e, info.Target
	n.mtime.set(time.Now())
	n.ctime.set(time.Now())
	if f := n.file; f != nil {
		f.mu.Lock()
		if f.executable != info.Executable {
			n.mode = unset
		}
		f.executable = info.Executable
		if !f.changed && f.snapshots == 0 {
			f.dropLocal()
			f.loaded, f.base, f.size = false, nil, int64(info.Size)
		}
		f.mu.Unlock()
	}
	if !info.Mtime.IsZero() {
		n.mtime.set(info.Mtime)
	}
	ws.tell(n, "")
}

// vanish takes away what somebody else has removed. What was changed in a directory and is not
// committed stays, with the directories above it. ws.mu is held.
func (ws *Workspace) vanish(n *Node) {
	if n.dir == nil || !n.changedBelow() {
		ws.detach(n)
		ws.tell(n.parent, n.name)
		return
	}
	n.placed, n.entry, n.dir.listing = false, unixfs.Entry{}, map[string]unixfs.Entry{}
	for name, kid := range n.dir.kids {
		if _, changed := n.dir.changed[name]; !changed {
			ws.vanish(kid)
		}
	}
	ws.change(n.parent, n.name)
}

// changedBelow reports whether something in the directory n is not committed. ws.mu is held.
func (n *Node) changedBelow() bool {
	for name := range n.dir.changed {
		if n.dir.kids[name] != nil {
			return true
		}
	}
	for _, kid := range n.dir.kids {
		if kid.dir != nil && kid.changedBelow() {
			return true
		}
	}
	return false
}

// detach makes that nothing leads to n. ws.mu is held.
func (ws *Workspace) detach(n *Node) {
	if n.parent.dir.kids[n.name] == n {
		delete(n.parent.dir.kids, n.name)
	}
	n.gone = true
	delete(ws.fresh, n)
	ws.tellBelow(n)
	if n.file != nil {
		n.file.mu.Lock()
		n.file.dropUnused()
		n.file.mu.Unlock()
	}
}

// tellBelow tells of all that went away with n: who stands in it still knows it. ws.mu is held.
func (ws *Workspace) tellBelow(n *Node) {
	if n.dir == nil {
		return
	}
	for name, kid := range n.dir.kids {
		ws.tell(n, name)
		ws.tellBelow(kid)
	}
	ws.tell(n, "")
}

// applyAttributes makes nodes have what was recorded of late. ws.mu is held.
func (ws *Workspace) applyAttributes(all []repo.Recorded) {
	for _, r := range all {
		d := ws.at(r.Dir)
		if d == nil || d.dir == nil || d.dir.listing == nil {
			continue
		}
		kid := d.dir.kids[r.Name]
		if kid == nil {
			if d.dir.attributes != nil {
				d.dir.attributes[r.Name] = r.Attributes
			}
			continue
		}
		_, changed := d.dir.changed[r.Name]
		if changed || kid.fresh || kid.dir == nil && !kid.entry.Cid.Equals(r.Cid) {
			continue
		}
		before := kid.attributes()
		if kid.mode, kid.fresh = r.Mode, false; before.Mode != r.Mode || !before.Mtime.Equal(r.Mtime) {
			kid.mtime.set(r.Mtime)
			ws.tell(kid, "")
		}
	}
}

// at returns the node at a path, if there is one. ws.mu is held.
func (ws *Workspace) at(text string) *Node {
	n := ws.top
	if text == "." {
		return n
	}
	for _, name := range namesOf(text) {
		if n.dir == nil {
			return nil
		}
		if n = n.dir.kids[name]; n == nil {
			return nil
		}
	}
	return n
}
