//go:build linux

package posixtest

import "golang.org/x/sys/unix"

func (p *place) rmdir(name string) error { return unix.Rmdir(p.at(name)) }

var rmdirChecks = []check{
	// An empty directory is removed.
	{"rmdir/removes", func(p *place) {
		p.mkdir("d")
		p.ok(p.rmdir("d"))
		p.absent("d")
		p.names(".")
	}},
	// ENOTEMPTY or EEXIST: there is something in it: a file, a directory, a dangling link, a hidden file.
	{"rmdir/not_empty", func(p *place) {
		p.mkdir("a", "a/d", "b", "c", "d")
		p.write("b/f", "")
		p.symlink("nowhere", "c/l")
		p.write("d/.hidden", "")
		for _, name := range []string{"a", "b", "c", "d"} {
			p.fails(p.rmdir(name), unix.ENOTEMPTY, unix.EEXIST)
		}
		p.names(".", "a", "b", "c", "d")
	}},
	// It can be removed when all in it has been.
	{"rmdir/emptied", func(p *place) {
		p.mkdir("d", "d/e")
		p.write("d/f", "")
		p.ok(p.rmdir("d/e"))
		p.ok(p.rename("d/f", "f"))
		p.ok(p.rmdir("d"))
		p.names(".", "f")
	}},
	// ENOENT: there is no such directory.
	{"rmdir/missing", func(p *place) {
		p.fails(p.rmdir("d"), unix.ENOENT)
		p.fails(p.rmdir("d/e"), unix.ENOENT)
		p.fails(unix.Rmdir(""), unix.ENOENT)
	}},
	// ENOTDIR: it is something else, or something on the way is.
	{"rmdir/file", func(p *place) {
		p.write("f", "content")
		p.fails(p.rmdir("f"), unix.ENOTDIR)
		p.fails(p.rmdir("f/d"), unix.ENOTDIR)
		p.content("f", "content")
	}},
	// A symbolic link is not followed.
	{"rmdir/symlink", func(p *place) {
		p.mkdir("d")
		p.symlink("d", "l")
		p.fails(p.rmdir("l"), unix.ENOTDIR)
		p.want(isDir(p.stat("d").Mode), "it is gone")
	}},
	// EINVAL: the last name is dot. With dot-dot it fails too.
	{"rmdir/dot", func(p *place) {
		p.mkdir("d")
		p.fails(p.rmdir("d/."), unix.EINVAL)
		p.fails(p.rmdir("d/.."), unix.EINVAL, unix.ENOTEMPTY, unix.EEXIST, unix.EBUSY)
	}},
	// ENAMETOOLONG: the name is too long.
	{"rmdir/name_too_long", func(p *place) { p.fails(p.rmdir(long(256)), unix.ENAMETOOLONG) }},
	// The parent is marked as modified.
	{"rmdir/touches_its_parent", func(p *place) {
		p.mkdir("d", "d/e")
		p.age("d")
		p.ok(p.rmdir("d/e"))
		p.touched("d")
	}},
	// A directory that is open somewhere may be removed; nothing can be made in it then.
	{"rmdir/open_directory", func(p *place) {
		p.mkdir("d")
		d := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		p.ok(p.rmdir("d"))
		_, err := unix.Openat(d, "f", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o666)
		p.fails(err, unix.ENOENT)
		p.fails(unix.Mkdirat(d, "e", 0o777), unix.ENOENT)
	}},
	// Another of the same name is empty.
	{"rmdir/name_is_free", func(p *place) {
		p.mkdir("d")
		p.write("d/f", "")
		p.unlink("d/f")
		p.ok(p.rmdir("d"))
		p.mkdir("d")
		p.names("d")
		p.write("d/f", "new")
		p.content("d/f", "new")
	}},
}
