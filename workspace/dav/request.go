package dav

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	slashpath "path"
	"strings"
	"sync"
	"syscall"

	"archivecache/unixfs"
	"archivecache/workspace"

	"golang.org/x/net/webdav"
)

// A request is one that is answered: the tree, and the locks, as it may use them.
type request struct {
	*handler
	method      string
	header      http.Header
	path        string // of the request, clean
	destination string // of COPY and MOVE
	body        *body
	held        []*workspace.Node

	err      error    // the last error of the tree
	broken   bool     // what is written is not whole
	replaced bool     // something stood where a file is put
	over     bool     // what stands at the destination of a MOVE is to go
	unread   []string // of a list, what could not be read
}

var _ webdav.FileSystem = (*request)(nil)

// fail notes an error, for the answer.
func (q *request) fail(err error) error {
	if err != nil {
		q.err = err
		if errors.Is(err, syscall.EIO) {
			q.log.Warn("unreadable", "path", q.path, "error", err)
		}
	}
	return err
}

// clean returns a path that begins with a slash and does not end with one, unless it is the top.
func clean(name string) string { return slashpath.Clean("/" + name) }

// maxLinks is how many symlinks may lead to something.
const maxLinks = 40

// at returns what stands at a path. A symlink at its end is only followed with follow.
func (q *request) at(ctx context.Context, name string, follow bool) (*workspace.Node, error) {
	above := []*workspace.Node{q.ws.Top()}
	rest, links := strings.Split(clean(name), "/"), 0
	for len(rest) > 0 {
		name, last := rest[0], above[len(above)-1]
		rest = rest[1:]
		switch {
		case name == "" || name == ".":
		case name == ".." && len(above) == 1:
			return nil, syscall.ENOENT // outside
		case name == "..":
			above = above[:len(above)-1]
		default:
			kid, err := q.lookup(ctx, last, name)
			if err != nil {
				return nil, err
			}
			if kid.Kind() != unixfs.Symlink || len(rest) == 0 && !follow {
				above = append(above, kid)
				continue
			}
			target, err := kid.Readlink()
			if links++; err != nil || links > maxLinks || strings.HasPrefix(target, "/") {
				return nil, errors.Join(err, syscall.ENOENT)
			}
			rest = append(strings.Split(target, "/"), rest...)
		}
	}
	return above[len(above)-1], nil
}

// above returns the directory in which the path name stands, and the name there.
func (q *request) above(ctx context.Context, name string) (*workspace.Node, string, error) {
	dir, base := slashpath.Split(clean(name))
	if base == "" {
		return nil, "", errTop
	}
	n, err := q.at(ctx, dir, true)
	return n, base, err
}

// Stat implements [webdav.FileSystem].
func (q *request) Stat(ctx context.Context, name string) (os.FileInfo, error) {
	n, err := q.at(ctx, name, true)
	if q.fail(err) != nil {
		if q.method == "PROPFIND" && errors.Is(err, syscall.EIO) {
			q.unread = append(q.unread, name)
		}
		return nil, pathError("stat", name, err)
	}
	return infoOf(slashpath.Base(clean(name)), n), nil
}

// OpenFile implements [webdav.FileSystem]. A file is written anew or not at all.
func (q *request) OpenFile(ctx context.Context, name string, flag int, perm os.FileMode) (webdav.File, error) {
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		f, err := q.create(ctx, name, flag&os.O_EXCL != 0, perm)
		if q.fail(err) != nil {
			return nil, pathError("create", name, err)
		}
		return f, nil
	}
	n, err := q.at(ctx, name, true)
	if q.fail(err) != nil {
		return nil, pathError("open", name, err)
	}
	return &file{request: q, ctx: ctx, node: n, name: slashpath.Base(clean(name))}, nil
}

// Mkdir implements [webdav.FileSystem]. With COPY the directory gets what the one that is copied has.
func (q *request) Mkdir(ctx context.Context, name string, perm os.FileMode) error {
	d, base, err := q.above(ctx, name)
	if err == nil {
		var made *workspace.Node
		if made, err = d.Mkdir(ctx, base, 0o755); err == nil {
			q.hold(made)
			err = q.fillCopy(ctx, made)
		}
	}
	return pathError("mkdir", name, q.fail(err))
}

// RemoveAll implements [webdav.FileSystem]. What is in the way of a COPY or MOVE stays where it can
// be replaced in one go.
func (q *request) RemoveAll(ctx context.Context, name string) error {
	if q.method == "MOVE" {
		q.over = true
		return nil
	}
	if replaced, err := q.copyReplaces(ctx, name); replaced || err != nil {
		return pathError("remove", name, q.fail(err))
	}
	d, base, err := q.above(ctx, name)
	if err == nil {
		err = q.removeAll(ctx, d, base)
	}
	return pathError("remove", name, q.fail(err))
}

// Rename implements [webdav.FileSystem].
func (q *request) Rename(ctx context.Context, oldName, newName string) error {
	return pathError("rename", newName, q.fail(q.move(ctx, oldName, newName)))
}

// holds knows which nodes requests use, so that the workspace can forget the others.
type holds struct {
	mu    sync.Mutex
	count map[*workspace.Node]int
}

// hold keeps a node until the request is answered.
func (q *request) hold(n *workspace.Node) {
	q.held = append(q.held, n)
	q.holds.mu.Lock()
	q.holds.count[n]++
	q.holds.mu.Unlock()
}

// lookup returns what stands under a name in n, and keeps it. It looks twice: until the first node
// is held, another request may have let go of it.
func (q *request) lookup(ctx context.Context, n *workspace.Node, name string) (*workspace.Node, error) {
	for {
		kid, err := n.Lookup(ctx, name)
		if err != nil {
			return nil, err
		}
		q.hold(kid)
		again, err := n.Lookup(ctx, name)
		if err != nil || again == kid {
			return again, err
		}
	}
}

// release lets go of what the request has used.
func (q *request) release() {
	q.holds.mu.Lock()
	defer q.holds.mu.Unlock()
	for _, n := range q.held {
		if q.holds.count[n]--; q.holds.count[n] == 0 {
			delete(q.holds.count, n)
			n.Forget()
		}
	}
}

const (
	// maxBody is how long the body of a request may be that is no file, in bytes.
	maxBody = 128 << 10
	// maxLockBody is how long that of LOCK may be: what it says of the owner stays in memory.
	maxLockBody = 8 << 10
)

// A body notes whether all of it has come.
type body struct {
	io.ReadCloser
	request *request
	whole   bool
}

func (q *request) limitBody(r *http.Request) {
	switch q.method {
	case http.MethodPut:
	case "LOCK":
		r.Body = http.MaxBytesReader(nil, r.Body, maxLockBody)
	default:
		r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	}
	q.body = &body{ReadCloser: r.Body, request: q}
	r.Body = q.body
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.whole = true
	case err != nil:
		b.request.fail(err)
	}
	return n, err
}

var errDir = &fs.PathError{Op: "read", Path: "a directory", Err: syscall.EISDIR}
