package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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

// writeAt writes p to f.
func (f *file) writeAt(ctx context.Context, p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > maxChunks*unixfs.ChunkSize {
		return 0, syscall.EFBIG
	}
	if err := f.begin(ctx); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	taken, err := f.take(ctx, at, at+int64(len(p)))
	if err != nil {
		return 0, err
	}
	if _, err = f.local.WriteAt(p, at); err == nil {
		err = f.tookChunks(taken)
	}
	if err != nil {
		f.spoiled(at, at+int64(len(p)))
		return 0, err
	}
	f.wrote(at, at+int64(len(p)))
	return len(p), nil
}

// spoiled notes that a write has failed, and may have written a part. Of chunks that were not in the
// local file that does not count; others differ from what is committed; and what was behind the end
// goes away.
func (f *file) spoiled(from, to int64) {
	f.local.Truncate(f.size) // to a length that it had fits on any disk
	for i := from / unixfs.ChunkSize; i <= (to-1)/unixfs.ChunkSize && i < chunksOf(f.size); i++ {
		if f.isLocal(i) {
			f.dirty[i] = struct{}{}
		}
	}
}

// take copies what a write from one place to another leaves of the chunks that it touches, and
// returns those that were not in the local file.
func (f *file) take(ctx context.Context, from, to int64) (taken []int64, err error) {
	for i := from / unixfs.ChunkSize; i <= (to-1)/unixfs.ChunkSize; i++ {
		if f.isLocal(i) {
			continue
		}
		start := i * unixfs.ChunkSize
		if from > start || to < min(start+unixfs.ChunkSize, f.base.size()) {
			if err := f.copyUp(ctx, i); err != nil {
				return nil, err
			}
		}
		taken = append(taken, i)
	}
	return taken, nil
}

// isLocal reports whether chunk i has to be read from the local file.
func (f *file) isLocal(i int64) bool {
	_, have := f.have[i]
	return f.local != nil && (have || i >= f.baseChunks)
}

// copyUp writes chunk i of base to the local file.
func (f *file) copyUp(ctx context.Context, i int64) error {
	start := i * unixfs.ChunkSize
	size := min(unixfs.ChunkSize, f.base.size()-start, f.size-start)
	if size <= 0 {
		return nil
	}
	buf := make([]byte, size)
	if err := f.base.readAt(ctx, buf, start); err != nil {
		return f.node.unreadable(err)
	}
	_, err := f.local.WriteAt(buf, start)
	return err
}

// wrote notes that the local file has new bytes.
func (f *file) wrote(from, to int64) {
	for i := from / unixfs.ChunkSize; i <= (to-1)/unixfs.ChunkSize; i++ {
		f.dirty[i] = struct{}{}
	}
	f.size = max(f.size, to)
	f.touched()
}

// touched sets the times of f to now.
func (f *file) touched() {
	f.last, f.synced = time.Now(), false
	f.node.mtime.set(f.last)
	f.node.ctime.set(f.last)
}

// tookChunks notes that the local file has more chunks.
func (f *file) tookChunks(taken []int64) error {
	if len(taken) == 0 {
		return nil
	}
	set := make(map[int64]struct{}, len(taken))
	for _, i := range taken {
		set[i] = struct{}{}
	}
	if err := f.node.ws.write(statement{Op: opChunks, Local: f.localID, Have: ranges(set)}); err != nil {
		return err
	}
	maps.Copy(f.have, set)
	return nil
}

// truncate makes f as long as size says.
func (f *file) truncate(ctx context.Context, size int64) error {
	if size < 0 || size > maxChunks*unixfs.ChunkSize {
		return syscall.EFBIG
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if size >= f.size {
		if err := f.local.Truncate(size); err != nil {
			return err
		}
		f.size = size
		f.touched()
		return nil
	}
	return f.cut(ctx, size)
}

// cut makes f shorter. The local file is cut before the journal says what of base is left, so that
// whoever reads both after a crash finds the file before or after.
func (f *file) cut(ctx context.Context, size int64) error {
	i, inside := size/unixfs.ChunkSize, size%unixfs.ChunkSize != 0
	if inside && !f.isLocal(i) {
		if err := f.copyUp(ctx, i); err != nil {
			return err
		}
		if err := f.tookChunks([]int64{i}); err != nil {
			return err
		}
	}
	if err := f.local.Truncate(size); err != nil {
		return err
	}
	left := chunksOf(size)
	f.size, f.baseChunks, f.savedChunks = size, min(f.baseChunks, left), min(f.savedChunks, left)
	for _, set := range []map[int64]struct{}{f.have, f.dirty} {
		maps.DeleteFunc(set, func(i int64, _ struct{}) bool { return i >= left })
	}
	if inside {
		f.dirty[i] = struct{}{}
	}
	f.touched()
	return f.node.ws.write(statement{Op: opChunks, Local: f.localID, Chunks: uint64(f.baseChunks) + 1})
}

// readAt reads from f; behind its end there is nothing.
func (f *file) readAt(ctx context.Context, p []byte, at int64) (int, error) {
	for {
		if err := f.load(ctx); err != nil {
			return 0, err
		}
		f.mu.RLock()
		if f.loaded {
			break
		}
		f.mu.RUnlock() // it was replaced meanwhile
	}
	defer f.mu.RUnlock()
	if at >= f.size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), f.size-at)]
	if f.text != nil {
		return copy(p, f.text[at:]), nil
	}
	for done := 0; done < len(p); {
		part, err := f.readPart(ctx, p[done:], at+int64(done))
		if err != nil {
			return done, err
		}
		done += part
	}
	return len(p), nil
}

// readPart reads as much as there is in one place.
func (f *file) readPart(ctx context.Context, p []byte, at int64) (int, error) {
	i := at / unixfs.ChunkSize
	local, end := f.isLocal(i), i+1
	for last := (at + int64(len(p)) - 1) / unixfs.ChunkSize; end <= last && f.isLocal(end) == local; {
		end++
	}
	p = p[:min(int64(len(p)), end*unixfs.ChunkSize-at)]
	if !local {
		if err := f.base.readAt(ctx, p, at); err != nil {
			return 0, f.node.unreadable(err)
		}
		f.node.readable()
		return len(p), nil
	}
	n, err := f.local.ReadAt(p, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	clear(p[n:])
	return len(p), nil
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
