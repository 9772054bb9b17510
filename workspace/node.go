package workspace

import (
	"hash/fnv"
	"sync/atomic"
	"time"

	"archivecache/repo"
	"archivecache/unixfs"
)

// A Node is a file, symlink or directory. It stays the same one while it is renamed, and when
// nothing leads to it any more; another one of the same name is another Node.
type Node struct {
	ws   *Workspace
	ino  uint64
	kind unixfs.Kind // File, Directory or Symlink

	// What follows is guarded by ws.mu; parts of a file by the lock of that.
	parent  *Node // nil of the top
	name    string
	gone    bool         // nothing leads to it
	placed  bool         // the directory above has it under this name in what is committed
	founded bool         // a directory at a plain place, which will be one of its own
	entry   unixfs.Entry // as committed; its Cid is undefined before the first time
	mode    uint32       // permission bits; unset is as the content says
	fresh   bool         // mode and mtime are not committed yet

	// Unset they are as the content or its directory says.
	mtime, ctime stamp

	tag   atomic.Value
	holds atomic.Int64
	used  atomic.Int64           // when it was looked up or forgotten last, in seconds since 1970
	fault atomic.Pointer[string] // why it could not be read the last time

	dir    *dir
	file   *file
	target string // of a symlink
}

// A stamp is a time that may be set while others read it. The zero stamp is unset.
type stamp struct{ at atomic.Pointer[time.Time] }

func (s *stamp) set(t time.Time) { s.at.Store(&t) }

func (s *stamp) isSet() bool { return s.at.Load() != nil }

// or returns the time, or another one if it is unset.
func (s *stamp) or(other time.Time) time.Time {
	if t := s.at.Load(); t != nil {
		return *t
	}
	return other
}

// unset is no mode.
const unset = 1 << 31

// A dir is what a Node has that is a directory.
type dir struct {
	// kids are the nodes that were asked for, or made, by name.
	kids map[string]*Node
	// listing is what is committed; nil if it was not read yet.
	listing map[string]unixfs.Entry
	// changed has the names that differ from listing, and the number of the change.
	changed map[string]uint64
	// cleared has the names in changed of directories that went away.
	cleared map[string]struct{}
	// theirs has the names in changed under which somebody else has committed something since, and what
	// was committed there before.
	theirs map[string]unixfs.Entry
	// attributes are those of what is in listing, until there is a Node.
	attributes map[string]repo.Attributes
	// local is set for directories of the tree that are no content: they cannot be written here.
	local *localDir
}

func (ws *Workspace) newNode(kind unixfs.Kind, parent *Node, name string) *Node {
	n := &Node{ws: ws, kind: kind, parent: parent, name: name, mode: unset}
	switch kind {
	case unixfs.Directory:
		n.dir = &dir{kids: map[string]*Node{}, changed: map[string]uint64{}, cleared: map[string]struct{}{}, theirs: map[string]unixfs.Entry{}}
	case unixfs.File:
		n.file = &file{node: n}
	}
	n.used.Store(time.Now().Unix())
	n.ino = ws.number(parent, name)
	ws.numbers[n.ino] = n
	return n
}

// number returns an inode number that no other node has. It follows from where a node stands if
// that is free, so that listings can tell it before there is one.
func (ws *Workspace) number(parent *Node, name string) uint64 {
	ino := likelyNumber(parent, name)
	for ws.numbers[ino] != nil || ino <= 1 {
		ws.lastNumber++
		ino = 1<<63 | ws.lastNumber
	}
	return ino
}

func likelyNumber(parent *Node, name string) uint64 {
	if parent == nil {
		return 1 << 62
	}
	h := fnv.New64a()
	var above [8]byte
	for i := range above {
		above[i] = byte(parent.ino >> (8 * i))
	}
	h.Write(above[:])
	h.Write([]byte(name))
	return h.Sum64() &^ (1 << 63)
}

// Kind returns whether n is a File, a Directory or a Symlink.
func (n *Node) Kind() unixfs.Kind { return n.kind }

// Number returns the inode number of n.
func (n *Node) Number() uint64 { return n.ino }

// Path returns where n stands in the tree, "" at the top, and whether it still does.
func (n *Node) Path() (at string, there bool) {
	n.ws.mu.RLock()
	defer n.ws.mu.RUnlock()
	return n.path(), !n.lost()
}

// path returns where n stands, or stood last. ws.mu is held.
func (n *Node) path() string {
	if n.parent == nil {
		return ""
	}
	size := -1
	for at := n; at.parent != nil; at = at.parent {
		size += len(at.name) + 1
	}
	text := make([]byte, size)
	for at := n; at.parent != nil; at = at.parent {
		size -= len(at.name)
		copy(text[size:], at.name)
		if size > 0 {
			size--
			text[size] = '/'
		}
	}
	return string(text)
}

func (n *Node) childPath(name string) string {
	if at := n.path(); at != "" {
		return at + "/" + name
	}
	return name
}

// lost reports whether nothing leads to n. ws.mu is held.
func (n *Node) lost() bool {
	for at := n; at != nil; at = at.parent {
		if at.gone {
			return true
		}
	}
	return false
}

// unsettled returns the outermost directory at or above n that is not where it is committed; nil if
// all are. ws.mu is held.
func (n *Node) unsettled() *Node {
	var outermost *Node
	for at := n; at.parent != nil; at = at.parent {
		if !at.placed {
			outermost = at
		}
	}
	return outermost
}

// Workspace returns the workspace that n belongs to.
func (n *Node) Workspace() *Workspace { return n.ws }

// Sync makes durable what was made, renamed and removed in the directory n, or written to the file.
func (n *Node) Sync() error {
	defer n.ws.kick()
	if n.file != nil {
		return n.file.sync()
	}
	return n.ws.syncJournals()
}

// SetTag keeps something with n, for who shows the workspace to others.
func (n *Node) SetTag(tag any) { n.tag.Store(tag) }

// Tag returns what SetTag was given last; nil before.
func (n *Node) Tag() any { return n.tag.Load() }
