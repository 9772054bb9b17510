package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	left  bool
	used  atomic.Int64
	named atomic.Bool // files were made since their names were synced

	mu      sync.Mutex
	last    uint64
	free    []local
	waiting []local // given up, and named by a journal that is not committed
}

type local struct {
	id      uint64
	file    *os.File
	journal uint64 // number of the last journal that may name it
}

func (l *locals) path(id uint64) string { return filepath.Join(l.folder, numberText(id)) }

// get returns a file of the given size, with zeros. Its number may have been that of another file,
// of which nothing in a journal counts any more.
func (l *locals) get(size int64) (uint64, *os.File, error) {
	next, err := l.next()
	if err != nil {
		return 0, nil, err
	}
	l.used.Add(1)
	if err := next.file.Truncate(size); err != nil {
		l.put(next)
		return 0, nil, err
	}
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
	l.named.Store(true)
	f, err := os.OpenFile(l.path(l.last), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return local{id: l.last, file: f}, err
}

// put takes back a file that nobody needs any more once the journal with the given number is
// committed: after a loss of power what was synced of an earlier one counts.
func (l *locals) put(one local) {
	if l.left {
		one.file.Close()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, one)
}

// release takes back the files that no journal after the given one names.
func (l *locals) release(done uint64) {
	l.mu.Lock()
	var ready []local
	l.waiting = slices.DeleteFunc(l.waiting, func(one local) bool {
		if one.journal <= done {
			ready = append(ready, one)
		}
		return one.journal <= done
	})
	l.mu.Unlock()
	l.takeBack(ready)
}

// reclaim takes back what was given up before the journals were synced: it is durable then that nobody
// wants it. On a full disk nothing else may make room for the next commit.
func (ws *Workspace) reclaim() {
	l := &ws.locals
	l.mu.Lock()
	waiting := slices.Clone(l.waiting)
	l.mu.Unlock()
	if len(waiting) == 0 || ws.syncJournals() != nil {
		return
	}
	l.mu.Lock()
	l.waiting = slices.DeleteFunc(l.waiting, func(one local) bool { return slices.Contains(waiting, one) })
	l.mu.Unlock()
	l.takeBack(waiting)
}

func (l *locals) takeBack(ready []local) {
	for _, one := range ready {
		l.used.Add(-1)
		if one.file.Truncate(0) != nil || !l.keep(one) {
			one.file.Close()
			os.Remove(l.path(one.id)) // it goes away with the folder anyway
		}
	}
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
	for _, one := range append(l.free, l.waiting...) {
		one.file.Close()
	}
	l.free, l.waiting = nil, nil
}

// dropLocal gives up the local file: its content is in the store, or nobody wants it. f.mu is held,
// and nobody reads it.
func (f *file) dropLocal() {
	if f.local == nil {
		return
	}
	f.node.ws.locals.put(local{f.localID, f.local, max(f.stated.Load(), f.givenUp)})
	f.local, f.have, f.dirty = nil, nil, nil
}

// makeRoom has a commit done if too many local files are in use.
func (ws *Workspace) makeRoom(ctx context.Context) error {
	if ws.locals.used.Load() < maxLocals {
		return nil
	}
	return refusal(ws.Commit(ctx))
}

// syncNames makes durable that files are there which were made since the last time.
func (l *locals) syncNames() error {
	if !l.named.Swap(false) {
		return nil
	}
	dir, err := os.Open(l.folder)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		l.named.Store(true)
		return fmt.Errorf("sync a workspace: %w", err)
	}
	return nil
}
