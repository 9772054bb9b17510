//go:build linux

package posixtest

import "golang.org/x/sys/unix"

func (p *place) link(from, to string) error { return unix.Link(p.at(from), p.at(to)) }

var linkChecks = []check{
	// Another name for the same file, and its count of links is one more.
	{"link/adds_a_name", func(p *place) {
		p.write("a", "content")
		p.links("a", 1)
		p.ok(p.link("a", "b"))
		p.links("a", 2)
		p.links("b", 2)
		p.want(p.stat("a").Ino == p.stat("b").Ino, "they are two files")
		p.content("b", "content")
	}},
	// What is done by one name is seen by the other.
	{"link/one_file", func(p *place) {
		p.write("a", "content")
		p.ok(p.link("a", "b"))
		p.write("b", "other")
		p.content("a", "other")
		p.ok(unix.Truncate(p.at("a"), 2))
		p.content("b", "ot")
		p.ok(unix.Chmod(p.at("a"), 0o600))
		p.mode("b", 0o600)
		p.age("b")
		p.aged("a")
	}},
	// In another directory.
	{"link/across_directories", func(p *place) {
		p.mkdir("d", "e")
		p.write("d/a", "content")
		p.ok(p.link("d/a", "e/b"))
		p.content("e/b", "content")
		p.links("d/a", 2)
	}},
	// EEXIST: the new name is taken, by whatever.
	{"link/existing", func(p *place) {
		p.write("a", "content")
		p.write("b", "other")
		p.mkdir("d")
		p.symlink("nowhere", "l")
		for _, name := range []string{"a", "b", "d", "l"} {
			p.fails(p.link("a", name), unix.EEXIST)
		}
		p.links("a", 1)
	}},
	// ENOENT: the file or a folder does not exist.
	{"link/missing", func(p *place) {
		p.fails(p.link("a", "b"), unix.ENOENT)
		p.write("a", "content")
		p.fails(p.link("a", "d/b"), unix.ENOENT)
		p.fails(unix.Link("", p.at("b")), unix.ENOENT)
	}},
	// EPERM: a directory has one name.
	{"link/directory", func(p *place) {
		p.mkdir("d")
		p.fails(p.link("d", "e"), unix.EPERM)
		p.absent("e")
	}},
	// ENOTDIR: a folder on the way is something else.
	{"link/file_as_folder", func(p *place) {
		p.write("a", "")
		p.write("f", "")
		p.fails(p.link("a", "f/b"), unix.ENOTDIR)
		p.fails(p.link("f/b", "b"), unix.ENOTDIR)
	}},
	// ENAMETOOLONG: a name or a path is too long.
	{"link/name_too_long", func(p *place) {
		p.write("a", "")
		p.fails(p.link("a", long(256)), unix.ENAMETOOLONG)
		p.fails(p.link("a", longPath), unix.ENAMETOOLONG)
	}},
	// The directory of the new name is marked as modified, the file is not.
	{"link/touches_its_folder", func(p *place) {
		p.mkdir("d")
		p.write("a", "content")
		p.age("a", "d")
		p.ok(p.link("a", "d/b"))
		p.touched("d")
		p.aged("a")
	}},
	// The status of the file has changed.
	{"link/ctime", func(p *place) {
		p.write("a", "content")
		p.marks("a", func() { p.ok(p.link("a", "b")) })
	}},
	// When the first name goes, the file stays with the other.
	{"link/outlives_the_first_name", func(p *place) {
		p.write("a", "content")
		p.ok(p.link("a", "b"))
		p.unlink("a")
		p.absent("a")
		p.content("b", "content")
		p.links("b", 1)
	}},
	// A file may be open by one name while it loses it, and be found by the other.
	{"link/open_by_a_lost_name", func(p *place) {
		p.write("a", "content")
		p.ok(p.link("a", "b"))
		fd := p.open("a", unix.O_RDWR)
		p.unlink("a")
		p.putAt(fd, "C", 0)
		p.content("b", "Content")
		p.equal("links", int64(p.fstat(fd).Nlink), 1)
	}},
	// linkat without AT_SYMLINK_FOLLOW gives a symbolic link another name.
	{"link/symlink", func(p *place) {
		p.write("f", "content")
		p.symlink("f", "l")
		p.ok(unix.Linkat(unix.AT_FDCWD, p.at("l"), unix.AT_FDCWD, p.at("m"), 0))
		p.want(p.stat("m").Ino == p.stat("l").Ino, "m is not the link")
		p.links("f", 1)
	}},
	// With AT_SYMLINK_FOLLOW, what it points to gets it.
	{"link/through_a_symlink", func(p *place) {
		p.write("f", "content")
		p.symlink("f", "l")
		p.ok(unix.Linkat(unix.AT_FDCWD, p.at("l"), unix.AT_FDCWD, p.at("m"), unix.AT_SYMLINK_FOLLOW))
		p.want(p.stat("m").Ino == p.stat("f").Ino, "m is not the file")
		p.links("f", 2)
	}},
}
