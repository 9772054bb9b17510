package workspace

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"archivecache/repo"
	"archivecache/unixfs"
)

// write puts statements into the journal.
func (ws *Workspace) write(all ...statement) error {
	if ws.closed.Load() {
		return errClosed
	}
	return ws.journal.Load().append(all...)
}

// errClosed is what is written to a workspace that is being closed.
var errClosed = fmt.Errorf("%w: the workspace is closed", syscall.EIO)

// change notes that a name in a directory is not as it is committed. ws.mu is held.
func (ws *Workspace) change(d *Node, name string) {
	ws.lastChange++
	ws.lastWrite = time.Now()
	d.dir.changed[name] = ws.lastChange
	ws.dirty[d] = struct{}{}
	ws.kick()
}

// kick has the changes committed, after a short while.
func (ws *Workspace) kick() {
	select {
	case ws.wake <- struct{}{}:
	default:
	}
}

// touch sets the times of the directory n to now.
func (n *Node) touch() {
	now := time.Now()
	n.mtime.set(now)
	n.ctime.set(now)
	n.refresh()
}

// refresh has the attributes of n committed. ws.mu is held.
func (n *Node) refresh() {
	if n.dir != nil && n.dir.local != nil {
		return
	}
	n.fresh = true
	n.ws.fresh[n] = struct{}{}
	n.ws.lastChange++
	n.ws.lastWrite = time.Now()
	n.ws.kick()
}

// place puts kid under a name into the directory n, and into the journal. ws.mu is held.
func (n *Node) place(kid *Node, name string) error {
	kid.parent, kid.name = n, name
	if err := n.ws.write(kid.statement()); err != nil {
		return err
	}
	n.bind(kid, name)
	n.touch()
	return nil
}

func (n *Node) bind(kid *Node, name string) {
	kid.parent, kid.name, kid.gone, kid.placed = n, name, false, false
	n.dir.kids[name] = kid
	n.ws.change(n, name)
}

// statement says what n is by now.
func (n *Node) statement() statement {
	if n.file != nil {
		n.file.mu.RLock()
		defer n.file.mu.RUnlock()
		return n.file.statement()
	}
	s := statement{Op: opPut, Path: []byte(n.path()), Kind: uint64(n.kind), Target: []byte(n.target)}
	s.setBase(n.entry)
	s.setAttributes(n)
	return s
}

// prepare locks ws and checks that a name may be given to something new in n.
func (n *Node) prepare(ctx context.Context, name string) error {
	if n.dir == nil {
		return syscall.ENOTDIR
	}
	if err := checkName(name); err != nil {
		return err
	}
	if err := n.read(ctx); err != nil {
		return err
	}
	n.ws.mu.Lock()
	if err := n.free(name); err != nil {
		n.ws.mu.Unlock()
		return err
	}
	return nil
}

// Create makes an empty file, which is open for writing, with the given permission bits. A name
// that is taken is EEXIST.
func (n *Node) Create(ctx context.Context, name string, mode uint32) (*Node, *Handle, error) {
	if err := n.ws.makeRoom(ctx); err != nil {
		return nil, nil, err
	}
	if err := n.prepare(ctx, name); err != nil {
		return nil, nil, err
	}
	defer n.ws.mu.Unlock()
	if err := n.mayChange(); err != nil {
		return nil, nil, err
	}
	kid := n.ws.newNode(unixfs.File, n, name)
	f := kid.file
	kid.mode = mode & 0o777
	f.touched()
	f.loaded = true
	err := f.makeLocal()
	if err == nil {
		err = n.place(kid, name)
	}
	if err != nil {
		f.dropLocal()
		delete(n.ws.numbers, kid.ino)
		return nil, nil, err
	}
	f.changed, f.since, f.users, f.writers = true, time.Now(), 1, 1
	return kid, &Handle{file: f, write: true}, nil
}

// Mkdir makes an empty directory. At a plain place it is one of the author's own.
func (n *Node) Mkdir(ctx context.Context, name string, mode uint32) (*Node, error) {
	if err := n.prepare(ctx, name); err != nil {
		return nil, err
	}
	defer n.ws.mu.Unlock()
	founded, err := n.mayHoldDir(name)
	if err != nil {
		return nil, err
	}
	kid := n.ws.newNode(unixfs.Directory, n, name)
	kid.mode, kid.founded, kid.dir.listing = mode&0o777, founded, map[string]unixfs.Entry{}
	kid.touch()
	if err := n.place(kid, name); err != nil {
		delete(n.ws.numbers, kid.ino)
		delete(n.ws.fresh, kid)
		return nil, err
	}
	return kid, nil
}

// Symlink makes a symlink.
func (n *Node) Symlink(ctx context.Context, name, target string) (*Node, error) {
	if err := unixfs.CheckTarget(target); err != nil {
		if len(target) > unixfs.MaxTarget {
			return nil, syscall.ENAMETOOLONG
		}
		return nil, syscall.EINVAL
	}
	if err := n.prepare(ctx, name); err != nil {
		return nil, err
	}
	defer n.ws.mu.Unlock()
	if err := n.mayChange(); err != nil {
		return nil, err
	}
	kid := n.ws.newNode(unixfs.Symlink, n, name)
	kid.target = target
	kid.mtime.set(time.Now())
	kid.ctime.set(time.Now())
	if err := n.place(kid, name); err != nil {
		delete(n.ws.numbers, kid.ino)
		return nil, err
	}
	return kid, nil
}

// Remove takes a name out of the directory n: with dir that of an empty directory, without that of
// anything else.
func (n *Node) Remove(ctx context.Context, name string, dir bool) error {
	kid, err := n.Lookup(ctx, name)
	if err != nil {
		return err
	}
	if dir && kid.dir != nil {
		if err := kid.read(ctx); err != nil {
			return err
		}
		n.ws.following.Lock() // as in Rename
		defer n.ws.following.Unlock()
	}
	n.ws.mu.Lock()
	defer n.ws.mu.Unlock()
	if n.dir.kids[name] != kid {
		return syscall.ENOENT // somebody was faster
	}
	if err := n.mayRemove(kid, dir); err != nil {
		return err
	}
	if err := n.ws.write(statement{Op: opRemove, Path: []byte(kid.path())}); err != nil {
		return err
	}
	n.unbind(kid)
	n.touch()
	return nil
}

// unbind takes kid out of n. ws.mu is held.
func (n *Node) unbind(kid *Node) {
	delete(n.dir.kids, kid.name)
	kid.gone = true
	kid.ctime.set(time.Now())
	n.clear(kid)
	n.ws.change(n, kid.name)
	n.forgetAttributes(kid.name)
	delete(n.ws.fresh, kid)
	if kid.dir != nil {
		delete(n.ws.dirty, kid)
	}
	if kid.file != nil {
		kid.file.mu.Lock()
		kid.file.dropUnused()
		kid.file.mu.Unlock()
	}
}

// clear notes that a directory goes away from n, which is committed, or will be just now.
func (n *Node) clear(kid *Node) {
	if kid.dir != nil {
		n.dir.cleared[kid.name] = struct{}{}
	}
}

func (n *Node) forgetAttributes(name string) {
	dir := n.path()
	n.ws.steps = append(n.ws.steps, func(tx *repo.Tx) { tx.ForgetAttributes(dir, name) })
	delete(n.dir.attributes, name)
}

// dropUnused drops the local file of a file that is gone, unless somebody uses it. f.mu is held.
func (f *file) dropUnused() {
	if f.node.gone && f.givenUp == 0 {
		f.givenUp = f.node.ws.journalNumber()
	}
	if f.node.lost() && f.users == 0 && f.snapshots == 0 {
		f.dropLocal()
	}
}
