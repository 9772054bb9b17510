package workspace

import (
	"context"
	"errors"
	"time"

	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
)

const (
	// pollEvery is how often the head is looked at.
	pollEvery = 100 * time.Millisecond
	// quietFor is how long nothing has to change before a commit begins, and quietAtMost how long
	// it waits for that.
	quietFor    = 50 * time.Millisecond
	quietAtMost = 500 * time.Millisecond
	// retryAfter is when a commit that failed is tried again.
	retryAfter = 2 * time.Second
	// sweepEvery is how often nodes that nobody holds are dropped.
	sweepEvery = 10 * time.Second
)

// work commits what is changed, until the workspace is closed.
func (ws *Workspace) work() {
	retry := time.NewTicker(retryAfter)
	defer retry.Stop()
	failed := false
	for {
		select {
		case <-ws.stop:
			return
		case <-retry.C:
			if failed {
				ws.kick()
			}
		case <-ws.wake:
			if ws.waitQuiet() {
				failed = !ws.tryCommit()
			}
			if failed {
				ws.pause()
			} else if ws.left() {
				time.AfterFunc(2*busyFor, ws.kick)
			}
		}
	}
}

// left reports whether something is not committed.
func (ws *Workspace) left() bool {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	for d := range ws.dirty {
		if len(d.dir.changed) > 0 {
			return true
		}
	}
	return len(ws.fresh) > 0
}

// watch follows the head, until the workspace is closed.
func (ws *Workspace) watch() {
	poll, sweep := time.NewTicker(pollEvery), time.NewTicker(sweepEvery)
	defer poll.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ws.stop:
			return
		case now := <-sweep.C:
			ws.sweep(now)
		case <-poll.C:
			ws.poll()
		}
	}
}

// waitQuiet waits until nothing has changed for a short while; it reports false if the workspace is
// closed meanwhile.
func (ws *Workspace) waitQuiet() bool {
	for begun := time.Now(); time.Since(begun) < quietAtMost; {
		ws.mu.RLock()
		quiet := time.Since(ws.lastWrite)
		ws.mu.RUnlock()
		if quiet >= quietFor {
			break
		}
		select {
		case <-ws.stop:
			return false
		case <-time.After(quietFor - quiet):
		}
	}
	return true
}

// pause keeps what is changed meanwhile from being committed at once.
func (ws *Workspace) pause() {
	select {
	case <-ws.stop:
	case <-time.After(quietAtMost):
	}
}

func (ws *Workspace) tryCommit() bool {
	ws.committing.Lock()
	defer ws.committing.Unlock()
	err := ws.commit(context.Background(), false)
	if err != nil {
		ws.log("not committed yet, and tried again: %v", err)
	}
	return err == nil
}

// poll follows the head if it has moved.
func (ws *Workspace) poll() {
	if ws.opt.At.Defined() {
		return
	}
	ctx := context.Background()
	head, err := ws.repo.Head(ctx)
	ws.mu.RLock()
	same := head == ws.head.Head
	ws.mu.RUnlock()
	if err == nil && same {
		return
	}
	if err == nil {
		err = ws.follow(ctx)
	}
	if err != nil {
		ws.sayOnce("cannot follow the repository: %v", err)
	}
}

// sayOnce logs what may come again and again, once as long as it stays the same.
func (ws *Workspace) sayOnce(format string, err error) {
	text := err.Error()
	if before := ws.said.Swap(&text); before == nil || *before != text {
		ws.log(format, err)
	}
}

// Commit commits all changes.
func (ws *Workspace) Commit(ctx context.Context) error {
	ws.committing.Lock()
	defer ws.committing.Unlock()
	return ws.commit(ctx, true)
}

// commit commits the changes; only with all also of files that are being written.
func (ws *Workspace) commit(ctx context.Context, all bool) error {
	g, err := ws.take(all)
	if err != nil {
		return err
	}
	if len(g.journals) == 0 {
		return nil
	}
	refused, err := ws.store(ctx, g)
	if err = errors.Join(err, ws.repo.EndWriting()); err != nil {
		ws.giveBack(g)
		return err
	}
	for _, r := range refused {
		ws.rescue(ctx, r)
	}
	ws.forgetJournals(g.journals)
	return nil
}

// sink takes the chunks of files.
type sink struct {
	store.Getter
	unixfs.Borrower
}

// store writes what was changed, and commits it.
func (ws *Workspace) store(ctx context.Context, g *group) ([]tree.Refusal, error) {
	w := ws.repo.Store().Writer()
	defer w.Close()
	dirs := store.NewOverlay(ws.blocks)
	for _, c := range g.changes {
		if err := c.put(ctx, ws.filesTo(w), dirs); err != nil {
			return nil, err
		}
	}
	for _, b := range dirs.Pending() {
		if err := w.Put(ctx, b); err != nil {
			return nil, err
		}
	}
	if err := w.Commit(ctx); err != nil {
		return nil, err
	}
	ws.following.Lock()
	defer ws.following.Unlock()
	refused, err := ws.update(ctx, g)
	if err != nil {
		return nil, err
	}
	ws.followCommit(ctx, g, refused)
	return refused, nil
}

// followCommit makes known at once what is committed and what it makes of the directories above: else
// a directory that is renamed in between would be made of what it was.
func (ws *Workspace) followCommit(ctx context.Context, g *group, refused []tree.Refusal) {
	for try := range followTries {
		err := ws.followOnce(ctx, true, func() { ws.settle(g, refused) })
		if err == nil {
			ws.followAgain(ctx)
			return
		}
		ws.sayOnce("cannot follow the repository: %v", err)
		time.Sleep(time.Duration(try) * pollEvery / 2)
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.settle(g, refused) // what is committed is not given back: it would undo what comes after
	ws.behind = true
}

// followTries is how often a commit is followed before that is left for later.
const followTries = 5

func (ws *Workspace) filesTo(w store.Writer) store.Blocks {
	if b, ok := w.(unixfs.Borrower); ok {
		return sink{ws.blocks, b}
	}
	return struct {
		store.Getter
		store.Putter
	}{ws.blocks, w}
}

// update puts the changes on the tree of the head.
func (ws *Workspace) update(ctx context.Context, g *group) (refused []tree.Refusal, err error) {
	err = ws.repo.Update(ctx, ws.opt.Command, func(ctx context.Context, tx *repo.Tx) error {
		tx.SetSetting(settingOf(ws.id), numberText(g.journals[len(g.journals)-1].number))
		if len(g.changes) > 0 {
			root, err := tx.EditRoot(ctx)
			if err != nil {
				return err
			}
			changes, bad, err := g.forTree(ctx, ws, root, tx.Blocks)
			if err != nil {
				return err
			}
			if refused, err = root.Apply(ctx, ws.head.author, changes); err != nil {
				return err
			}
			refused = append(refused, bad...)
		}
		g.record(tx)
		return nil
	})
	return refused, err
}

// record has the attributes recorded.
func (g *group) record(tx *repo.Tx) {
	for _, step := range g.steps {
		step(tx)
	}
	set := func(at string, a repo.Attributes) {
		p, err := path.Parse(at)
		if err == nil {
			tx.SetAttributes(p.Parent().String(), p.Base(), a)
		}
	}
	g.each(func(c *change) {
		if c.node == nil {
			return
		}
		if c.node.dir == nil {
			c.attributes.Cid = c.entry.Cid
		}
		set(c.path, c.attributes)
	})
	for _, f := range g.fresh {
		set(f.path, f.attributes)
	}
}

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
		if refused[c.path] && there {
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
