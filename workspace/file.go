package workspace

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"archivecache/unixfs"
)

// maxChunks is how many chunks a file may have: 16 TiB.
const maxChunks = 16 << 20

func chunksOf(size int64) int64 { return (size + unixfs.ChunkSize - 1) / unixfs.ChunkSize }

// A file is what a Node has that is a file. Its lock comes after that of the workspace.
//
// While it has a local file, the chunks from baseChunks on are in that, and of those before it the
// ones in have; the others are still those of base.
type file struct {
	node *Node

	mu      sync.RWMutex
	size    int64 // bytes
	loaded  bool  // base is right
	base    *content
	text    []byte // the content of a value, which is no file of its own
	users   int    // how many have it open
	writers int    // how many of them for writing

	executable bool // as committed
	rejected   bool

	local      *os.File // nil unless it was written to
	localID    uint64
	stated     atomic.Uint64 // number of the last journal that names the local file
	givenUp    uint64        // number of the one that says that the file is gone
	baseChunks int64
	have       map[int64]struct{}

	// saved is what was committed last; the first savedChunks of it are right but for those in dirty.
	saved       unixfs.Entry
	savedChunks int64
	dirty       map[int64]struct{}
	changed     bool // since the last snapshot
	synced      bool // somebody wants it committed soon
	since       time.Time
	last        time.Time
	snapshots   int // that are being read
}

// load reads the first block of f, if that was not done yet.
func (f *file) load(ctx context.Context) error {
	ws := f.node.ws
	for {
		ws.mu.RLock()
		f.mu.RLock()
		loaded, entry := f.loaded, f.node.entry
		f.mu.RUnlock()
		ws.mu.RUnlock()
		if loaded {
			return nil
		}
		base, err := ws.openContent(ctx, entry)
		if err != nil {
			return f.node.unreadable(err)
		}
		ws.mu.RLock()
		f.mu.Lock()
		if !f.loaded && f.local == nil && f.node.entry.Cid.Equals(entry.Cid) { // else it was replaced meanwhile
			f.setBase(base)
		}
		f.mu.Unlock()
		ws.mu.RUnlock()
	}
}

// setBase makes f what is committed. f.mu is held.
func (f *file) setBase(base *content) {
	if base.size() != f.size && f.node.entry.Cid.Defined() { // the link to it has lied
		go f.node.resized()
	}
	f.loaded, f.base, f.size = true, base, base.size()
	f.baseChunks, f.have = base.chunks(), nil
	f.saved, f.savedChunks, f.dirty = unixfs.Entry{}, 0, nil
	if base != nil {
		f.saved, f.savedChunks = base.entry, base.chunks()
	}
}

// resized tells that the size of n is another than was told.
func (n *Node) resized() {
	n.ws.mu.Lock()
	n.ws.tell(n, "")
	n.ws.mu.Unlock()
	n.ws.tellAll()
}

// begin locks f for a change and makes sure that it will be committed.
func (f *file) begin(ctx context.Context) error {
	f.mu.Lock()
	if err := f.mayWrite(); err != nil {
		f.mu.Unlock()
		return err
	}
	if f.changed {
		return nil
	}
	f.mu.Unlock()
	ws := f.node.ws
	if err := ws.makeRoom(ctx); err != nil {
		return err
	}
	for {
		if err := f.load(ctx); err != nil {
			return err
		}
		ws.mu.Lock()
		f.mu.Lock()
		if !f.loaded { // it was replaced meanwhile
			f.mu.Unlock()
			ws.mu.Unlock()
			continue
		}
		var err error
		if !f.changed {
			err = f.change()
		}
		ws.mu.Unlock()
		if err != nil {
			f.mu.Unlock()
		}
		return err
	}
}

// mayWrite returns why f cannot be written to any more.
func (f *file) mayWrite() error {
	switch {
	case f.node.ws.closed.Load():
		return errClosed
	case f.rejected:
		return syscall.ESTALE
	}
	return nil
}

// reject notes that the tree has refused what was written to f: nobody would get what is written to it
// after that.
func (f *file) reject() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejected = true
}

// change notes that f differs from what is committed. Both locks are held.
func (f *file) change() error {
	if err := f.makeLocal(); err != nil {
		return err
	}
	n := f.node
	if !n.lost() {
		if err := n.ws.write(f.statement()); err != nil {
			return err
		}
		n.ws.change(n.parent, n.name)
	}
	f.changed, f.since = true, time.Now()
	return nil
}

// makeLocal makes the local file. f.mu is held.
func (f *file) makeLocal() error {
	if f.local != nil {
		return nil
	}
	id, local, err := f.node.ws.locals.get(f.size)
	if err != nil {
		return err
	}
	f.local, f.localID, f.have, f.dirty = local, id, map[int64]struct{}{}, map[int64]struct{}{}
	return nil
}

// statement says what f is by now. Both locks are held.
func (f *file) statement() statement {
	s := statement{Op: opPut, Path: []byte(f.node.path()), Kind: uint64(unixfs.File)}
	if f.local == nil {
		s.setBase(f.node.entry)
	} else {
		f.stated.Store(f.node.ws.journalNumber())
		s.Local, s.Chunks, s.Have = f.localID, uint64(f.baseChunks), ranges(f.have)
		if f.base != nil {
			s.setBase(f.base.entry)
		}
	}
	s.setAttributes(f.node)
	return s
}

// sync makes what was written to f durable.
func (f *file) sync() error {
	f.mu.Lock()
	local, changed := f.local, f.changed
	f.synced = changed
	if f.rejected {
		f.mu.Unlock()
		return syscall.ESTALE
	}
	var err error
	if local != nil {
		f.snapshots++ // so that it stays open
	}
	f.mu.Unlock()
	if local != nil {
		err = datasync(local)
		f.release()
	}
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return f.node.ws.syncJournals()
}

// release ends what holds the local file open.
func (f *file) release() {
	f.mu.Lock()
	f.snapshots--
	f.mu.Unlock()
	f.node.tidy()
}
