package workspace

import (
	"context"
	"errors"
	"syscall"
	"time"

	"archivecache/tree/path"
	"archivecache/unixfs"
)

// Stage begins a file that gets a name in the directory n only when it is whole: until
// [Handle.Place] nothing leads to it, nothing of it is committed, and if the handle is closed or the
// process killed before, nothing of it stays. What would make Place fail does so here already.
func (n *Node) Stage(ctx context.Context, name string, mode uint32) (*Handle, error) {
	if err := n.ws.makeRoom(ctx); err != nil {
		return nil, err
	}
	over, err := n.standing(ctx, name)
	if err != nil {
		return nil, err
	}
	n.ws.mu.Lock()
	defer n.ws.mu.Unlock()
	kid := n.ws.newNode(unixfs.File, n, name)
	kid.gone, kid.mode = true, mode&0o777
	if err = n.mayPlace(kid, over, false); err == nil {
		err = kid.file.makeLocal()
	}
	if err != nil {
		delete(n.ws.numbers, kid.ino)
		return nil, err
	}
	f := kid.file
	f.touched()
	f.loaded, f.changed, f.since, f.users, f.writers = true, true, time.Now(), 1, 1
	return &Handle{file: f, write: true}, nil
}

// Place gives a file from [Node.Stage] its name, in place of what stands there, whose mode it takes.
// With exclusive nothing may stand there: that is EEXIST.
func (h *Handle) Place(ctx context.Context, exclusive bool) error {
	kid := h.file.node
	n := kid.parent
	over, err := n.standing(ctx, kid.name)
	if err != nil {
		return err
	}
	n.ws.mu.Lock()
	defer n.ws.mu.Unlock()
	if err := n.mayPlace(kid, over, exclusive); err != nil {
		return err
	}
	if over != nil && over.file != nil {
		kid.mode = over.wanted()
	}
	if err := n.ws.write(kid.statement()); err != nil {
		return err
	}
	if over != nil {
		n.unbind(over)
	}
	n.bind(kid, kid.name)
	n.touch()
	return nil
}

// standing returns what stands under a name in the directory n; nil if nothing does.
func (n *Node) standing(ctx context.Context, name string) (*Node, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	over, err := n.Lookup(ctx, name)
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil
	}
	return over, err
}

// mayPlace returns nil if the staged file kid may stand in n, in place of over, which may be nil.
// ws.mu is held.
func (n *Node) mayPlace(kid, over *Node, exclusive bool) error {
	there, _, err := n.find(kid.name)
	switch {
	case !kid.gone:
		return syscall.EEXIST
	case n.lost(), there != over, over == nil && err == nil:
		return syscall.ENOENT // somebody was faster
	case n.depth() >= path.MaxDepth:
		return syscall.ENAMETOOLONG
	}
	if err := n.mayChange(); err != nil {
		return err
	}
	return n.mayReplace(kid, over, exclusive)
}

// MayRemove returns nil if the author may take a name out of the directory n, whatever is below it.
func (n *Node) MayRemove(ctx context.Context, name string) error {
	kid, err := n.Lookup(ctx, name)
	if err != nil {
		return err
	}
	n.ws.mu.RLock()
	defer n.ws.mu.RUnlock()
	return n.mayLose(kid)
}
