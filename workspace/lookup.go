package workspace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// deadline returns ctx with the time that a block may take.
func (ws *Workspace) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, ws.opt.Timeout)
}

// unreadable notes why n could not be read, and returns what the reader gets.
func (n *Node) unreadable(err error) error {
	if errors.Is(err, context.Canceled) {
		return syscall.EINTR
	}
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = fmt.Sprintf("no block within %v: %v", n.ws.opt.Timeout, err)
	}
	if before := n.fault.Swap(&text); before == nil || *before != text {
		go n.sayFault(text) // who calls may hold the lock of a file
	}
	return fmt.Errorf("%w: %w", syscall.EIO, err)
}

// readable notes that n could be read.
func (n *Node) readable() {
	if n.fault.Load() != nil {
		n.fault.Store(nil)
	}
}

func (n *Node) sayFault(text string) {
	at, _ := n.Path()
	n.ws.log("%s: %s", at, text)
}

// Lookup returns what stands under a name in the directory n. Errors of all methods are, or wrap,
// the error numbers of the system: here ENOENT, ENOTDIR, ENAMETOOLONG and EIO.
func (n *Node) Lookup(ctx context.Context, name string) (*Node, error) {
	if n.dir == nil {
		return nil, syscall.ENOTDIR
	}
	if len(name) > path.MaxName {
		return nil, syscall.ENAMETOOLONG
	}
	for {
		if err := n.read(ctx); err != nil {
			return nil, err
		}
		n.ws.mu.RLock()
		kid, entry, err := n.find(name)
		n.ws.mu.RUnlock()
		if kid != nil || err != nil {
			return kid, err
		}
		kid, err = n.adopt(ctx, name, entry)
		if kid != nil || err != nil {
			return kid, err
		}
	}
}

// find returns the node under a name, or the entry that one has to be made of. ws.mu is held, and n
// was read.
func (n *Node) find(name string) (*Node, unixfs.Entry, error) {
	if n.lost() {
		return nil, unixfs.Entry{}, syscall.ENOENT
	}
	if kid := n.dir.kids[name]; kid != nil {
		kid.used.Store(time.Now().Unix())
		return kid, unixfs.Entry{}, nil
	}
	entry, ok := n.dir.listing[name]
	if _, changed := n.dir.changed[name]; changed || !ok {
		return nil, entry, syscall.ENOENT
	}
	return nil, entry, nil
}

// adopt makes the node of an entry; it returns none if the entry is not there any more.
func (n *Node) adopt(ctx context.Context, name string, entry unixfs.Entry) (*Node, error) {
	ws := n.ws
	info, err := ws.stat(ctx, entry)
	if err != nil {
		return nil, n.unreadable(fmt.Errorf("%s: %w", name, err))
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	kid, now, err := n.find(name)
	if kid != nil || err != nil || !now.Cid.Equals(entry.Cid) {
		return kid, err
	}
	kid = ws.newNode(info.Kind, n, name)
	kid.placed = true
	kid.setEntry(entry, info)
	if a, ok := n.dir.attributes[name]; ok {
		if kid.dir != nil || a.Cid.Equals(entry.Cid) {
			kid.mode = a.Mode
			kid.mtime.set(a.Mtime)
			kid.ctime.set(a.Mtime)
		}
		delete(n.dir.attributes, name)
	}
	n.dir.kids[name] = kid
	return kid, nil
}

// setEntry makes n show what is committed.
func (n *Node) setEntry(entry unixfs.Entry, info unixfs.Info) {
	n.entry, n.target = entry, info.Target
	if !info.Mtime.IsZero() {
		n.mtime.set(info.Mtime)
		n.ctime.set(info.Mtime)
	}
	if n.file != nil {
		n.file.size = int64(info.Size)
		n.file.executable = info.Executable
	}
}

// stat says what an entry is. A raw block is a file whose size its link tells, so that it need not
// be here.
func (ws *Workspace) stat(ctx context.Context, e unixfs.Entry) (unixfs.Info, error) {
	if e.Cid.Type() == cid.Raw {
		return unixfs.Info{Kind: unixfs.File, Size: min(e.Tsize, store.MaxBlock)}, nil
	}
	ctx, cancel := ws.deadline(ctx)
	defer cancel()
	return unixfs.Stat(ctx, ws.blocks, e.Cid)
}

// read reads the listing of the directory n, if that was not done yet.
func (n *Node) read(ctx context.Context) error {
	ws := n.ws
	for {
		ws.mu.RLock()
		known, entry, at := n.dir.listing != nil, n.entry, n.path()
		ws.mu.RUnlock()
		if known {
			return nil
		}
		if n.dir.local != nil {
			if err := n.readLocal(ctx); err != nil {
				return err
			}
			continue
		}
		listing, err := ws.list(ctx, entry)
		if err != nil {
			return n.unreadable(err)
		}
		attributes, err := ws.repo.Attributes(ctx, at)
		if err != nil {
			return n.unreadable(err)
		}
		n.readable()
		ws.mu.Lock()
		if n.dir.listing == nil && n.entry.Cid.Equals(entry.Cid) {
			n.dir.listing, n.dir.attributes = listing, attributes
			n.forgetOld(at)
		}
		ws.mu.Unlock()
	}
}

// forgetOld drops recorded attributes of what somebody else has removed, with the next commit. ws.mu
// is held.
func (n *Node) forgetOld(at string) {
	if n.ws.opt.ReadOnly || n.mayChange() != nil {
		return
	}
	for name := range n.dir.attributes {
		if _, there := n.dir.listing[name]; !there {
			delete(n.dir.attributes, name)
			n.ws.steps = append(n.ws.steps, func(tx *repo.Tx) { tx.ForgetAttributes(at, name) })
		}
	}
}

// list returns the entries of a directory; an undefined one has none.
func (ws *Workspace) list(ctx context.Context, e unixfs.Entry) (map[string]unixfs.Entry, error) {
	listing := map[string]unixfs.Entry{}
	if !e.Cid.Defined() {
		return listing, nil
	}
	ctx, cancel := ws.deadline(ctx)
	defer cancel()
	d, err := unixfs.OpenDir(ctx, ws.blocks, e.Cid)
	if err != nil {
		return nil, err
	}
	err = d.Each(ctx, func(e unixfs.Entry) error {
		listing[e.Name] = e
		return nil
	})
	return listing, err
}

// A Name is an entry of a listing.
type Name struct {
	Name   string
	Number uint64 // of the inode
	Kind   unixfs.Kind
}

// List returns what stands in the directory n, in the order of the names.
func (n *Node) List(ctx context.Context) ([]Name, error) {
	if n.dir == nil {
		return nil, syscall.ENOTDIR
	}
	if err := n.read(ctx); err != nil {
		return nil, err
	}
	n.ws.mu.RLock()
	if n.lost() {
		n.ws.mu.RUnlock()
		return nil, nil
	}
	entries := make(map[string]unixfs.Entry, len(n.dir.listing))
	names := make([]Name, 0, len(n.dir.listing)+len(n.dir.kids))
	for name, e := range n.dir.listing {
		_, changed := n.dir.changed[name]
		if n.dir.kids[name] == nil && !changed {
			names = append(names, Name{Name: name, Number: likelyNumber(n, name)})
			entries[name] = e
		}
	}
	for name, kid := range n.dir.kids {
		names = append(names, Name{Name: name, Number: kid.ino, Kind: kid.kind})
	}
	n.ws.mu.RUnlock()
	for i := range names {
		if e, ok := entries[names[i].Name]; ok {
			names[i].Kind = n.ws.kindOf(ctx, e)
		}
	}
	slices.SortFunc(names, func(a, b Name) int { return strings.Compare(a.Name, b.Name) })
	return names, nil
}

// kindOf says what an entry is, as far as that is known here: 0 if not. Nobody is asked, as a listing
// may have many.
func (ws *Workspace) kindOf(ctx context.Context, e unixfs.Entry) unixfs.Kind {
	if e.Cid.Type() == cid.Raw {
		return unixfs.File
	}
	info, err := unixfs.Stat(ctx, ws.blocks.Getter, e.Cid)
	if err != nil {
		return 0
	}
	return info.Kind
}

// isEmpty reports whether nothing stands in the directory n, which was read. ws.mu is held.
func (n *Node) isEmpty() bool {
	if len(n.dir.kids) > 0 {
		return false
	}
	for name := range n.dir.listing {
		if _, changed := n.dir.changed[name]; !changed {
			return false
		}
	}
	return true
}
