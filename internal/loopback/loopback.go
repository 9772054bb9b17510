// Package loopback serves a folder as a FUSE file system, by the loopback of go-fuse: what is done in
// the mount point is done in the folder. It shows what FUSE alone costs, and what it changes.
package loopback

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Options says how to serve.
type Options struct {
	// Passthrough has the kernel read and write the files below by itself. It can do so for root, since
	// Linux 6.9.
	Passthrough bool
	// Wrap, if it is not nil, makes the root of the loopback's; those below are made by its WrapChild.
	Wrap func(*fs.LoopbackNode) fs.InodeEmbedder
}

// cached is how long the kernel may believe what it was told, as libfuse has it.
var cached = time.Second

// Serve mounts folder and serves it until it is unmounted. It clears the umask of the process, as that
// of the caller is part of the mode that the kernel asks for. It calls ready when the mount point can
// be used.
func Serve(folder, mountpoint string, opt Options, ready func()) error {
	syscall.Umask(0)
	root, err := newRoot(folder, opt.Wrap)
	if err != nil {
		return err
	}
	options := &fs.Options{AttrTimeout: &cached, EntryTimeout: &cached, NullPermissions: true}
	options.MountOptions = fuse.MountOptions{FsName: folder, Name: "loopback", DirectMount: true, MaxWrite: 1 << 20}
	if !opt.Passthrough {
		options.DisabledCapabilities = fuse.CAP_PASSTHROUGH
	}
	server, err := fs.Mount(mountpoint, root, options)
	if err != nil {
		return err
	}
	ready()
	server.Wait()
	return nil
}

// newRoot is the root of a loopback, wrapped if that is wanted.
func newRoot(folder string, wrap func(*fs.LoopbackNode) fs.InodeEmbedder) (fs.InodeEmbedder, error) {
	if wrap == nil {
		return fs.NewLoopbackRoot(folder)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(folder, &st); err != nil {
		return nil, err
	}
	root := &fs.LoopbackRoot{Path: folder, Dev: uint64(st.Dev)}
	root.RootNode = wrap(&fs.LoopbackNode{RootData: root})
	return root.RootNode, nil
}
