//go:build linux

package mount

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"archivecache/unixfs"
	"archivecache/workspace"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A filesystem is what all nodes of a mount share.
type filesystem struct {
	uid, gid uint32 // of everything
	mu       sync.Mutex
}

// A node is a node of the workspace, as the kernel knows it.
type node struct {
	fs.Inode
	node      *workspace.Node
	fs        *filesystem
	forgotten atomic.Bool // once at least
}

var _ interface {
	fs.NodeLookuper
	fs.NodeOpendirHandler
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeCreater
	fs.NodeMkdirer
	fs.NodeMknoder
	fs.NodeSymlinker
	fs.NodeLinker
	fs.NodeReadlinker
	fs.NodeUnlinker
	fs.NodeRmdirer
	fs.NodeRenamer
	fs.NodeOpener
	fs.NodeFsyncer
	fs.NodeStatfser
	fs.NodeGetxattrer
	fs.NodeListxattrer
	fs.NodeSetxattrer
	fs.NodeRemovexattrer
	fs.NodeOnAdder
	fs.NodeOnForgetter
} = (*node)(nil)

// errno returns the number of an error of the workspace.
func errno(err error) syscall.Errno {
	var number syscall.Errno
	switch {
	case err == nil:
		return fs.OK
	case errors.As(err, &number):
		return number
	case errors.Is(err, context.Canceled):
		return syscall.EINTR
	}
	return syscall.EIO
}

// uncut returns ctx without its end. The kernel says that a request is interrupted for every signal of
// who waits, also for those that it handles and goes on after, as the runtime of Go sends them all
// the time; who is killed need not wait for the answer. So requests end by themselves, or at their
// deadline.
func uncut(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// child returns the inode of a node of the workspace, and fills in what the kernel wants to know.
func (n *node) child(ctx context.Context, kid *workspace.Node, out *fuse.EntryOut) *fs.Inode {
	n.fs.fill(kid.Attr(), &out.Attr)
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	// There is one inode for each node, so that the kernel can be told what becomes of it.
	if known, ok := kid.Tag().(*node); ok && known.fs == n.fs && known.lives() {
		return known.EmbeddedInode()
	}
	next := &node{node: kid, fs: n.fs}
	kid.SetTag(next)
	return n.NewInode(ctx, next, fs.StableAttr{Mode: typeOf(kid.Kind()), Ino: kid.Number()})
}

// lives reports whether the kernel knows n, or will at once.
func (n *node) lives() bool {
	if !n.forgotten.Load() {
		return true
	}
	//lint:ignore SA1019 an inode that was found while it was being forgotten is known again, without a word
	return !n.Forgotten()
}

func typeOf(kind unixfs.Kind) uint32 {
	switch kind {
	case unixfs.Directory:
		return syscall.S_IFDIR
	case unixfs.Symlink:
		return syscall.S_IFLNK
	case unixfs.File:
		return syscall.S_IFREG
	}
	return 0
}

const sectorSize = 512

func (s *filesystem) fill(a workspace.Attr, out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink = a.Number, typeOf(a.Kind)|a.Mode, a.Links
	out.Owner = fuse.Owner{Uid: s.uid, Gid: s.gid}
	out.Size, out.Blksize = uint64(a.Size), 4096
	out.Blocks = uint64((a.Size + sectorSize - 1) / sectorSize)
	out.SetTimes(&a.Mtime, &a.Mtime, &a.Ctime)
}

// Lookup implements [fs.NodeLookuper].
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	kid, err := n.node.Lookup(uncut(ctx), name)
	if err != nil {
		return nil, errno(err)
	}
	return n.child(ctx, kid, out), fs.OK
}

// Getattr implements [fs.NodeGetattrer].
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.fs.fill(n.node.Attr(), &out.Attr)
	return fs.OK
}

// Setattr implements [fs.NodeSetattrer]. Everything belongs to who mounted it: other owners are
// taken note of as little as set-user-ID bits.
func (n *node) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	var s workspace.Setting
	if mode, ok := in.GetMode(); ok {
		mode &= 0o777
		s.Mode = &mode
	}
	if size, ok := in.GetSize(); ok {
		size := int64(size)
		s.Size = &size
	}
	if mtime, ok := in.GetMTime(); ok {
		s.Mtime = &mtime
	} else if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
		now := time.Now()
		s.Mtime = &now
	}
	if s != (workspace.Setting{}) {
		if err := n.node.SetAttr(uncut(ctx), s); err != nil {
			return errno(err)
		}
	}
	n.fs.fill(n.node.Attr(), &out.Attr)
	return fs.OK
}

// Create implements [fs.NodeCreater].
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	kid, h, err := n.node.Create(uncut(ctx), name, mode)
	if errors.Is(err, syscall.EEXIST) && flags&syscall.O_EXCL == 0 {
		return n.openThere(ctx, name, flags, out)
	}
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	return n.child(ctx, kid, out), &handle{h}, fuse.FOPEN_KEEP_CACHE, fs.OK
}

// openThere opens what somebody else has made since the kernel looked.
func (n *node) openThere(ctx context.Context, name string, flags uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	kid, err := n.node.Lookup(uncut(ctx), name)
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	h, err := open(uncut(ctx), kid, flags)
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	return n.child(ctx, kid, out), h, fuse.FOPEN_KEEP_CACHE, fs.OK
}

// Mknod implements [fs.NodeMknoder], for files only.
func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if mode&syscall.S_IFMT != syscall.S_IFREG && mode&syscall.S_IFMT != 0 {
		return nil, syscall.EPERM
	}
	kid, h, err := n.node.Create(uncut(ctx), name, mode)
	if err != nil {
		return nil, errno(err)
	}
	h.Close()
	return n.child(ctx, kid, out), fs.OK
}

// Mkdir implements [fs.NodeMkdirer].
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	kid, err := n.node.Mkdir(uncut(ctx), name, mode)
	if err != nil {
		return nil, errno(err)
	}
	return n.child(ctx, kid, out), fs.OK
}

// Symlink implements [fs.NodeSymlinker].
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	kid, err := n.node.Symlink(uncut(ctx), name, target)
	if err != nil {
		return nil, errno(err)
	}
	return n.child(ctx, kid, out), fs.OK
}

// Link implements [fs.NodeLinker]: the tree has no second names of files.
func (n *node) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Readlink implements [fs.NodeReadlinker].
func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	target, err := n.node.Readlink()
	return []byte(target), errno(err)
}

// Unlink implements [fs.NodeUnlinker].
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return errno(n.node.Remove(uncut(ctx), name, false))
}

// Rmdir implements [fs.NodeRmdirer].
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return errno(n.node.Remove(uncut(ctx), name, true))
}

// Rename implements [fs.NodeRenamer].
func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, toName string, flags uint32) syscall.Errno {
	if flags&^unix.RENAME_NOREPLACE != 0 {
		return syscall.EINVAL
	}
	other, ok := to.(*node)
	if !ok {
		return syscall.EXDEV
	}
	return errno(n.node.Rename(uncut(ctx), name, other.node, toName, flags&unix.RENAME_NOREPLACE != 0))
}

// Open implements [fs.NodeOpener].
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, err := open(uncut(ctx), n.node, flags)
	if err != nil {
		return nil, 0, errno(err)
	}
	return h, fuse.FOPEN_KEEP_CACHE, fs.OK
}

func open(ctx context.Context, n *workspace.Node, flags uint32) (*handle, error) {
	write := flags&syscall.O_ACCMODE != syscall.O_RDONLY
	h, err := n.Open(ctx, write)
	if err == nil && flags&syscall.O_TRUNC != 0 && write {
		var empty int64
		if err = n.SetAttr(ctx, workspace.Setting{Size: &empty}); err != nil {
			h.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	return &handle{h}, nil
}

// Fsync implements [fs.NodeFsyncer], for directories and for files without a handle.
func (n *node) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	if h, ok := f.(*handle); ok {
		return h.Fsync(ctx, flags)
	}
	return errno(n.node.Sync())
}

// Statfs implements [fs.NodeStatfser].
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	space, err := n.node.Workspace().Space()
	if err != nil {
		return errno(err)
	}
	out.FromStatfsT(&space)
	out.NameLen = unixfs.MaxName
	return fs.OK
}

// OnAdd implements [fs.NodeOnAdder].
func (n *node) OnAdd(context.Context) { n.node.Hold() }

// OnForget implements [fs.NodeOnForgetter].
func (n *node) OnForget() {
	n.forgotten.Store(true)
	n.node.Forget()
}
