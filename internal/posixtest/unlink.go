//go:build linux

package posixtest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// orphan makes an open file without a name.
func (p *place) orphan(content string) int {
	fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
	p.put(fd, content)
	p.unlink("f")
	p.absent("f")
	return fd
}

var unlinkChecks = []check{
	// The name is gone, also from the list of its directory.
	{"unlink/removes_the_name", func(p *place) {
		p.write("f", "content")
		p.unlink("f")
		p.absent("f")
		p.fails(p.opens("f", unix.O_RDONLY), unix.ENOENT)
		p.names(".")
	}},
	// ENOENT: there is no such file, or the path is empty.
	{"unlink/missing", func(p *place) {
		p.fails(unix.Unlink(p.at("f")), unix.ENOENT)
		p.fails(unix.Unlink(p.at("d/f")), unix.ENOENT)
		p.fails(unix.Unlink(""), unix.ENOENT)
	}},
	// EPERM: it is a directory; Linux says EISDIR.
	{"unlink/directory", func(p *place) {
		p.mkdir("d")
		p.fails(unix.Unlink(p.at("d")), unix.EPERM, unix.EISDIR)
		p.want(isDir(p.stat("d").Mode), "it is gone")
	}},
	// ENOTDIR: a folder on the way is something else, or a slash follows what is no directory.
	{"unlink/file_as_folder", func(p *place) {
		p.write("f", "")
		p.fails(unix.Unlink(p.at("f/g")), unix.ENOTDIR)
		p.fails(unix.Unlink(p.at("f/")), unix.ENOTDIR)
	}},
	// ENAMETOOLONG: a name or the path is too long.
	{"unlink/name_too_long", func(p *place) {
		p.fails(unix.Unlink(p.at(long(256))), unix.ENAMETOOLONG)
		p.fails(unix.Unlink(p.at(longPath)), unix.ENAMETOOLONG)
	}},
	// A symbolic link is removed, and not what it points to.
	{"unlink/symlink", func(p *place) {
		p.write("f", "content")
		p.symlink("f", "l")
		p.symlink("nowhere", "m")
		p.unlink("l")
		p.unlink("m")
		p.absent("l")
		p.content("f", "content")
	}},
	// The directory is marked as modified.
	{"unlink/touches_its_folder", func(p *place) {
		p.mkdir("d")
		p.write("d/f", "content")
		p.age("d")
		p.unlink("d/f")
		p.touched("d")
	}},
	// The status of a file that has other names has changed.
	{"unlink/ctime", func(p *place) {
		p.write("a", "content")
		p.ok(p.link("a", "b"))
		p.marks("b", func() { p.unlink("a") })
	}},
	// While a file is open, it stays when its last name goes: it can be read,
	{"unlink/open_file_reads", func(p *place) {
		want := noise(1<<20+10, 10)
		fd := p.orphan(want)
		p.same("read", p.getAt(fd, len(want)+1, 0), want)
	}},
	// written,
	{"unlink/open_file_writes", func(p *place) {
		fd := p.orphan("content")
		p.put(fd, " and more")
		p.putAt(fd, noise(1<<20, 11), 1<<20-5)
		p.same("head", p.getAt(fd, 16, 0), "content and more")
		p.same("tail", p.getAt(fd, 3<<20, 1<<20-5), noise(1<<20, 11))
	}},
	// looked at, with no links,
	{"unlink/open_file_has_no_links", func(p *place) {
		st := p.fstat(p.orphan("content"))
		p.equal("links", int64(st.Nlink), 0)
		p.equal("size", st.Size, 7)
	}},
	// truncated,
	{"unlink/open_file_truncates", func(p *place) {
		fd := p.orphan("content")
		p.ok(unix.Ftruncate(fd, 3))
		p.same("read", p.getAt(fd, 10, 0), "con")
		p.ok(unix.Ftruncate(fd, 5))
		p.same("read", p.getAt(fd, 10, 0), "con\x00\x00")
		p.equal("size", p.fstat(fd).Size, 5)
	}},
	// synced,
	{"unlink/open_file_syncs", func(p *place) {
		fd := p.orphan("content")
		p.ok(unix.Fsync(fd))
		p.same("read", p.getAt(fd, 10, 0), "content")
	}},
	// and given another mode and time.
	{"unlink/open_file_changes", func(p *place) {
		fd := p.orphan("content")
		p.ok(unix.Fchmod(fd, 0o640))
		p.ok(futimens(fd, unix.Timespec{Nsec: unix.UTIME_OMIT}, old))
		st := p.fstat(fd)
		p.equal("mode", int64(st.Mode&0o7777), 0o640)
		p.want(st.Mtim == old, "modified %s", clock(st.Mtim))
	}},
	// Two descriptors of it are still of one file.
	{"unlink/open_file_has_two_readers", func(p *place) {
		p.write("f", "content")
		other := p.open("f", unix.O_RDONLY)
		fd := p.open("f", unix.O_RDWR)
		p.unlink("f")
		p.putAt(fd, "C", 0)
		p.same("read", p.getAt(other, 10, 0), "Content")
		p.shut(fd)
		p.same("read", p.getAt(other, 10, 0), "Content")
	}},
	// A new file of the same name is another one.
	{"unlink/name_is_free", func(p *place) {
		fd := p.orphan("old")
		p.write("f", "new")
		p.put(fd, "er")
		p.content("f", "new")
		p.same("read", p.getAt(fd, 10, 0), "older")
		p.links("f", 1)
	}},
	// Its directory can be removed too.
	{"unlink/open_file_without_a_folder", func(p *place) {
		p.mkdir("d")
		fd := p.open("d/f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "content")
		p.unlink("d/f")
		p.ok(unix.Rmdir(p.at("d")))
		p.put(fd, "!")
		p.same("read", p.getAt(fd, 10, 0), "content!")
	}},
	// Any number of such files keep apart what they have.
	{"unlink/many_open_files", func(p *place) {
		var fds []int
		for i := range 100 {
			fds = append(fds, p.orphan(fmt.Sprint("first ", i)))
		}
		for i, fd := range fds {
			p.putAt(fd, "again", 0)
			p.same("read", p.getAt(fd, 20, 0), fmt.Sprint("again ", i))
		}
	}},
}
