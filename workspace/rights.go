package workspace

import (
	"fmt"
	"strings"
	"syscall"

	"archivecache/tree"
	"archivecache/tree/path"
)

// governor returns the directory of the root that n is or stands in; nil if there is none, or if n
// is not below root. ws.mu is held.
func (v *view) governor(n *Node) *tree.Directory {
	for at := n.path(); at != ""; at = above(at) {
		if d := v.places[at]; d != nil {
			return d
		}
	}
	return nil
}

func above(at string) string { return at[:max(strings.LastIndexByte(at, '/'), 0)] }

// mayChange returns nil if the author may change what stands in the directory n, or is the file n.
// ws.mu is held.
func (n *Node) mayChange() error {
	ws := n.ws
	if ws.opt.ReadOnly {
		return syscall.EROFS
	}
	own := false
	for at := n; at.parent != nil; at = at.parent {
		if at.founded {
			return nil
		}
		own = at.name == path.Root && at.parent == ws.top
	}
	if !own || !ws.head.author.Defined() {
		return syscall.EACCES
	}
	d := ws.head.governor(n)
	switch {
	case d == nil:
		return errPlain
	case d.Part(ws.head.author).Fork != nil || !d.Shared() && !d.Owner().Equals(ws.head.author):
		return syscall.EACCES
	}
	return nil
}

// errPlain is a directory that only holds directories of somebody.
var errPlain = fmt.Errorf("%w: only directories stand there", syscall.EACCES)

// isPlace reports whether n is a directory of the root itself. ws.mu is held.
func (n *Node) isPlace() bool { return n.placed && n.ws.head.places[n.path()] != nil }

// checkName refuses what cannot be the name of something.
func checkName(name string) error {
	switch {
	case len(name) > path.MaxName:
		return syscall.ENAMETOOLONG
	case path.CheckName(name) != nil:
		return syscall.EINVAL
	}
	return nil
}

// depth returns how many names lead to n.
func (n *Node) depth() int {
	depth := 0
	for at := n; at.parent != nil; at = at.parent {
		depth++
	}
	return depth
}

func (n *Node) free(name string) error {
	_, _, err := n.find(name)
	switch {
	case n.lost():
		return syscall.ENOENT
	case err == nil:
		return syscall.EEXIST
	case n.depth() >= path.MaxDepth:
		return syscall.ENAMETOOLONG
	}
	return nil
}

// mayHoldDir returns nil if the author may put a directory into n, and whether that will be one of
// their own.
func (n *Node) mayHoldDir(name string) (founded bool, err error) {
	switch err := n.mayChange(); {
	case err == errPlain:
		if path.CheckPublished(n.childPath(name)) != nil {
			return false, syscall.EINVAL
		}
		return true, nil
	case err != nil:
		return false, err
	}
	return false, nil
}

func (n *Node) mayRemove(kid *Node, dir bool) error {
	switch {
	case dir && kid.dir == nil:
		return syscall.ENOTDIR
	case !dir && kid.dir != nil:
		return syscall.EISDIR
	}
	if err := n.mayLose(kid); err != nil {
		return err
	}
	if dir && !kid.isEmpty() {
		return syscall.ENOTEMPTY
	}
	return nil
}

// mayLose returns nil if the author may take kid out of n.
func (n *Node) mayLose(kid *Node) error {
	err := n.mayChange()
	if err != errPlain {
		return err
	}
	if d := n.ws.head.places[kid.path()]; d != nil && d.Shared() {
		return syscall.EACCES // it stays
	}
	if err = kid.mayChange(); err == errPlain && kid.parent != n.ws.top {
		err = nil // whether what was in it could go was asked then
	}
	return err
}
