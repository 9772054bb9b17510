package workspace

import (
	"context"
	"syscall"
	"time"
)

// A Handle is an open file.
type Handle struct {
	file  *file
	write bool
}

// Open opens the file n for reading, and with write for writing as well.
func (n *Node) Open(ctx context.Context, write bool) (*Handle, error) {
	if n.file == nil {
		return nil, syscall.EISDIR
	}
	if write {
		n.ws.mu.RLock()
		err := n.mayChange()
		if err == nil && !n.gone && n.lost() {
			err = syscall.ESTALE // somebody else has removed a directory above
		}
		n.ws.mu.RUnlock()
		if err != nil {
			return nil, err
		}
	}
	ctx, cancel := n.ws.deadline(ctx)
	defer cancel()
	if err := n.file.load(ctx); err != nil {
		return nil, err
	}
	n.file.mu.Lock()
	defer n.file.mu.Unlock()
	n.file.users++
	if write {
		n.file.writers++
	}
	return &Handle{n.file, write}, nil
}

// Node returns the file that h has open.
func (h *Handle) Node() *Node { return h.file.node }

// ReadAt reads from the given place on, at least as much as there is of p before the end.
func (h *Handle) ReadAt(ctx context.Context, p []byte, at int64) (int, error) {
	ctx, cancel := h.file.node.ws.deadline(ctx)
	defer cancel()
	return h.file.readAt(ctx, p, at)
}

// WriteAt writes p to the given place, which may be behind the end.
func (h *Handle) WriteAt(ctx context.Context, p []byte, at int64) (int, error) {
	if !h.write {
		return 0, syscall.EBADF
	}
	ctx, cancel := h.file.node.ws.deadline(ctx)
	defer cancel()
	return h.file.writeAt(ctx, p, at)
}

// Sync makes what was written durable, and has it committed soon.
func (h *Handle) Sync() error {
	defer h.file.node.ws.kick()
	return h.file.sync()
}

// Close ends the use of h. What was written is committed a short while later.
func (h *Handle) Close() {
	f := h.file
	f.mu.Lock()
	f.users--
	if h.write {
		f.writers--
	}
	f.mu.Unlock()
	f.node.tidy()
	f.node.ws.kick()
}

// tidy drops the local file of n if all of it is committed, no journal names it any more and nobody
// writes to it, or if n is gone and nobody uses it.
func (n *Node) tidy() {
	n.ws.mu.Lock()
	defer n.ws.mu.Unlock()
	n.tidyLocked()
}

func (n *Node) tidyLocked() {
	f := n.file
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.snapshots > 0 || f.changed && !n.lost():
	case n.lost():
		f.dropUnused()
	case f.local == nil:
		f.unload()
	case f.stated.Load() > n.ws.done || !n.entry.Cid.Defined():
	case f.writers == 0 || !f.saved.Cid.Equals(n.entry.Cid): // all of it is committed, or replaced
		f.dropLocal()
		f.loaded, f.base = false, nil
	}
}

// unload forgets the first block of a file that nobody has open: it may be all of its content.
func (f *file) unload() {
	if f.users == 0 && f.text == nil && f.node.entry.Cid.Defined() {
		f.loaded, f.base = false, nil
	}
}

// A Setting is what SetAttr changes; what is nil stays.
type Setting struct {
	Mode  *uint32 // permission bits; others are ignored
	Size  *int64
	Mtime *time.Time
}

// SetAttr changes what is known of n besides its content, and its size. Files with an executable
// bit are executable for everybody who gets them; the other bits and times stay in the repository.
func (n *Node) SetAttr(ctx context.Context, s Setting) error {
	n.ws.mu.RLock()
	err := n.mayChange()
	if err == errPlain && n.dir != nil {
		err = nil // whoever makes directories there may set their times
	}
	n.ws.mu.RUnlock()
	if err != nil {
		return err
	}
	ctx, cancel := n.ws.deadline(ctx)
	defer cancel()
	if s.Size != nil {
		if n.file == nil {
			return syscall.EISDIR
		}
		if err := n.file.truncate(ctx, *s.Size); err != nil {
			return err
		}
	}
	if s.Mode != nil && n.file != nil {
		return n.setMode(ctx, s)
	}
	n.ws.mu.Lock()
	defer n.ws.mu.Unlock()
	return n.setAttributes(s)
}

// setMode sets the attributes of a file. If it becomes executable, or ceases to be, it has to be written
// anew.
func (n *Node) setMode(ctx context.Context, s Setting) error {
	f := n.file
	for {
		if err := f.load(ctx); err != nil {
			return err
		}
		n.ws.mu.Lock()
		f.mu.Lock()
		if f.loaded {
			break
		}
		f.mu.Unlock() // it was replaced meanwhile
		n.ws.mu.Unlock()
	}
	defer n.ws.mu.Unlock()
	err := f.mayWrite()
	if err == nil && !f.changed && (*s.Mode&0o111 != 0) != n.executable() {
		err = f.change()
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return n.setAttributes(s)
}

// executable reports whether n is an executable file. ws.mu is held.
func (n *Node) executable() bool {
	if n.mode == unset {
		return n.file.executable
	}
	return n.mode&0o111 != 0
}

// setAttributes sets mode and time. ws.mu is held.
func (n *Node) setAttributes(s Setting) error {
	before, had := n.mode, n.mtime.at.Load()
	if s.Mode != nil {
		n.mode = *s.Mode & 0o777
	}
	if s.Mtime != nil {
		n.mtime.set(*s.Mtime)
	}
	if !n.lost() && n.parent != nil && (s.Mode != nil || s.Mtime != nil) {
		change := statement{Op: opAttr, Path: []byte(n.path())}
		change.setAttributes(n)
		if err := n.ws.write(change); err != nil {
			n.mode = before
			n.mtime.at.Store(had)
			return err
		}
		n.refresh()
	}
	n.ctime.set(time.Now())
	return nil
}
