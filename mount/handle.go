//go:build linux

package mount

import (
	"context"
	"syscall"

	"archivecache/workspace"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A handle is an open file.
type handle struct {
	open *workspace.Handle
}

var _ interface {
	fs.FileReader
	fs.FileWriter
	fs.FileFlusher
	fs.FileFsyncer
	fs.FileReleaser
	fs.FileAllocater
} = (*handle)(nil)

// Read implements [fs.FileReader].
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := h.open.ReadAt(uncut(ctx), dest, off)
	if err != nil {
		return nil, errno(err)
	}
	return fuse.ReadResultData(dest[:n]), fs.OK
}

// Write implements [fs.FileWriter].
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	n, err := h.open.WriteAt(uncut(ctx), data, off)
	return uint32(n), errno(err)
}

// Flush implements [fs.FileFlusher]: what was written is in the journal already.
func (h *handle) Flush(context.Context) syscall.Errno { return fs.OK }

// Fsync implements [fs.FileFsyncer].
func (h *handle) Fsync(context.Context, uint32) syscall.Errno { return errno(h.open.Sync()) }

// Release implements [fs.FileReleaser].
func (h *handle) Release(context.Context) syscall.Errno {
	h.open.Close()
	return fs.OK
}

// Allocate implements [fs.FileAllocater]: it makes a file longer; what else fallocate does is refused.
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	const keepSize = 1
	if mode&^keepSize != 0 {
		return syscall.EOPNOTSUPP
	}
	end := int64(off + size)
	if end < 0 {
		return syscall.EFBIG
	}
	if mode&keepSize != 0 || end <= h.open.Node().Attr().Size {
		return fs.OK
	}
	return errno(h.open.Node().SetAttr(uncut(ctx), workspace.Setting{Size: &end}))
}
