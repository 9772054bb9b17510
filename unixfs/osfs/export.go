package osfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// ErrTooMuch is a tree that unfolds to more than the limits of ExportOptions.
var ErrTooMuch = errors.New("more than the limit")

// ExportOptions are the ways of Export. The zero value has generous limits.
type ExportOptions struct {
	// MaxEntries bounds files, symlinks and folders together; 0 means 16 Mi. A few small blocks can
	// stand for a tree without end in practice.
	MaxEntries int64
	// MaxBytes bounds the content of all files; 0 means 1 TiB.
	MaxBytes int64
	// Counter, if not nil, counts what is done.
	Counter *Counter
}

// Export writes the file, symlink or directory c to dst, which must not exist; the folder it is in
// must. Files are new files of the user with the usual permissions, executable
// ones are executable, and a modification time that is recorded for a file is set. It works
// on all cores.
//
// Nothing that exists is overwritten, and no symlink is followed below dst, whatever the names and
// targets in the tree are. After an error dst is there, incomplete, and the error says so.
func Export(ctx context.Context, get store.Getter, c cid.Cid, dst string, opt ExportOptions) error {
	o, err := unixfs.Open(ctx, get, c)
	if err != nil {
		return fmt.Errorf("write %s: %w", dst, err)
	}
	ex := &exporter{crew: newCrew(ctx, runtime.GOMAXPROCS(0)-1), get: get, count: opt.Counter}
	defer ex.cancel(nil)
	ex.entries.Store(orDefault(opt.MaxEntries, 16<<20))
	ex.bytes.Store(orDefault(opt.MaxBytes, 1<<40))
	if ex.count == nil {
		ex.count = new(Counter)
	}
	parent, err := os.OpenRoot(filepath.Dir(dst))
	if err != nil {
		return fmt.Errorf("write %s: %w", dst, err)
	}
	defer parent.Close()
	name := filepath.Base(filepath.Clean(dst))
	if _, err := parent.Lstat(name); err == nil {
		return fmt.Errorf("write %s: %w", dst, fs.ErrExist)
	}
	if err := ex.one(parent, name, dst, o, 1); err != nil {
		return fmt.Errorf("%s is incomplete: %w", dst, err)
	}
	return nil
}

func orDefault(limit, otherwise int64) int64 {
	if limit == 0 {
		return otherwise
	}
	return limit
}

type exporter struct {
	*crew
	get     store.Getter
	count   *Counter
	entries atomic.Int64 // how many are left
	bytes   atomic.Int64 // how many are left
	large   sync.Mutex   // held while a large file is written
}

// entry writes c under a name in a folder; path is for messages.
func (ex *exporter) entry(root *os.Root, name, path string, c cid.Cid, depth int) error {
	o, err := unixfs.Open(ex.ctx, ex.get, c)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return ex.one(root, name, path, o, depth)
}

func (ex *exporter) one(root *os.Root, name, path string, o *unixfs.Object, depth int) error {
	if ex.entries.Add(-1) < 0 {
		return fmt.Errorf("%s: entries: %w", path, ErrTooMuch)
	}
	var err error
	switch o.Kind {
	case unixfs.Directory:
		return ex.dir(root, name, path, o, depth)
	case unixfs.Symlink:
		err = root.Symlink(o.Target, name)
	default:
		err = ex.file(root, name, o)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	ex.count.Files.Add(1)
	return nil
}

// dir writes a folder. It has to be new, so nothing that the tree planted is in it, and
// all below is reached through the open folder.
func (ex *exporter) dir(root *os.Root, name, path string, o *unixfs.Object, depth int) error {
	if depth > maxDepth {
		return depthError(path)
	}
	if err := root.Mkdir(name, 0o777); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	below, err := root.OpenRoot(name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer below.Close()
	d, err := o.Dir()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	group := squad{crew: ex.crew}
	var run []unixfs.Entry
	write := func(run []unixfs.Entry) {
		group.run(func() error { return ex.run(below, path, run, depth) })
	}
	err = d.Each(ex.ctx, func(e unixfs.Entry) error {
		if run = append(run, e); len(run) == runLength {
			write(run)
			run = nil
		}
		return ex.ctx.Err()
	})
	write(run)
	if joined := group.join(); joined != nil {
		return joined
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	ex.count.Dirs.Add(1)
	return nil
}

func (ex *exporter) run(root *os.Root, path string, run []unixfs.Entry, depth int) error {
	for _, e := range run {
		if ex.ctx.Err() != nil {
			return context.Cause(ex.ctx)
		}
		if err := ex.entry(root, e.Name, filepath.Join(path, e.Name), e.Cid, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (ex *exporter) file(root *os.Root, name string, o *unixfs.Object) error {
	if ex.bytes.Add(-int64(o.Size)) < 0 {
		return fmt.Errorf("bytes: %w", ErrTooMuch)
	}
	perm := fs.FileMode(0o666)
	if o.Executable {
		perm = 0o777
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if err := ex.content(f, o); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if !o.Mtime.IsZero() {
		return root.Chtimes(name, o.Mtime, o.Mtime)
	}
	return nil
}

func (ex *exporter) content(f *os.File, o *unixfs.Object) error {
	if o.Size >= largeFile {
		ex.large.Lock()
		defer ex.large.Unlock()
	}
	w := &countingWriter{f: f, bytes: &ex.count.Bytes}
	_, err := o.Copy(ex.ctx, w)
	return err
}

// A countingWriter counts what passes.
type countingWriter struct {
	f     *os.File
	bytes *atomic.Int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.f.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}
