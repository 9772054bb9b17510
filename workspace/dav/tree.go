package dav

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"syscall"

	"archivecache/tree"
	"archivecache/unixfs"
	"archivecache/workspace"
)

// removeAll takes a name out of d with all that is below it. First it looks whether all of it may
// go.
func (q *request) removeAll(ctx context.Context, d *workspace.Node, name string) error {
	if err := q.mayRemove(ctx, d, name); err != nil {
		return err
	}
	return q.remove(ctx, d, name)
}

func (q *request) mayRemove(ctx context.Context, d *workspace.Node, name string) error {
	kid, err := q.lookup(ctx, d, name)
	if err != nil {
		return err
	}
	if err := d.MayRemove(ctx, name); err != nil {
		return err
	}
	return q.eachIn(ctx, kid, func(name string) error { return q.mayRemove(ctx, kid, name) })
}

func (q *request) remove(ctx context.Context, d *workspace.Node, name string) error {
	kid, err := q.lookup(ctx, d, name)
	if err != nil {
		return err
	}
	err = q.eachIn(ctx, kid, func(name string) error {
		err := q.remove(ctx, kid, name)
		if errors.Is(err, syscall.ENOENT) {
			err = nil // somebody was faster
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.Remove(ctx, name, kid.Kind() == unixfs.Directory)
}

// eachIn calls fn for the names in n, if it is a directory.
func (q *request) eachIn(ctx context.Context, n *workspace.Node, fn func(name string) error) error {
	if n.Kind() != unixfs.Directory {
		return ctx.Err()
	}
	names, err := n.List(ctx)
	for _, name := range names {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = fn(name.Name)
		}
	}
	return err
}

// copyReplaces reports whether what stands at the destination of a COPY is replaced in one go when
// the copy is whole: no directory is, and none takes a place in that way.
func (q *request) copyReplaces(ctx context.Context, name string) (bool, error) {
	if q.method != "COPY" {
		return false, nil
	}
	from, err := q.at(ctx, q.path, true)
	if err != nil || from.Kind() == unixfs.Directory {
		return false, err
	}
	d, base, err := q.above(ctx, name)
	if err != nil {
		return false, err
	}
	over, err := q.lookup(ctx, d, base)
	return err == nil && over.Kind() != unixfs.Directory, err
}

// fillCopy copies into a directory that was made what the one has that a COPY is of.
func (q *request) fillCopy(ctx context.Context, made *workspace.Node) error {
	if q.method != "COPY" || q.header.Get("Depth") == "0" {
		return nil
	}
	from, err := q.at(ctx, q.path, true)
	if err != nil {
		return err
	}
	return q.copyInto(ctx, from, made)
}

func (q *request) copyInto(ctx context.Context, from, to *workspace.Node) error {
	return q.eachIn(ctx, from, func(name string) error {
		kid, err := q.lookup(ctx, from, name)
		if err != nil {
			return err
		}
		return q.copyNode(ctx, kid, to, name)
	})
}

// copyNode copies a node; symlinks stay such, so that a copy has an end.
func (q *request) copyNode(ctx context.Context, from, to *workspace.Node, name string) error {
	switch from.Kind() {
	case unixfs.Directory:
		made, err := to.Mkdir(ctx, name, from.Attr().Mode|0o200)
		if err != nil {
			return err
		}
		q.hold(made)
		return q.copyInto(ctx, from, made)
	case unixfs.Symlink:
		target, err := from.Readlink()
		if err != nil {
			return err
		}
		made, err := to.Symlink(ctx, name, target)
		if err == nil {
			q.hold(made)
		}
		return err
	}
	return q.copyFile(ctx, from, to, name)
}

func (q *request) copyFile(ctx context.Context, from, to *workspace.Node, name string) error {
	h, err := to.Stage(ctx, name, from.Attr().Mode|0o200)
	if err != nil {
		return err
	}
	defer h.Close()
	q.hold(h.Node())
	source := &file{request: q, ctx: ctx, node: from, name: name}
	defer source.Close()
	if _, err := io.Copy(&upload{request: q, ctx: ctx, name: name, open: h}, source); err != nil {
		return err
	}
	return h.Place(ctx, true)
}

// move gives what stands at one path another one.
func (q *request) move(ctx context.Context, oldName, newName string) error {
	from, name, err := q.above(ctx, oldName)
	if err != nil {
		return err
	}
	kid, err := q.lookup(ctx, from, name)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return refuse(http.StatusNotFound, "nothing stands there")
	}
	if err != nil {
		return err
	}
	to, toName, err := q.above(ctx, newName)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return refuse(http.StatusConflict, "there is no such directory")
	}
	if err != nil {
		return err
	}
	if err := q.mayMove(ctx, from, kid, name); err != nil {
		return err
	}
	over, err := q.lookup(ctx, to, toName)
	isThere := err == nil
	if isThere && q.over && (over.Kind() == unixfs.Directory || kid.Kind() == unixfs.Directory) {
		return q.moveOver(ctx, from, name, to, toName)
	}
	hidden := isThere && over.Kind() == unixfs.Symlink // or the library had not come here
	return from.Rename(ctx, name, to, toName, !q.over && !hidden)
}

// mayMove looks whether what stands in plain directories may go with them: of what others have there
// only a copy would.
func (q *request) mayMove(ctx context.Context, d, kid *workspace.Node, name string) error {
	if policy, err := kid.Xattr(ctx, policyAttribute); err != nil || policy != string(tree.DirectoryPolicy) {
		return nil // a file, or all of one author
	}
	if err := d.MayRemove(ctx, name); err != nil {
		return err
	}
	return q.eachIn(ctx, kid, func(name string) error {
		below, err := q.lookup(ctx, kid, name)
		if err != nil {
			return err
		}
		if err := kid.MayRemove(ctx, name); err != nil {
			return err
		}
		return q.mayMove(ctx, kid, below, name)
	})
}

const policyAttribute = "user.archivecache.policy"

// moveOver moves something to where something else stands that cannot be replaced in one go: that is
// set aside until the move is done.
func (q *request) moveOver(ctx context.Context, from *workspace.Node, name string, to *workspace.Node, toName string) error {
	if err := q.mayRemove(ctx, to, toName); err != nil {
		return err
	}
	aside := ".webdav-" + rand.Text()
	if err := to.Rename(ctx, toName, to, aside, true); err != nil {
		return err
	}
	if err := from.Rename(ctx, name, to, toName, true); err != nil {
		back := to.Rename(context.WithoutCancel(ctx), aside, to, toName, true)
		if back != nil {
			q.log.Error("what was in the way of a move is left aside", "path", q.destination, "name", aside, "error", back)
		}
		return err
	}
	return q.remove(ctx, to, aside)
}
