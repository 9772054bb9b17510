//go:build linux

package posixtest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const maxDirs, maxDepth = 8, 5

// modelNames are few, so that they meet.
var modelNames = []string{
	"a", "b", "c", "d", "e", "f", "g", "h", "a b", "grüße", "\xff\xfe", ".x", "-", "line\nbreak", strings.Repeat("long", 60),
}

// spot returns a directory and a name in it, which may be taken.
func (m *model) spot() (dir *node, name, path string) {
	dir, name = pick(m, m.dirs), pick(m, modelNames)
	if dir == m.root {
		return dir, name, name
	}
	return dir, name, dir.path() + "/" + name
}

// enter puts a node into a directory.
func (m *model) enter(n, dir *node, name string) {
	n.parent, n.name = dir, name
	dir.children[name] = n
}

// leave takes a node out of its directory, and of the lists if it is gone for good.
func (m *model) leave(n *node, forGood bool) {
	path := n.path()
	delete(n.parent.children, n.name)
	if !forGood {
		return
	}
	n.parent, n.name = nil, "removed "+path
	same := func(other *node) bool { return other == n }
	m.files, m.dirs = slices.DeleteFunc(m.files, same), slices.DeleteFunc(m.dirs, same)
}

func (m *model) create() {
	if len(m.files) >= m.opt.Files {
		m.unlink()
		return
	}
	dir, name, path := m.spot()
	m.note("create", path, 0, 0)
	flags := unix.O_RDWR | unix.O_CREAT | unix.O_EXCL
	if dir.children[name] != nil {
		m.fails(m.opens(path, flags), unix.EEXIST)
		return
	}
	if len(m.handles) >= maxHandles {
		last := len(m.handles) - 1
		m.shut(m.handles[last].fd)
		m.handles = m.handles[:last]
	}
	f := &node{limit: int(m.opt.MaxSize), mode: 0o600}
	if m.chance(6) {
		f.limit *= 5
	}
	fd := m.place.open(path, flags)
	m.ok(unix.Fchmod(fd, f.mode)) // the umask is not ours
	f.touch()
	m.enter(f, dir, name)
	h := &handle{f, fd, flags}
	m.files, m.handles = append(m.files, f), append(m.handles, h)
	if m.chance(3) {
		m.writeAt(h, 0, min(m.between(1, 3*mebi), f.limit))
	}
}

// unlink removes a file, open or not.
func (m *model) unlink() {
	f := pick(m, m.files)
	if f == nil {
		return
	}
	m.note("unlink", f.path(), int64(len(f.data)), 0)
	m.place.unlink(f.path())
	m.leave(f, true)
}

func (m *model) mkdir() {
	dir, name, path := m.spot()
	if len(m.dirs) >= maxDirs || strings.Count(path, "/") >= maxDepth {
		return
	}
	m.note("mkdir", path, 0, 0)
	err := unix.Mkdir(m.at(path), 0o700)
	if dir.children[name] != nil {
		m.fails(err, unix.EEXIST)
		return
	}
	m.ok(err)
	n := &node{children: map[string]*node{}, mode: 0o700}
	m.enter(n, dir, name)
	m.dirs = append(m.dirs, n)
}

func (m *model) rmdir() {
	dir := pick(m, m.dirs)
	if dir == m.root {
		return
	}
	m.note("rmdir", dir.path(), int64(len(dir.children)), 0)
	err := m.place.rmdir(dir.path())
	if len(dir.children) > 0 {
		m.fails(err, unix.ENOTEMPTY, unix.EEXIST)
		return
	}
	m.ok(err)
	m.leave(dir, true)
}

// rename moves a file or directory to a new name, or over another.
func (m *model) rename() {
	from := pick(m, m.files)
	if from == nil || m.chance(3) {
		from = pick(m, m.dirs)
	}
	dir, name, path := m.spot()
	if from == m.root {
		return
	}
	m.note("rename to "+path, from.path(), 0, 0)
	err := m.place.rename(from.path(), path)
	over := dir.children[name]
	if why := refusal(from, dir, over); why != nil {
		m.fails(err, why...)
		return
	}
	m.ok(err)
	if over == from {
		return
	}
	if over != nil {
		m.leave(over, true)
	}
	m.leave(from, false)
	m.enter(from, dir, name)
}

// refusal returns with what a rename into dir, over a node, may fail; nil if it must not.
func refusal(from, dir, over *node) (why []unix.Errno) {
	if over == from {
		return nil
	}
	if from.isAbove(dir) {
		why = append(why, unix.EINVAL)
	}
	if over == nil {
		return why
	}
	switch {
	case over.isAbove(from):
		why = append(why, unix.ENOTEMPTY, unix.EEXIST, unix.EISDIR)
	case from.children != nil && over.children == nil:
		why = append(why, unix.ENOTDIR)
	case from.children == nil && over.children != nil:
		why = append(why, unix.EISDIR)
	case len(over.children) > 0:
		why = append(why, unix.ENOTEMPTY, unix.EEXIST)
	}
	return why
}

// isAbove says whether n is other or above it.
func (n *node) isAbove(other *node) bool {
	for ; other != nil; other = other.parent {
		if other == n {
			return true
		}
	}
	return false
}

func (m *model) readdir() {
	dir := pick(m, m.dirs)
	m.note("readdir", dir.path(), int64(len(dir.children)), 0)
	m.compareNames(dir)
}

func (m *model) compareNames(dir *node) {
	path := "."
	if dir != m.root {
		path = dir.path()
	}
	m.names(path, slices.Collect(maps.Keys(dir.children))...)
}

// stat looks at a file or directory by its path.
func (m *model) stat() {
	n := pick(m, m.files)
	if n == nil || m.chance(5) {
		n = pick(m, m.dirs)
	}
	if n == m.root {
		dir, name, path := m.spot()
		m.note("stat", path, 0, 0)
		if dir.children[name] == nil {
			m.absent(path)
		}
		return
	}
	m.note("stat", n.path(), 0, 0)
	m.compareStat(n)
}

// compareStat compares all that is known of a node.
func (m *model) compareStat(n *node) {
	st := m.place.stat(n.path())
	if isDir(st.Mode) != (n.children != nil) || st.Mode&0o7777 != n.mode {
		m.failf("mode of %q: %o, want %o", n.path(), st.Mode, n.mode)
	}
	if n.children != nil {
		return
	}
	m.equal("size", st.Size, int64(len(n.data)))
	m.equal("links", int64(st.Nlink), 1)
	at := time.Unix(st.Mtim.Unix())
	if n.exact && st.Mtim != n.mtime || !n.exact && (at.Before(n.since.Add(-slack)) || time.Until(at) > slack) {
		m.failf("modification time of %q: %s, want %s or after %s", n.path(), clock(st.Mtim), clock(n.mtime), n.since)
	}
}

func (m *model) chmod() {
	n := pick(m, m.files)
	if n == nil || m.chance(5) {
		n = pick(m, m.dirs)
	}
	if n == m.root {
		return
	}
	n.mode = 0o600 | uint32(m.random.IntN(0o1000))
	if n.children != nil {
		n.mode |= 0o100
	}
	m.note("chmod", n.path(), int64(n.mode), 0)
	m.ok(m.place.chmod(n.path(), n.mode))
	m.compareStat(n)
}

func (m *model) utimens() {
	f := pick(m, m.files)
	if f == nil {
		return
	}
	if m.chance(4) {
		m.note("utimens now", f.path(), 0, 0)
		m.ok(m.setTime(f.path(), timeNow))
		f.touch()
	} else {
		f.exact, f.mtime = true, unix.Timespec{Sec: m.random.Int64N(1.7e9), Nsec: m.random.Int64N(1e9)}
		m.note("utimens", f.path(), f.mtime.Sec, f.mtime.Nsec)
		m.ok(m.setTime(f.path(), f.mtime))
	}
	m.compareStat(f)
}

// compareAll compares everything, the files that have no name any more included.
func (m *model) compareAll() {
	for _, dir := range m.dirs {
		m.compareNames(dir)
		if dir != m.root {
			m.compareStat(dir)
		}
	}
	for _, f := range m.files {
		m.compareStat(f)
		fd := m.place.open(f.path(), unix.O_RDONLY)
		m.compareWhole(&handle{f, fd, unix.O_RDONLY})
		m.shut(fd)
	}
	for _, h := range m.handles {
		m.compareSize(h)
		if h.parent == nil && h.flags&unix.O_ACCMODE != unix.O_WRONLY {
			m.compareWhole(h)
		}
	}
}

// compareWhole reads a file from its beginning to behind its end.
func (m *model) compareWhole(h *handle) {
	for at := 0; at <= len(h.data); at += mebi {
		m.compare(h, at, mebi)
	}
}
