package workspace

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	slices.SortFunc(names, func(a, b Name) int { return compareNames(a.Name, b.Name) })
	return names, nil
}

func compareNames(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
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

// Hold tells that n has to stay as it is known until as many calls of Forget.
func (n *Node) Hold() { n.holds.Add(1) }

// Forget ends a Hold. When nobody holds n it is dropped a while later, unless somebody looks it up
// again.
func (n *Node) Forget() {
	n.used.Store(time.Now().Unix())
	n.holds.Add(-1)
}

// forgetAfter is how long a node stays that nobody holds, in seconds: much longer than it takes from a
// lookup to a Hold.
const forgetAfter = 30

// sweep drops the nodes that nobody holds.
func (ws *Workspace) sweep(now time.Time) {
	ws.mu.Lock()
	for _, n := range ws.numbers {
		if n.holds.Load() <= 0 && now.Unix()-n.used.Load() >= forgetAfter && n.parent != nil && n.idle() {
			n.drop()
		}
	}
	ws.mu.Unlock()
	ws.tellAll()
}

// drop forgets n. ws.mu is held.
func (n *Node) drop() {
	if n.parent.dir.kids[n.name] == n {
		delete(n.parent.dir.kids, n.name)
		n.keepAttributes()
		n.ws.tell(n.parent, n.name) // for caches that know it after all
	}
	if n.ws.numbers[n.ino] == n {
		delete(n.ws.numbers, n.ino)
	}
}

// keepAttributes notes the attributes of n for the next node in its place.
func (n *Node) keepAttributes() {
	if n.parent.dir.attributes == nil || n.mode == unset && !n.mtime.isSet() {
		return
	}
	a := n.attributes()
	n.parent.dir.attributes[n.name] = a
}

// idle reports whether n is as it is committed, and nothing depends on it. ws.mu is held.
func (n *Node) idle() bool {
	if n.gone {
		return n.file == nil || n.file.users == 0
	}
	if !n.placed || n.fresh || n.dir != nil && (len(n.dir.kids) > 0 || len(n.dir.changed) > 0 || n.dir.local != nil) {
		return false
	}
	if _, changed := n.parent.dir.changed[n.name]; changed || n.parent.dir.local != nil {
		return false
	}
	if n.file == nil {
		return true
	}
	n.file.mu.RLock()
	defer n.file.mu.RUnlock()
	return n.file.users == 0 && n.file.local == nil
}

// An Attr is what is known of a node besides its content.
type Attr struct {
	Number uint64
	Kind   unixfs.Kind
	Mode   uint32 // permission bits 0777
	Size   int64  // bytes; of a symlink those of its target
	Mtime  time.Time
	Ctime  time.Time
	Links  uint32 // 0 when nothing leads to it any more
}

// Attr returns what is known of n besides its content.
func (n *Node) Attr() Attr {
	n.ws.mu.RLock()
	defer n.ws.mu.RUnlock()
	a := Attr{Number: n.ino, Kind: n.kind, Mode: n.permissions(), Size: int64(len(n.target)), Links: 1}
	if n.gone {
		a.Links = 0
	}
	if n.file != nil {
		n.file.mu.RLock()
		a.Size = n.file.size
		n.file.mu.RUnlock()
	}
	a.Mtime = n.mtime.or(n.defaultTime())
	a.Ctime = n.ctime.or(a.Mtime)
	return a
}

// permissions returns the mode of n as it is shown. ws.mu is held.
func (n *Node) permissions() uint32 {
	mode := n.wanted()
	if err := n.mayChange(); n.kind != unixfs.Symlink && err != nil && err != errPlain {
		mode &^= 0o222
	}
	return mode
}

// wanted returns the mode of n, whoever may change it. ws.mu is held.
func (n *Node) wanted() uint32 {
	switch {
	case n.kind == unixfs.Symlink:
		return 0o777
	case n.mode != unset:
		return n.mode & 0o777
	case n.kind == unixfs.Directory || n.file.executable:
		return 0o755
	}
	return 0o644
}

// attributes returns what is recorded of n. ws.mu is held.
func (n *Node) attributes() repo.Attributes {
	a := repo.Attributes{Mode: n.wanted(), Mtime: n.mtime.or(n.defaultTime())}
	if n.dir == nil {
		a.Cid = n.entry.Cid
	}
	return a
}

// defaultTime returns the time of what has none of its own: when the directory that it is part of
// was signed, else when it was committed here.
func (n *Node) defaultTime() time.Time {
	d := n.ws.head.governor(n)
	var newest time.Time
	if d != nil {
		for _, p := range d.Parts {
			if p.Draft != nil {
				return n.ws.started
			}
			if p.Reference != nil {
				if t := time.Unix(int64(p.Reference.Time), 0); t.After(newest) {
					newest = t
				}
			}
		}
	}
	if newest.IsZero() {
		return n.ws.started
	}
	return newest
}

// Readlink returns the target of the symlink n.
func (n *Node) Readlink() (string, error) {
	if n.kind != unixfs.Symlink {
		return "", syscall.EINVAL
	}
	n.ws.mu.RLock()
	defer n.ws.mu.RUnlock()
	return n.target, nil
}

// Space returns how large the file system of the repository is, and how much of it is free.
func (ws *Workspace) Space() (s syscall.Statfs_t, err error) {
	return s, syscall.Statfs(ws.Dir(), &s)
}
