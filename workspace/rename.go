package workspace

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"archivecache/internal/sqlite"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
)

// Rename moves what stands under a name in n to another name in to, over what stands there.
// With exclusive nothing may stand there.
func (n *Node) Rename(ctx context.Context, name string, to *Node, toName string, exclusive bool) error {
	if to.dir == nil {
		return syscall.ENOTDIR
	}
	if err := checkName(toName); err != nil {
		return err
	}
	kid, err := n.Lookup(ctx, name)
	if err != nil {
		return err
	}
	over, err := to.Lookup(ctx, toName)
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return err
	}
	if over != nil && over.dir != nil {
		if err := over.read(ctx); err != nil {
			return err
		}
	}
	if over == kid && kid != nil {
		return nil
	}
	if n.movesPlace(kid, to) {
		return n.ws.movePlace(ctx, kid, to, toName, over)
	}
	if kid.dir != nil {
		if err := kid.read(ctx); err != nil { // it is not at its committed place any more
			return err
		}
		n.ws.following.Lock() // what it is made of has to be what is committed, as far as that is known
		defer n.ws.following.Unlock()
	}
	if err := n.ws.fits(ctx, kid, to); err != nil {
		return err
	}
	n.ws.mu.Lock()
	defer n.ws.mu.Unlock()
	if n.dir.kids[name] != kid || over != nil && to.dir.kids[toName] != over {
		return syscall.ENOENT // somebody was faster
	}
	founded, err := n.mayRename(kid, to, toName, over, exclusive)
	if err != nil {
		return err
	}
	return n.rename(kid, to, toName, over, founded)
}

func (n *Node) mayRename(kid, to *Node, toName string, over *Node, exclusive bool) (founded bool, err error) {
	for at := to; at != nil; at = at.parent {
		if at == kid {
			return false, syscall.EINVAL
		}
	}
	if to.lost() {
		return false, syscall.ENOENT
	}
	if kid.dir != nil && n.ws.behind {
		return false, syscall.EAGAIN // what it is made of is not known just now
	}
	if err := n.mayLose(kid); err != nil {
		return false, err
	}
	if kid.dir != nil && kid.mayChange() == errPlain {
		return false, syscall.EACCES // it is only there because directories of somebody stand in it
	}
	if kid.dir != nil {
		founded, err = to.mayHoldDir(toName)
	} else {
		err = to.mayChange()
	}
	if err != nil {
		return false, err
	}
	return founded, to.mayReplace(kid, over, exclusive)
}

// fits returns nil if all that is in kid has room in the directory to: paths have at most
// [path.MaxDepth] names. Only what goes further down has to be looked into.
func (ws *Workspace) fits(ctx context.Context, kid, to *Node) error {
	ws.mu.RLock()
	depth, room := kid.depth(), path.MaxDepth-to.depth()
	ws.mu.RUnlock()
	if room >= path.MaxDepth-depth+1 {
		return nil
	}
	return kid.fitsInto(ctx, room)
}

// fitsInto returns nil if n and all below it take at most so many names.
func (n *Node) fitsInto(ctx context.Context, room int) error {
	if room <= 0 {
		return syscall.ENAMETOOLONG
	}
	if n.dir == nil {
		return nil
	}
	names, err := n.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name.Kind != unixfs.Directory {
			if room == 1 {
				return syscall.ENAMETOOLONG
			}
			continue
		}
		below, err := n.Lookup(ctx, name.Name)
		if err == nil {
			err = below.fitsInto(ctx, room-1)
		}
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	return nil
}

// mayReplace returns nil if kid may take the place of over, which may be nil, in n.
func (n *Node) mayReplace(kid, over *Node, exclusive bool) error {
	switch {
	case over == nil:
		return nil
	case exclusive:
		return syscall.EEXIST
	case over.dir == nil && kid.dir != nil:
		return syscall.ENOTDIR
	case over.dir != nil && kid.dir == nil:
		return syscall.EISDIR
	case over.dir != nil && !over.isEmpty():
		return syscall.ENOTEMPTY
	}
	return n.mayLose(over)
}

// rename does it. ws.mu is held.
func (n *Node) rename(kid, to *Node, toName string, over *Node, founded bool) error {
	name, fromDir, toDir := kid.name, n.path(), to.path()
	all := []statement{{Op: opRemove, Path: []byte(kid.path())}}
	from := all[0].Path
	kid.parent, kid.name = to, toName
	all = kid.statements(all)
	all[1].From = from
	err := n.ws.write(all...)
	kid.parent, kid.name = n, name
	if err != nil {
		return err
	}
	if over != nil {
		to.unbind(over)
	}
	n.clear(kid)
	delete(n.dir.kids, name)
	n.ws.change(n, name)
	to.bind(kid, toName)
	kid.founded = founded
	n.ws.steps = append(n.ws.steps, func(tx *repo.Tx) { tx.MoveAttributes(fromDir, name, toDir, toName) })
	n.touch()
	if to != n {
		to.touch()
	}
	kid.ctime.set(time.Now())
	kid.refresh()
	return nil
}

// statements says what n is by now, with all that was changed below.
func (n *Node) statements(all []statement) []statement {
	all = append(all, n.statement())
	if n.dir == nil {
		return all
	}
	for name := range n.dir.changed {
		kid := n.dir.kids[name]
		if kid == nil {
			all = append(all, statement{Op: opRemove, Path: []byte(n.childPath(name))})
			continue
		}
		all = kid.statements(all)
	}
	for name, kid := range n.dir.kids {
		if _, changed := n.dir.changed[name]; !changed && kid.dir != nil {
			all = kid.changesBelow(all)
		}
	}
	return all
}

// changesBelow is statements of a directory that is as committed itself.
func (n *Node) changesBelow(all []statement) []statement {
	if below := n.statements(nil); len(below) > 1 {
		all = append(all, below[1:]...)
	}
	return all
}

// movesPlace reports whether kid is an owned directory of the root that goes to another plain
// place: it stays the same directory then.
func (n *Node) movesPlace(kid, to *Node) bool {
	n.ws.mu.RLock()
	defer n.ws.mu.RUnlock()
	return kid.dir != nil && kid.isPlace() && to.mayChange() == errPlain
}

// movePlace commits what is changed, and then the move of an owned directory.
func (ws *Workspace) movePlace(ctx context.Context, kid, to *Node, toName string, over *Node) error {
	if over != nil {
		return syscall.EEXIST
	}
	ws.mu.RLock()
	err := kid.parent.mayLose(kid)
	from, target := kid.path(), to.childPath(toName)
	ws.mu.RUnlock()
	if err != nil {
		return err
	}
	if path.CheckPublished(target) != nil {
		return syscall.EINVAL
	}
	if err := ws.Commit(ctx); err != nil {
		return refusal(err)
	}
	return ws.relocate(ctx, path.MustParse(from), path.MustParse(target), func() {
		delete(kid.parent.dir.kids, kid.name)
		kid.parent, kid.name = to, toName
		to.dir.kids[toName] = kid
		if below := kid.statements(nil)[1:]; len(below) > 0 { // what was changed since
			if err := ws.write(below...); err != nil {
				ws.log("%s: %v", kid.path(), err)
			}
		}
	})
}

// relocate moves a directory of the root, and the attributes of what is in it; moved is called when
// that is done, before the workspace shows it.
func (ws *Workspace) relocate(ctx context.Context, from, to path.Path, moved func()) error {
	ws.committing.Lock()
	defer ws.committing.Unlock()
	ws.following.Lock()
	defer ws.following.Unlock()
	err := ws.repo.Update(ctx, ws.opt.Command, func(ctx context.Context, tx *repo.Tx) error {
		root, err := tx.EditRoot(ctx)
		if err != nil {
			return err
		}
		tx.MoveAttributes(from.Parent().String(), from.Base(), to.Parent().String(), to.Base())
		return root.Move(ctx, ws.head.author, from, to)
	})
	if err = errors.Join(err, ws.repo.EndWriting()); err != nil {
		return refusal(err)
	}
	if err := ws.followOnce(ctx, true, moved); err != nil {
		return err
	}
	ws.followAgain(ctx)
	return nil
}

// refusal returns an error of the tree as one of the system.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	for _, as := range []struct {
		err    error
		number syscall.Errno
	}{
		{tree.ErrNotFound, syscall.ENOENT}, {tree.ErrForbidden, syscall.EACCES}, {tree.ErrNotOwner, syscall.EACCES},
		{tree.ErrForked, syscall.EACCES}, {path.ErrInvalid, syscall.EINVAL}, {sqlite.ErrFull, syscall.ENOSPC},
	} {
		if errors.Is(err, as.err) {
			return fmt.Errorf("%w: %w", as.number, err)
		}
	}
	return err
}
