//go:build linux

package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"archivecache/workspace"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// fsType is the type of the file system, as mount and /proc/self/mountinfo show it after "fuse.".
const fsType = "archivecache"

// Options say how a workspace is mounted.
type Options struct {
	ReadOnly   bool
	AllowOther bool // other users of the machine may look at it
	Debug      bool
}

// Reasons why something cannot be mounted.
var (
	ErrMountpoint = errors.New("not a folder that something can be mounted on")
	ErrInUse      = errors.New("something is mounted there already")
	ErrNoFUSE     = errors.New("this machine has no /dev/fuse, or you may not use it")
)

// A Mount is a mounted workspace.
type Mount struct {
	dir    string
	server *fuse.Server
	events *events
}

// cacheFor is how long the kernel may keep what it knows of names and attributes: until it is told
// otherwise.
const cacheFor = 24 * time.Hour

// maxRequest is the largest read or write of the kernel, in bytes.
const maxRequest = 1 << 20

// New mounts the directory top of a workspace at a folder. Watch is what the workspace has to tell
// its events to.
func New(dir string, top *workspace.Node, w *Watcher, opt Options) (*Mount, error) {
	if err := checkMountpoint(dir); err != nil {
		return nil, err
	}
	if err := checkOutside(dir, top.Workspace().Dir()); err != nil {
		return nil, err
	}
	var options []string
	options = append(options, "nosuid", "nodev", "default_permissions")
	if opt.ReadOnly {
		options = append(options, "ro")
	}
	forever := cacheFor
	root := &node{node: top, fs: &filesystem{uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}}
	top.SetTag(root)
	server, err := fs.Mount(dir, root, &fs.Options{
		EntryTimeout: &forever, AttrTimeout: &forever, NullPermissions: true,
		RootStableAttr: &fs.StableAttr{Ino: top.Number(), Mode: fuse.S_IFDIR},
		MountOptions: fuse.MountOptions{
			FsName: repositoryOf(top), Name: fsType, Options: options, AllowOther: opt.AllowOther, Debug: opt.Debug,
			DirectMount: true, MaxWrite: maxRequest, MaxReadAhead: maxRequest, MaxBackground: 64,
			ExplicitDataCacheControl: true, DisableSplice: true, IgnoreSecurityLabels: true, EnableSymlinkCaching: true,
		},
	})
	if err != nil {
		return nil, explain(dir, err)
	}
	m := &Mount{dir: dir, server: server, events: newEvents()}
	w.start(m.events)
	setReadAhead(dir)
	return m, nil
}

func explain(dir string, err error) error {
	if _, statErr := os.Stat("/dev/fuse"); statErr != nil || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("mount on %s: %w: %w", dir, ErrNoFUSE, err)
	}
	return fmt.Errorf("mount on %s: %w", dir, err)
}

// repositoryOf returns what stands in the place of the device in the list of mounts.
func repositoryOf(top *workspace.Node) string {
	dir, err := filepath.Abs(top.Workspace().Dir())
	if err != nil {
		dir = top.Workspace().Dir()
	}
	return dir
}

// Wait returns when nothing is mounted any more.
func (m *Mount) Wait() {
	m.server.Wait()
	m.events.stop()
}

// Unmount ends the mount. It fails while files in it are in use.
func (m *Mount) Unmount() error {
	if err := m.server.Unmount(); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return nil
}

// Detach takes the mount away although files in it are in use; who uses them gets errors once the
// process has ended.
func (m *Mount) Detach() error { return detach(m.dir) }
