//go:build linux

package posixtest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// faults are deliberate bugs of a file system, and the checks that must find them.
var faults = map[string][]string{
	"rename does nothing":          {"rename/new_name", "rename/over_existing_file", "rename/directory_with_a_tree"},
	"rename copies":                {"rename/of_open_file", "rename/over_open_file", "rename/of_open_file_over_open_file"},
	"unlink does nothing":          {"unlink/removes_the_name", "unlink/open_file_has_no_links", "rmdir/emptied"},
	"unlink empties":               {"unlink/open_file_reads", "unlink/many_open_files", "link/outlives_the_first_name"},
	"truncate does nothing":        {"truncate/shrinks", "truncate/grows", "unlink/open_file_truncates", "holes/nothing_but_a_hole"},
	"chmod does nothing":           {"chmod/every_mode", "chmod/directory", "chmod/by_descriptor"},
	"times are in seconds":         {"utimens/nanoseconds", "utimens/after_a_write", "rename/leaves_the_file"},
	"times are not set":            {"utimens/far_times", "utimens/of_a_symlink", "utimens/directory"},
	"writes lose a border":         {"write/many_bytes_at_once", "write/pieces", "truncate/at_borders", "read/pieces"},
	"reads stop at a border":       {"read/many_bytes_at_once"},
	"links are copies":             {"link/adds_a_name", "link/one_file", "link/open_by_a_lost_name"},
	"readdir hides a name":         {"readdir/many", "readdir/while_it_changes", "readdir/every_kind", "names/each_byte"},
	"readdir repeats a name":       {"readdir/many", "readdir/rewind", "readdir/open_again"},
	"readdir counts":               {"readdir/while_it_changes", "readdir/while_all_is_removed"},
	"fsync fails":                  {"fsync/file", "mmap/by_turns", "unlink/open_file_syncs"},
	"statfs is empty":              {"statvfs/plausible", "statvfs/longest_name"},
	"mkdir ignores the mode":       {"mkdir/umask", "mkdir/mode"},
	"symlinks are cut":             {"symlink/long_target", "symlink/any_target"},
	"folders keep their old times": {"open/new_file_touches_its_folder", "mkdir/touches_its_parent"},
}

// faulty is a node of a loopback with a fault.
type faulty struct {
	*fs.LoopbackNode
	fault  string
	direct bool // each read and write arrives here
}

// WrapChild gives what is below the same fault.
func (n *faulty) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &faulty{child.(*fs.LoopbackNode), n.fault, n.direct}
}

func (n *faulty) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	switch n.fault {
	case "rename does nothing":
		return 0
	case "rename copies":
		return n.copy(name, to.(*faulty), newName)
	}
	return n.LoopbackNode.Rename(ctx, name, to, newName, flags)
}

// copy puts the old content into a new file, or into the one with the new name.
func (n *faulty) copy(name string, to *faulty, newName string) syscall.Errno {
	from, target := n.below(name), to.below(newName)
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(target, data, 0o666)
	}
	if err == nil {
		err = os.Remove(from)
	}
	return fs.ToErrno(err)
}

func (n *faulty) Unlink(ctx context.Context, name string) syscall.Errno {
	switch n.fault {
	case "unlink does nothing":
		return 0
	case "unlink empties":
		syscall.Truncate(n.below(name), 0)
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

func (n *faulty) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	switch n.fault {
	case "truncate does nothing":
		in.Valid &^= fuse.FATTR_SIZE
	case "chmod does nothing":
		in.Valid &^= fuse.FATTR_MODE
	case "times are in seconds":
		in.Mtimensec = 0
	case "times are not set":
		in.Valid &^= fuse.FATTR_MTIME
	}
	return n.LoopbackNode.Setattr(ctx, f, in, out)
}

func (n *faulty) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.fault == "links are copies" {
		data, err := os.ReadFile(target.(*faulty).below(""))
		if err == nil {
			err = os.WriteFile(n.below(name), data, 0o666)
		}
		if err != nil {
			return nil, fs.ToErrno(err)
		}
		return n.LoopbackNode.Lookup(ctx, name, out)
	}
	return n.LoopbackNode.Link(ctx, target, name, out)
}

func (n *faulty) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.fault == "mkdir ignores the mode" {
		mode = 0o775
	}
	defer n.keepTime()()
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *faulty) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.fault == "symlinks are cut" {
		target = target[:len(target)-len(target)/10]
	}
	return n.LoopbackNode.Symlink(ctx, target, name, out)
}

func (n *faulty) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	if n.fault == "statfs is empty" {
		return 0
	}
	return n.LoopbackNode.Statfs(ctx, out)
}

func (n *faulty) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	defer n.keepTime()()
	inode, f, _, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return inode, &faultyFile{f.(*fs.LoopbackFile), n.fault}, n.cache(), 0
}

func (n *faulty) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, _, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &faultyFile{f.(*fs.LoopbackFile), n.fault}, n.cache(), 0
}

func (n *faulty) cache() uint32 {
	if n.direct {
		return fuse.FOPEN_DIRECT_IO
	}
	return 0
}

// faultyFile is an open file with a fault.
type faultyFile struct {
	*fs.LoopbackFile
	fault string
}

func (f *faultyFile) Write(ctx context.Context, data []byte, offset int64) (uint32, syscall.Errno) {
	if f.fault == "writes lose a border" && crosses(offset, len(data)) {
		n, errno := f.LoopbackFile.Write(ctx, data[:len(data)-1], offset)
		return n + 1, errno
	}
	return f.LoopbackFile.Write(ctx, data, offset)
}

func (f *faultyFile) Read(ctx context.Context, buf []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	if f.fault == "reads stop at a border" && crosses(offset, len(buf)) {
		buf = buf[:border-offset%border]
	}
	return f.LoopbackFile.Read(ctx, buf, offset)
}

// border is where a file is at fault, and at each multiple. It is none at which FUSE cuts requests.
const border = 700_000

// crosses says whether some bytes are on both sides of a border.
func crosses(offset int64, n int) bool { return n > 0 && offset/border != (offset+int64(n)-1)/border }

func (f *faultyFile) Writev(ctx context.Context, data [][]byte, offset int64) (uint32, syscall.Errno) {
	return f.Write(ctx, bytes.Join(data, nil), offset)
}

func (f *faultyFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if f.fault == "fsync fails" {
		return syscall.EIO
	}
	return f.LoopbackFile.Fsync(ctx, flags)
}

func (n *faulty) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	all, err := n.list()
	switch {
	case err != nil:
		return nil, 0, fs.ToErrno(err)
	case n.fault == "readdir hides a name" && len(all) > 2:
		all = slices.Delete(all, 1, 2)
	case n.fault == "readdir repeats a name" && len(all) > 0:
		all = append(all, all[0])
	case n.fault == "readdir counts":
		return &counting{n: n}, 0, 0
	default:
		return n.LoopbackNode.OpendirHandle(ctx, flags)
	}
	return fs.NewListDirStream(all), 0, 0
}

func (n *faulty) list() (all []fuse.DirEntry, err error) {
	entries, err := os.ReadDir(n.below(""))
	for _, e := range entries {
		all = append(all, fuse.DirEntry{Name: e.Name(), Mode: syscall.DT_UNKNOWN, Ino: 1})
	}
	return all, err
}

// counting reads a directory by the places of entries, which are others when one before has been removed.
type counting struct {
	n   *faulty
	all []fuse.DirEntry
	at  int
}

func (c *counting) Readdirent(context.Context) (_ *fuse.DirEntry, errno syscall.Errno) {
	if c.at%25 == 0 { // it looks now and then, as otherwise the test would take long
		all, err := c.n.list()
		if err != nil {
			return nil, fs.ToErrno(err)
		}
		c.all = all
	}
	if c.at >= len(c.all) {
		return nil, 0
	}
	e := c.all[c.at]
	c.at++
	e.Off = uint64(c.at)
	return &e, 0
}

// below returns the path of a name in the folder that is served.
func (n *faulty) below(name string) string {
	return filepath.Join(n.RootData.Path, n.Path(n.Root()), name)
}

// keepTime returns what takes back that the folder has been modified.
func (n *faulty) keepTime() func() {
	var st syscall.Stat_t
	if n.fault != "folders keep their old times" || syscall.Stat(n.below(""), &st) != nil {
		return func() {}
	}
	return func() { syscall.UtimesNano(n.below(""), []syscall.Timespec{st.Atim, st.Mtim}) }
}
