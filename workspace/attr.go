package workspace

import (
	"syscall"
	"time"

	"archivecache/repo"
	"archivecache/unixfs"
)

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
