package osfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"archivecache/store"
	"archivecache/unixfs"
)

// ErrKind is an entry that is no file, folder or symlink.
var ErrKind = errors.New("not a file, folder or symlink")

// Options are the ways of Import. The zero value takes everything in.
type Options struct {
	// Exclude has patterns that leave entries out, relative to the folder that is imported. They
	// count before those in ignore files.
	Exclude []string
	// IgnoreFile is the name of files with such patterns in any folder, for that folder and all
	// below. "" reads none. These files themselves are taken in.
	IgnoreFile string
	// Mtime records modification times of files and symlinks.
	Mtime bool
	// LeaveOut, if not nil, is asked about each folder below the one that is imported. An error
	// says why the folder is skipped, with all below. It may be called from several goroutines.
	LeaveOut func(path string) error
	// Check, if not nil, is given the first bytes of each file that has any, 64 at most. Its
	// error ends the import. It may be called from several goroutines.
	Check func(path string, head []byte) error
	// Skipped, if not nil, is told of each socket, pipe and device, and of each folder that
	// LeaveOut refuses, and Import goes on without it. If it is nil, these are errors. It may be
	// called from several goroutines.
	Skipped func(path string, reason error)
	// Counter, if not nil, counts what is done.
	Counter *Counter
}

// A Result is what Import made.
type Result struct {
	Entry unixfs.Entry // its name is that of the source
	IsDir bool
	Files int64 // files and symlinks
	Dirs  int64
	Bytes int64 // of content
}

// Sizes that decide how a file is read.
const (
	// Files from this size on are hashed on all cores, one such file at a time, so that
	// memory does not grow with the number of them.
	largeFile = 8 << 20
	// runLength is how many files of a folder are one task.
	runLength = 16
	// Folders with more entries than this are imported in pieces of about as many.
	pieceLength = 4096
	// headLength is how many bytes of a file Check is given.
	headLength = 64
)

// Import writes the file, symlink or folder at path and all that is below it. It works on all
// cores; memory grows with the entries of single folders, by some 80 bytes for each, not
// with the tree or its files. A file that cannot be read is an error that names it. A file
// that changes meanwhile is taken in as it is read.
func Import(ctx context.Context, put store.Putter, path string, opt Options) (Result, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Result{}, fmt.Errorf("import: %w", err)
	}
	exclude, err := CompilePatterns(opt.Exclude)
	if err != nil {
		return Result{}, fmt.Errorf("import %s: %w", path, err)
	}
	im := &importer{crew: newCrew(ctx, runtime.GOMAXPROCS(0)-1), put: put, Options: opt, exclude: exclude, count: opt.Counter}
	defer im.cancel(nil)
	if im.count == nil {
		im.count = new(Counter)
	}
	result, err := im.top(path, info)
	if err != nil {
		return Result{}, fmt.Errorf("import: %w", err)
	}
	return result, nil
}

type importer struct {
	*crew
	Options
	put     store.Putter
	exclude *Patterns
	count   *Counter
	large   sync.Mutex // held while a large file is read
}

func (im *importer) top(path string, info fs.FileInfo) (Result, error) {
	before := [...]int64{im.count.Files.Load(), im.count.Dirs.Load(), im.count.Bytes.Load()}
	var e unixfs.Entry
	var err error
	if info.IsDir() {
		e, err = im.dir(path, "", nil, 1)
	} else {
		e, err = im.leaf(path, info.Mode().Type())
	}
	if err != nil {
		return Result{}, err
	}
	if name := filepath.Base(path); unixfs.CheckName(name) == nil {
		e.Name = name
	}
	return Result{
		Entry: e, IsDir: info.IsDir(),
		Files: im.count.Files.Load() - before[0],
		Dirs:  im.count.Dirs.Load() - before[1],
		Bytes: im.count.Bytes.Load() - before[2],
	}, nil
}

// dir imports a folder; rel is its path below the top.
func (im *importer) dir(path, rel string, above *rules, depth int) (unixfs.Entry, error) {
	if depth > maxDepth {
		return unixfs.Entry{}, depthError(path)
	}
	list, err := im.list(path, rel, above)
	if err != nil {
		return unixfs.Entry{}, err
	}
	w := unixfs.NewDirWriter(im.ctx, im.put)
	for items := range list.pieces() {
		entries, err := im.piece(path, rel, list.rules, items, depth)
		if err == nil {
			if err = w.Add(entries); err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
		}
		if err != nil {
			return unixfs.Entry{}, err
		}
	}
	e, err := w.Finish()
	if err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	im.count.Dirs.Add(1)
	return e, nil
}

// piece imports items of a folder and returns their entries, without those that were skipped.
func (im *importer) piece(path, rel string, rules *rules, items []item, depth int) ([]unixfs.Entry, error) {
	entries := make([]unixfs.Entry, len(items)) // every task has places of its own
	group := squad{crew: im.crew}
	for i, item := range items {
		if item.kind.IsDir() {
			group.run(func() (err error) {
				entries[i], err = im.folder(filepath.Join(path, item.name), join(rel, item.name), rules, depth+1)
				return err
			})
		}
	}
	for start := 0; start < len(items); start += runLength {
		end := min(start+runLength, len(items))
		group.run(func() error { return im.leaves(path, items[start:end], entries[start:end]) })
	}
	if err := group.join(); err != nil {
		return nil, err
	}
	return named(items, entries), nil
}

// folder imports a folder below the top, unless LeaveOut refuses it. An entry without a CID says
// that it was skipped.
func (im *importer) folder(path, rel string, above *rules, depth int) (unixfs.Entry, error) {
	if im.LeaveOut == nil {
		return im.dir(path, rel, above, depth)
	}
	switch reason := im.LeaveOut(path); {
	case reason == nil:
		return im.dir(path, rel, above, depth)
	case im.Skipped == nil:
		return unixfs.Entry{}, fmt.Errorf("%s: %w", path, reason)
	default:
		im.Skipped(path, reason)
		return unixfs.Entry{}, nil
	}
}

func join(rel, name string) string {
	if rel == "" {
		return name
	}
	return rel + "/" + name
}

// named gives entries the names of their items, and leaves out those without a CID, which were
// skipped.
func named(items []item, entries []unixfs.Entry) []unixfs.Entry {
	kept := entries[:0]
	for i, e := range entries {
		if e.Cid.Defined() {
			e.Name = items[i].name
			kept = append(kept, e)
		}
	}
	return kept
}

// leaves imports those of a run of items that are no folders.
func (im *importer) leaves(dir string, items []item, entries []unixfs.Entry) error {
	for i, item := range items {
		if item.kind.IsDir() {
			continue
		}
		if err := im.ctx.Err(); err != nil {
			return context.Cause(im.ctx)
		}
		var err error
		if entries[i], err = im.leaf(dir+string(filepath.Separator)+item.name, item.kind); err != nil {
			return err
		}
	}
	return nil
}

// leaf imports a file or a symlink. An entry without a CID says that it was skipped.
func (im *importer) leaf(path string, kind fs.FileMode) (e unixfs.Entry, err error) {
	switch {
	case kind.IsRegular():
		e, err = im.file(path)
	case kind == fs.ModeSymlink:
		e, err = im.symlink(path)
	default:
		err = fmt.Errorf("%s (%s): %w", path, kindName(kind), ErrKind)
	}
	if errors.Is(err, ErrKind) && im.Skipped != nil {
		im.Skipped(path, err)
		return unixfs.Entry{}, nil
	}
	if err == nil {
		im.count.Files.Add(1)
	}
	return e, err
}

func kindName(kind fs.FileMode) string {
	switch {
	case kind&fs.ModeNamedPipe != 0:
		return "pipe"
	case kind&fs.ModeSocket != 0:
		return "socket"
	case kind&fs.ModeDevice != 0:
		return "device"
	}
	return "unknown kind"
}

func (im *importer) symlink(path string) (unixfs.Entry, error) {
	target, err := os.Readlink(path)
	if err != nil {
		return unixfs.Entry{}, err
	}
	var mtime time.Time
	if im.Mtime {
		info, err := os.Lstat(path)
		if err != nil {
			return unixfs.Entry{}, err
		}
		mtime = info.ModTime()
	}
	e, err := unixfs.AddSymlink(im.ctx, im.put, target, mtime)
	if err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// file imports a file. It may have become something else since it was listed: that is
// why it is opened without following a symlink and without waiting for a pipe.
func (im *importer) file(path string) (unixfs.Entry, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return unixfs.Entry{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return unixfs.Entry{}, err
	}
	if !info.Mode().IsRegular() {
		return unixfs.Entry{}, fmt.Errorf("%s (%s): %w", path, kindName(info.Mode().Type()), ErrKind)
	}
	added, err := im.content(f, info)
	if err != nil && !strings.Contains(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return unixfs.Entry{Cid: added.Cid, Tsize: added.Tsize}, err
}

func (im *importer) content(f *os.File, info fs.FileInfo) (unixfs.Added, error) {
	attr := unixfs.Attr{Executable: info.Mode()&0o100 != 0}
	if im.Mtime {
		attr.Mtime = info.ModTime()
	}
	r := &countingReader{r: f, bytes: &im.count.Bytes, left: info.Size()}
	if im.Check != nil {
		r.check = func(head []byte) error { return im.Check(f.Name(), head) }
	}
	if info.Size() < largeFile {
		return unixfs.AddSerial(im.ctx, im.put, r, info.Size(), attr)
	}
	im.large.Lock()
	defer im.large.Unlock()
	return unixfs.AddFile(im.ctx, im.put, r, attr)
}

// A countingReader counts what passes. Where a file ends at the length that it had when it was
// opened, it says so without asking again: for small files every call counts.
type countingReader struct {
	r     io.Reader
	bytes *atomic.Int64
	left  int64
	check func(head []byte) error // nil once it was called
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.bytes.Add(int64(n))
	c.left -= int64(n)
	if c.check != nil && n > 0 {
		if refused := c.check(p[:min(n, headLength)]); refused != nil {
			return 0, refused
		}
		c.check = nil
	}
	if err == nil && c.left == 0 && n < len(p) {
		err = io.EOF
	}
	return n, err
}
