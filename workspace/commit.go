package workspace

import (
	"context"
	"time"

	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
)

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
	if ended := ws.repo.EndWriting(); ended != nil {
		ws.log("%v", ended)
	}
	if err != nil {
		ws.giveBack(g)
		ws.reclaim()
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
