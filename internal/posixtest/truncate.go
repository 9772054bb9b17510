//go:build linux

package posixtest

import (
	"strings"

	"golang.org/x/sys/unix"
)

func (p *place) truncate(name string, size int64) error { return unix.Truncate(p.at(name), size) }

var truncateChecks = []check{
	// What is behind the new end is gone.
	{"truncate/shrinks", func(p *place) {
		p.write("f", "abcdef")
		p.ok(p.truncate("f", 2))
		p.size("f", 2)
		p.content("f", "ab")
	}},
	// A file that grows reads as zeros from its old end on.
	{"truncate/grows", func(p *place) {
		p.write("f", "abc")
		p.ok(p.truncate("f", 10))
		p.size("f", 10)
		p.content("f", "abc"+string(make([]byte, 7)))
	}},
	// To nothing.
	{"truncate/to_nothing", func(p *place) {
		p.write("f", "abc")
		p.ok(p.truncate("f", 0))
		p.content("f", "")
	}},
	// To what it has.
	{"truncate/to_its_size", func(p *place) {
		p.write("f", "abc")
		p.ok(p.truncate("f", 3))
		p.content("f", "abc")
	}},
	// What was cut off does not come back when the file grows again.
	{"truncate/cut_off_for_good", func(p *place) {
		p.write("f", strings.Repeat("x", 10_000))
		p.ok(p.truncate("f", 100))
		p.ok(p.truncate("f", 10_000))
		p.content("f", strings.Repeat("x", 100)+string(make([]byte, 9_900)))
	}},
	// Nor when it is grown by a write.
	{"truncate/cut_off_for_good_by_a_write", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, strings.Repeat("x", 10_000))
		p.ok(unix.Ftruncate(fd, 5_000))
		p.putAt(fd, "end", 9_000)
		p.content("f", strings.Repeat("x", 5_000)+string(make([]byte, 4_000))+"end")
	}},
	// At the borders of large blocks, and beside them.
	{"truncate/at_borders", func(p *place) {
		want := noise(3<<20, 12)
		for _, size := range []int{3<<20 - 1, 2<<20 + 1, 2 << 20, 2<<20 - 1, 1<<20 + 1, 1 << 20, 1<<20 - 1, 4097, 4096, 4095, 1} {
			p.write("f", want)
			p.ok(p.truncate("f", int64(size)))
			p.content("f", want[:size])
			p.ok(p.truncate("f", 3<<20))
			p.content("f", want[:size]+string(make([]byte, 3<<20-size)))
		}
	}},
	// Far, and written at the end.
	{"truncate/grows_far", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "abc")
		p.ok(unix.Ftruncate(fd, 20<<20))
		p.putAt(fd, "end", 20<<20-3)
		p.same("head", p.getAt(fd, 5, 0), "abc\x00\x00")
		p.zeros("middle", p.getAt(fd, 1<<20, 10<<20), 1<<20)
		p.same("end", p.getAt(fd, 10, 20<<20-3), "end")
	}},
	// The modification is marked, whether it shrinks or grows.
	{"truncate/touches", func(p *place) {
		p.write("f", "abcdef")
		for _, size := range []int64{3, 10} {
			p.age("f")
			p.ok(p.truncate("f", size))
			p.touched("f")
		}
	}},
	// And if the size stays.
	{"truncate/to_its_size_touches", func(p *place) {
		p.write("f", "abcdef")
		p.age("f")
		p.ok(p.truncate("f", 6))
		p.touched("f")
	}},
	// So is the status change.
	{"truncate/ctime", func(p *place) {
		p.write("f", "abcdef")
		p.marks("f", func() { p.ok(p.truncate("f", 3)) })
	}},
	// ENOENT: there is no such file.
	{"truncate/missing", func(p *place) { p.fails(p.truncate("f", 0), unix.ENOENT) }},
	// EISDIR: it is a directory.
	{"truncate/directory", func(p *place) {
		p.mkdir("d")
		p.fails(p.truncate("d", 0), unix.EISDIR)
	}},
	// EINVAL: the size is negative.
	{"truncate/negative", func(p *place) {
		p.write("f", "abc")
		p.fails(p.truncate("f", -1), unix.EINVAL)
		p.fails(unix.Ftruncate(p.open("f", unix.O_RDWR), -1), unix.EINVAL)
		p.content("f", "abc")
	}},
	// ENOTDIR: a folder on the way is something else.
	{"truncate/file_as_folder", func(p *place) {
		p.write("f", "")
		p.fails(p.truncate("f/g", 0), unix.ENOTDIR)
	}},
	// ENAMETOOLONG: the name is too long.
	{"truncate/name_too_long", func(p *place) { p.fails(p.truncate(long(256), 0), unix.ENAMETOOLONG) }},
	// A symbolic link is followed.
	{"truncate/through_a_symlink", func(p *place) {
		p.write("f", "abc")
		p.symlink("f", "l")
		p.ok(p.truncate("l", 1))
		p.content("f", "a")
	}},
	// ftruncate leaves the offset where it is.
	{"truncate/offset_stays", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "abcdef")
		p.ok(unix.Ftruncate(fd, 2))
		p.put(fd, "X")
		p.content("f", "ab\x00\x00\x00\x00X")
	}},
	// EINVAL or EBADF: the descriptor is not open for writing.
	{"truncate/descriptor_for_reading", func(p *place) {
		p.write("f", "abc")
		p.fails(unix.Ftruncate(p.open("f", unix.O_RDONLY), 0), unix.EINVAL, unix.EBADF)
		p.fails(unix.Ftruncate(p.closed(), 0), unix.EINVAL, unix.EBADF)
		p.content("f", "abc")
	}},
	// Others that have the file open see the new size.
	{"truncate/is_seen_by_others", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDONLY)
		p.same("before", p.getAt(fd, 10, 0), "abcdef")
		p.ok(p.truncate("f", 3))
		p.same("after", p.getAt(fd, 10, 0), "abc")
		p.equal("size", p.fstat(fd).Size, 3)
	}},
}
