//go:build linux

package mount

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A dirHandle is an open directory. It gives the names that there were when it was opened, or
// rewound, so that each comes once whatever happens meanwhile.
type dirHandle struct {
	dir     *node
	entries []fuse.DirEntry
	at      int
}

var _ interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileFsyncdirer
} = (*dirHandle)(nil)

// OpendirHandle implements [fs.NodeOpendirHandler].
func (n *node) OpendirHandle(ctx context.Context, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	d := &dirHandle{dir: n}
	return d, 0, errno(d.read(ctx))
}

func (d *dirHandle) read(ctx context.Context) error {
	names, err := d.dir.node.List(uncut(ctx))
	if err != nil {
		return err
	}
	d.at = 0
	d.entries = make([]fuse.DirEntry, 0, len(names)+2)
	for _, dots := range []string{".", ".."} {
		d.entries = append(d.entries, fuse.DirEntry{Name: dots, Ino: d.dir.node.Number(), Mode: syscall.S_IFDIR})
	}
	for _, name := range names {
		d.entries = append(d.entries, fuse.DirEntry{Name: name.Name, Ino: name.Number, Mode: typeOf(name.Kind)})
	}
	for i := range d.entries {
		d.entries[i].Off = uint64(i + 1)
	}
	return nil
}

// Readdirent implements [fs.FileReaddirenter].
func (d *dirHandle) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if d.at >= len(d.entries) {
		return nil, fs.OK
	}
	d.at++
	return &d.entries[d.at-1], fs.OK
}

// Seekdir implements [fs.FileSeekdirer].
func (d *dirHandle) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	if off == 0 {
		return errno(d.read(ctx))
	}
	d.at = int(min(off, uint64(len(d.entries))))
	return fs.OK
}

// Fsyncdir implements [fs.FileFsyncdirer].
func (d *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return errno(d.dir.node.Sync()) }
