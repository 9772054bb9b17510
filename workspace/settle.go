package workspace

import (
	"archivecache/tree"
	"archivecache/unixfs"
)

// giveBack undoes that g was taken.
func (ws *Workspace) giveBack(g *group) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	g.each(func(c *change) {
		if c.file != nil {
			c.file.giveBack()
			c.node.tidyLocked()
		}
	})
	ws.steps = append(g.steps, ws.steps...)
	for _, f := range g.fresh {
		ws.fresh[f.node] = struct{}{}
	}
}

func (s *snapshot) giveBack() {
	f := s.file
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = true
	f.snapshots--
	f.savedChunks = min(f.savedChunks, s.count)
	for i := range s.dirty {
		if i < chunksOf(f.size) {
			f.dirty[i] = struct{}{}
		}
	}
}

// done notes that the snapshot is committed, as the entry e.
func (s *snapshot) done(e unixfs.Entry) {
	f := s.file
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshots--
	f.saved, f.savedChunks = e, min(f.savedChunks, chunksOf(s.size))
	f.executable = s.attr.Executable
}

// settle notes that g is committed, but for what was refused. ws.mu is held.
func (ws *Workspace) settle(g *group, refusals []tree.Refusal) {
	refused := map[string]bool{}
	for _, r := range refusals {
		refused[r.Change.Path.String()] = true
	}
	ws.done = g.journals[len(g.journals)-1].number
	ws.locals.release(ws.done)
	for _, c := range g.changes {
		there := c.dir.unsettled() == nil && !c.dir.lost() && c.dir.childPath(c.name) == c.path
		if (refused[c.path] || c.bad) && there {
			ws.reject(c)
			continue
		}
		if !there {
			c.each(ws.remember)
		}
		ws.settleChange(c, there)
	}
	for _, f := range g.fresh {
		_, again := ws.fresh[f.node]
		f.node.fresh = again
	}
}

// settleChange notes that c is committed; there says whether the directory still stands where it
// did.
func (ws *Workspace) settleChange(c *change, there bool) {
	n := c.node
	if n != nil {
		n.entry = c.entry
		if _, again := ws.fresh[n]; !again {
			n.fresh = false
		}
	}
	if there {
		c.settleName()
	}
	for _, below := range c.below {
		ws.settleChange(below, true) // they are part of the entry
	}
	if c.file != nil {
		c.file.done(c.entry)
	}
	if n != nil && n.file != nil {
		n.tidyLocked()
	}
}

// settleName makes the name of c as it is committed, unless it was changed again.
func (c *change) settleName() {
	d := c.dir.dir
	if c.node == nil {
		delete(d.listing, c.name)
	} else if d.listing != nil {
		e := c.entry
		e.Name = c.name
		d.listing[c.name] = e
	}
	delete(d.theirs, c.name)
	if c.number != 0 && d.changed[c.name] == c.number {
		c.dir.forgetChange(c.name)
		if c.node != nil {
			c.node.placed = true
		}
	}
}

// reject takes back a change that the tree has refused. ws.mu is held.
func (ws *Workspace) reject(c *change) {
	if c.file != nil {
		c.file.done(c.entry)
		c.file.file.reject()
	}
	d := c.dir.dir
	c.dir.forgetChange(c.name)
	if c.node != nil && d.kids[c.name] == c.node {
		ws.detach(c.node)
	}
	ws.tell(c.dir, c.name)
}
