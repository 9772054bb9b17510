package dav

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"syscall"

	"archivecache/unixfs"
	"archivecache/workspace"

	"golang.org/x/net/webdav"
)

// An upload is a file that is written, and gets its name when it is closed, if all has come.
type upload struct {
	request   *request
	ctx       context.Context
	name      string
	open      *workspace.Handle
	offset    int64
	exclusive bool
}

var _ webdav.File = (*upload)(nil)

// create begins a file, whatever stands at its path, but for a directory.
func (q *request) create(ctx context.Context, name string, exclusive bool, perm os.FileMode) (*upload, error) {
	d, base, err := q.above(ctx, name)
	if err != nil {
		return nil, err
	}
	there, err := q.lookup(ctx, d, base)
	switch {
	case err == nil && exclusive:
		return nil, syscall.EEXIST
	case err == nil && there.Kind() == unixfs.File && there.Attr().Mode&0o222 == 0:
		return nil, syscall.EACCES
	case err != nil && !errors.Is(err, syscall.ENOENT):
		return nil, err
	}
	q.replaced = err == nil
	h, err := d.Stage(ctx, base, 0o644|uint32(perm)&0o111)
	if err != nil {
		return nil, err
	}
	q.hold(h.Node())
	return &upload{request: q, ctx: ctx, name: base, open: h, exclusive: exclusive}, nil
}

// Write implements [webdav.File].
func (u *upload) Write(p []byte) (int, error) {
	n, err := u.open.WriteAt(u.ctx, p, u.offset)
	u.offset += int64(n)
	if err != nil {
		u.request.broken = true
		u.request.fail(err)
	}
	return n, err
}

// Close implements [webdav.File].
func (u *upload) Close() error {
	defer u.open.Close()
	q := u.request
	if q.broken || q.method == http.MethodPut && !q.body.whole {
		return errBroken
	}
	q.placing.Lock()
	defer q.placing.Unlock()
	err := q.checkConditions(u.ctx) // it may have changed since the request began
	if err == nil {
		err = u.open.Place(u.ctx, u.exclusive)
	}
	if err != nil {
		q.replaced = false
	}
	return pathError("write", u.name, q.fail(err))
}

var errBroken = errors.New("the file did not come whole")

// Stat implements [webdav.File].
func (u *upload) Stat() (os.FileInfo, error) { return infoOf(u.name, u.open.Node()), nil }

// Seek implements [webdav.File].
func (u *upload) Seek(offset int64, whence int) (int64, error) {
	to, err := seek(u.offset, u.open.Node().Attr().Size, offset, whence)
	if err == nil {
		u.offset = to
	}
	return to, err
}

// Read implements [webdav.File].
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.open.ReadAt(u.ctx, p, u.offset)
	u.offset += int64(n)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// Readdir implements [webdav.File].
func (u *upload) Readdir(int) ([]os.FileInfo, error) { return nil, errDir }
