//go:build linux

package posixtest

import (
	"bytes"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// mebi is where files are most likely cut into blocks.
const mebi = 1 << 20

// length returns how much to write or read: mostly little, now and then up to 3 MiB.
func (m *model) length() int {
	high := 3 * mebi
	switch r := m.random.IntN(1000); {
	case r < 800:
		high = 8 << 10
	case r < 970:
		high = 128 << 10
	case r < 995:
		high = mebi
	}
	bits := 0
	for high>>bits > 1 {
		bits++
	}
	return m.between(1, min(high, 1<<m.between(0, bits+1)))
}

// offset returns where to do something with n bytes in a file of some size: often over a border.
func (m *model) offset(size, n int) int {
	at := 0
	switch r := m.random.IntN(10); {
	case r < 4:
		at = m.between(0, size/mebi+1)*mebi - m.between(0, n)
	case r < 7:
		at = m.between(0, size)
	case r < 8:
		at = size - m.between(0, n)
	case r < 9:
		at = m.between(0, size/4096) * 4096
	default:
		at = size
	}
	return max(at, 0)
}

// where returns where in a file to write n bytes, so that it does not get too long.
func (m *model) where(f *node, n int) int {
	at := m.offset(len(f.data), n)
	if m.chance(20) {
		at += m.between(0, 2*mebi) // leaves a hole
	}
	return max(0, min(at, f.limit-n))
}

// handle returns an open file for reading or writing, or nil.
func (m *model) handle(writing bool) *handle {
	for range 5 {
		h := pick(m, m.handles)
		if h == nil {
			break
		}
		if writing && h.flags&unix.O_APPEND == 0 && h.flags&unix.O_ACCMODE != unix.O_RDONLY ||
			!writing && h.flags&unix.O_ACCMODE != unix.O_WRONLY {
			return h
		}
	}
	m.open()
	return nil
}

// piece returns n bytes to write.
func (m *model) piece(n int) []byte { return m.noise[m.random.IntN(len(m.noise)-n):][:n] }

func (m *model) write() {
	h := m.handle(true)
	if h == nil {
		return
	}
	n := m.length()
	at := m.where(h.node, n)
	m.writeAt(h, at, min(n, h.limit-at))
	if m.chance(4) {
		m.compareSize(h)
	}
}

func (m *model) writeAt(h *handle, at, n int) {
	m.note("write", h.path(), int64(at), int64(n))
	data := m.piece(n)
	got, err := unix.Pwrite(h.fd, data, int64(at))
	m.ok(err)
	m.equal("bytes written", int64(got), int64(n))
	m.overwrite(h.node, at, data)
}

// overwrite does in the model what was done to the file.
func (m *model) overwrite(f *node, at int, data []byte) {
	f.resize(max(len(f.data), at+len(data)))
	copy(f.data[at:], data)
	f.touch()
	m.written += int64(len(data))
}

func (m *model) append() {
	i := slices.IndexFunc(m.handles, func(h *handle) bool { return h.flags&unix.O_APPEND != 0 })
	if i < 0 {
		m.open()
		return
	}
	h := m.handles[i]
	data := m.piece(min(m.length(), h.limit-len(h.data)))
	m.note("append", h.path(), int64(len(h.data)), int64(len(data)))
	got, err := unix.Write(h.fd, data)
	m.ok(err)
	m.equal("bytes written", int64(got), int64(len(data)))
	if len(data) > 0 {
		m.overwrite(h.node, len(h.data), data)
	}
	at, err := unix.Seek(h.fd, 0, unix.SEEK_CUR)
	m.ok(err)
	if len(data) > 0 {
		m.equal("offset", at, int64(len(h.data)))
	}
}

func (m *model) pread() {
	h := m.handle(false)
	if h == nil {
		return
	}
	n := m.length()
	at := m.offset(len(h.data), n)
	m.note("read", h.path(), int64(at), int64(n))
	m.compare(h, at, n)
}

// compare reads by one call what should be there.
func (m *model) compare(h *handle, at, n int) {
	want := h.data[min(at, len(h.data)):min(at+n, len(h.data))]
	got, err := unix.Pread(h.fd, m.buf[:n], int64(at))
	m.ok(err)
	m.read += int64(got)
	if !bytes.Equal(m.buf[:got], want) {
		m.differ(h.node, at, m.buf[:got], want)
	}
}

// differ tells where.
func (m *model) differ(f *node, at int, got, want []byte) {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	j, end := i, min(i+16, len(got), len(want))
	for k := i; k < min(len(got), len(want)); k++ {
		if got[k] != want[k] {
			j = k
		}
	}
	m.failf("%q, of size %d, from %d on: %d bytes, want %d; they differ at %d to %d: %x, want %x",
		f.path(), len(f.data), at, len(got), len(want), at+i, at+j, got[i:end], want[i:end])
}

// readByPath opens a file to read a part.
func (m *model) readByPath() {
	f := pick(m, m.files)
	if f == nil {
		return
	}
	n := m.length()
	at := m.offset(len(f.data), n)
	m.note("open and read", f.path(), int64(at), int64(n))
	fd := m.place.open(f.path(), unix.O_RDONLY)
	m.compare(&handle{f, fd, unix.O_RDONLY}, at, n)
	m.shut(fd)
}

func (m *model) truncate() {
	h := m.handle(true)
	if h == nil {
		return
	}
	size := m.newSize(h.node)
	m.note("truncate", h.path(), int64(size), int64(len(h.data)))
	if h.parent != nil && m.chance(2) {
		m.ok(unix.Truncate(m.at(h.path()), int64(size)))
	} else {
		m.ok(unix.Ftruncate(h.fd, int64(size)))
	}
	h.touch()
	if size == len(h.data) {
		h.since = time.Time{} // some file systems do nothing then
	}
	h.resize(size)
	m.compareSize(h)
}

// newSize returns a size to truncate to: often less, at borders, sometimes more.
func (m *model) newSize(f *node) int {
	size := m.between(0, len(f.data))
	switch r := m.random.IntN(10); {
	case r < 2:
		size = m.between(0, len(f.data)/mebi)*mebi + m.between(-1, 1)
	case r < 3:
		size = 0
	case r < 5:
		size = len(f.data) + m.length()
	}
	return max(0, min(size, f.limit))
}

// compareSize compares what is known of an open file.
func (m *model) compareSize(h *handle) {
	st := m.fstat(h.fd)
	m.equal("size", st.Size, int64(len(h.data)))
	links := int64(1)
	if h.parent == nil {
		links = 0
	}
	m.equal("links", int64(st.Nlink), links)
}

// region returns a part of an open file to be mapped, or nil; the file must be open for both.
func (m *model) region() (h *handle, at, n int) {
	h = m.handle(true)
	if h == nil || h.flags&unix.O_ACCMODE != unix.O_RDWR || len(h.data) == 0 {
		return nil, 0, 0
	}
	n = m.length()
	at = min(m.offset(len(h.data), n), len(h.data)-1)
	return h, at, min(n, len(h.data)-at)
}

func (m *model) mapWrite() {
	h, at, n := m.region()
	if h == nil {
		return
	}
	m.note("write by memory", h.path(), int64(at), int64(n))
	data := m.piece(n)
	m.withMemory(h, at, n, readWrite, func(b, all []byte) {
		copy(b, data)
		m.ok(unix.Msync(all, unix.MS_SYNC))
	})
	m.overwrite(h.node, at, data)
	if m.chance(3) {
		m.compare(h, at, n)
	}
}

func (m *model) mapRead() {
	h, at, n := m.region()
	if h == nil {
		return
	}
	m.note("read by memory", h.path(), int64(at), int64(n))
	m.withMemory(h, at, n, unix.PROT_READ, func(b, _ []byte) {
		if want := h.data[at : at+n]; !bytes.Equal(b, want) {
			m.differ(h.node, at, slices.Clone(b), want)
		}
	})
	m.read += int64(n)
}

// withMemory maps a part of a file; all is the same from the beginning of the page on.
func (m *model) withMemory(h *handle, at, n, prot int, fn func(b, all []byte)) {
	page := at &^ 4095
	all, err := unix.Mmap(h.fd, int64(page), at-page+n, prot, unix.MAP_SHARED)
	m.ok(err)
	defer unix.Munmap(all)
	advise(all, prot)
	m.guarded(func() { fn(all[at-page:], all) })
}

func (m *model) fsync() {
	h := pick(m, m.handles)
	if h == nil {
		return
	}
	m.note("fsync", h.path(), 0, 0)
	m.ok(unix.Fsync(h.fd))
}

var openFlags = []int{
	unix.O_RDWR, unix.O_RDWR, unix.O_RDWR, unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR | unix.O_APPEND, unix.O_WRONLY | unix.O_APPEND,
}

const maxHandles = 10

func (m *model) open() {
	f := pick(m, m.files)
	if f == nil || len(m.handles) >= maxHandles {
		m.closeOne()
		return
	}
	flags := pick(m, openFlags)
	if m.chance(30) && flags&unix.O_ACCMODE != unix.O_RDONLY {
		flags |= unix.O_TRUNC
	}
	m.note("open", f.path(), int64(flags), 0)
	m.handles = append(m.handles, &handle{f, m.place.open(f.path(), flags), flags})
	if flags&unix.O_TRUNC != 0 {
		f.resize(0)
		f.touch()
	}
}

func (m *model) closeOne() {
	if len(m.handles) == 0 {
		return
	}
	i := m.random.IntN(len(m.handles))
	if removed := m.removed(); removed >= 0 && m.chance(2) {
		i = removed
	}
	h := m.handles[i]
	m.note("close", h.path(), 0, 0)
	m.handles = slices.Delete(m.handles, i, i+1)
	m.shut(h.fd)
}

// removed returns which open file has no name, or -1.
func (m *model) removed() int {
	return slices.IndexFunc(m.handles, func(h *handle) bool { return h.parent == nil })
}

func (m *model) closeAll() {
	for _, h := range m.handles {
		m.shut(h.fd)
	}
	m.handles = nil
}
