package dav

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	slashpath "path"
	"syscall"

	"archivecache/unixfs"
	"archivecache/workspace"

	"golang.org/x/net/webdav"
)

// A file is a file or directory that is read. Nothing of it is read before somebody wants that.
type file struct {
	request *request
	ctx     context.Context // of the request
	node    *workspace.Node
	name    string
	open    *workspace.Handle // nil until the first read
	offset  int64
}

var _ webdav.File = (*file)(nil)

// Stat implements [webdav.File].
func (f *file) Stat() (os.FileInfo, error) { return infoOf(f.name, f.node), nil }

// Read implements [webdav.File]. What cannot be read is no copy.
func (f *file) Read(p []byte) (int, error) {
	n, err := f.read(p)
	if err != nil && err != io.EOF {
		f.request.broken = true
		f.request.fail(err)
		return n, pathError("read", f.name, err)
	}
	return n, err
}

func (f *file) read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.open == nil {
		if f.open, err = f.node.Open(f.ctx, false); err != nil {
			return 0, err
		}
	}
	n, err = f.open.ReadAt(f.ctx, p, f.offset)
	f.offset += int64(n)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Seek implements [webdav.File].
func (f *file) Seek(offset int64, whence int) (int64, error) {
	to, err := seek(f.offset, f.node.Attr().Size, offset, whence)
	if err == nil {
		f.offset = to
	}
	return to, err
}

func seek(now, size, offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += now
	case io.SeekEnd:
		offset += size
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	return offset, nil
}

// Write implements [webdav.File]: files are only written anew.
func (f *file) Write([]byte) (int, error) { return 0, syscall.EBADF }

// Close implements [webdav.File].
func (f *file) Close() error {
	if f.open != nil {
		f.open.Close()
	}
	return nil
}

// Readdir implements [webdav.File], always with all there is. Of the infos only the names count.
func (f *file) Readdir(int) ([]os.FileInfo, error) {
	if f.request.method == "COPY" {
		return nil, nil // it is done
	}
	names, err := f.node.List(f.ctx)
	if f.request.fail(err) != nil {
		return nil, pathError("list", f.name, err)
	}
	infos := make([]os.FileInfo, 0, len(names))
	for _, name := range names {
		if name.Kind != unixfs.Symlink || f.leads(name.Name) {
			infos = append(infos, &info{name: name.Name, attr: workspace.Attr{Kind: name.Kind}})
		}
	}
	return infos, nil
}

// leads reports whether a symlink in the directory leads to something. The path of the directory
// may have symlinks itself, so it is that of the node.
func (f *file) leads(name string) bool {
	at, there := f.node.Path()
	if !there {
		return false
	}
	_, err := f.request.at(f.ctx, slashpath.Join("/", at, name), true)
	return err == nil || errors.Is(err, syscall.EIO)
}
