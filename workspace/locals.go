package workspace

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

const (
	// maxLocals is how many local files are in use before who wants another waits for a commit.
	maxLocals = 2048
	// maxFree is how many are kept for the next ones: to make and remove a file takes much longer than
	// to write a small one.
	maxFree = 1024
)

// locals are the local files of a workspace, by number.
type locals struct {
	folder string
	// left says that the files are those of a killed process: of one that was given up, another may
	// have the number by now, so nothing of them is changed.
	left bool
	used atomic.Int64

	mu   sync.Mutex
	last uint64
	free []local
}

type local struct {
	id   uint64
	file *os.File
}

func (l *locals) path(id uint64) string { return filepath.Join(l.folder, numberText(id)) }

// get returns a file of the given size, with zeros. Its number may have been that of another file,
// of which nothing in a journal counts any more.
func (l *locals) get(size int64) (uint64, *os.File, error) {
	next, err := l.next()
	if err != nil {
		return 0, nil, err
	}
	if err := next.file.Truncate(size); err != nil {
		l.used.Add(1)
		l.put(next.id, next.file)
		return 0, nil, err
	}
	l.used.Add(1)
	return next.id, next.file, nil
}

func (l *locals) next() (local, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		next := l.free[n-1]
		l.free = l.free[:n-1]
		return next, nil
	}
	l.last++
	f, err := os.OpenFile(l.path(l.last), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return local{l.last, f}, err
}

// put takes back a file that nobody needs any more.
func (l *locals) put(id uint64, f *os.File) {
	if l.left {
		f.Close()
		return
	}
	l.used.Add(-1)
	if f.Truncate(0) == nil && l.keep(local{id, f}) {
		return
	}
	f.Close()
	os.Remove(l.path(id)) // it goes away with the folder anyway
}

func (l *locals) keep(one local) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) >= maxFree {
		return false
	}
	l.free = append(l.free, one)
	return true
}

// closeFree closes the files that are not used.
func (l *locals) closeFree() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.free {
		one.file.Close()
	}
	l.free = nil
}

// dropLocal gives up the local file: its content is in the store, or nobody wants it. f.mu is held,
// and nobody reads it.
func (f *file) dropLocal() {
	if f.local == nil {
		return
	}
	f.node.ws.locals.put(f.localID, f.local)
	f.local, f.have, f.dirty = nil, nil, nil
}

// makeRoom has a commit done if too many local files are in use.
func (ws *Workspace) makeRoom(ctx context.Context) error {
	if ws.locals.used.Load() < maxLocals {
		return nil
	}
	return ws.Commit(ctx)
}
