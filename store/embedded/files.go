package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// maxFiles is how many segment files a store keeps open for reading.
const maxFiles = 64

// files reads segment files and keeps those of late open.
type files struct {
	dir    string
	mu     sync.Mutex
	open   map[string]*os.File // by name; nil once closed
	oldest []string            // the names in open, in the order of opening
}

func newFiles(dir string) *files {
	return &files{dir: dir, open: make(map[string]*os.File)}
}

func (f *files) path(name string) string { return filepath.Join(f.dir, name) }

// read returns the bytes that r says c has, verified. They are in buf, which is made larger if it
// has to be.
func (f *files) read(c cid.Cid, r *row, buf *[]byte) ([]byte, error) {
	if r.length < 0 || r.length > store.MaxBlock || r.offset < 0 {
		return nil, fmt.Errorf("segment %s: %d bytes at %d: %w", f.path(r.segment), r.length, r.offset, &store.MismatchError{Cid: c})
	}
	if int64(cap(*buf)) < r.length {
		*buf = make([]byte, r.length)
	}
	data := (*buf)[:r.length]
	err := f.readAt(r.segment, data, r.offset)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("the file ends before: %w", &store.MismatchError{Cid: c})
	case err == nil:
		err = store.Verify(c, data)
	default:
		err = fmt.Errorf("block %s: %w", c, err)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %s: %d bytes at %d: %w", f.path(r.segment), r.length, r.offset, err)
	}
	return data, nil
}

// readAt fills buf. A file that another goroutine pushed out of the cache just now is opened again.
func (f *files) readAt(name string, buf []byte, offset int64) error {
	for {
		file, err := f.get(name)
		if err != nil {
			return err
		}
		if _, err = file.ReadAt(buf, offset); !errors.Is(err, fs.ErrClosed) {
			return err
		}
	}
}

func (f *files) get(name string) (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return nil, errors.New("the block store is closed")
	}
	if file := f.open[name]; file != nil {
		return file, nil
	}
	if !validName(name) { // a database from elsewhere must not name other files
		return nil, fmt.Errorf("%q is not the name of a segment", name)
	}
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	if len(f.oldest) >= maxFiles {
		// A read that is going on in it ends first.
		f.open[f.oldest[0]].Close()
		delete(f.open, f.oldest[0])
		f.oldest = f.oldest[1:]
	}
	f.open[name] = file
	f.oldest = append(f.oldest, name)
	return file, nil
}

func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range f.open {
		file.Close() // only read
	}
	f.open, f.oldest = nil, nil
	return nil
}
