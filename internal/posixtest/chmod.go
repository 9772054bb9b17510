//go:build linux

package posixtest

import "golang.org/x/sys/unix"

func (p *place) chmod(name string, mode uint32) error { return unix.Chmod(p.at(name), mode) }

var chmodChecks = []check{
	// All permission bits are as they were set.
	{"chmod/every_mode", func(p *place) {
		p.write("f", "content")
		for mode := range uint32(0o1000) {
			p.ok(p.chmod("f", mode))
			p.mode("f", mode)
		}
	}},
	// Of directories too.
	{"chmod/directory", func(p *place) {
		p.mkdir("d")
		for mode := uint32(0); mode <= 0o777; mode += 7 {
			p.ok(p.chmod("d", mode))
			p.mode("d", mode)
		}
		p.want(isDir(p.stat("d").Mode), "it is no directory any more")
		p.ok(p.chmod("d", 0o700))
	}},
	// By a descriptor, even one for reading.
	{"chmod/by_descriptor", func(p *place) {
		p.write("f", "content")
		fd := p.open("f", unix.O_RDONLY)
		p.ok(unix.Fchmod(fd, 0o751))
		p.mode("f", 0o751)
		p.equal("mode", int64(p.fstat(fd).Mode&0o7777), 0o751)
	}},
	// The umask is not looked at.
	{"chmod/umask", func(p *place) {
		p.write("f", "")
		p.umask(0o777, func() { p.ok(p.chmod("f", 0o765)) })
		p.mode("f", 0o765)
	}},
	// It stays when the file is opened, written and closed again.
	{"chmod/stays", func(p *place) {
		p.write("f", "content")
		p.ok(p.chmod("f", 0o751))
		fd := p.open("f", unix.O_RDWR|unix.O_APPEND)
		p.put(fd, "!")
		p.ok(unix.Fsync(fd))
		p.shut(fd)
		p.mode("f", 0o751)
		p.content("f", "content!")
	}},
	// ENOENT: there is no such file, or it is the target of a link that is missing.
	{"chmod/missing", func(p *place) {
		p.symlink("nowhere", "l")
		p.fails(p.chmod("f", 0o600), unix.ENOENT)
		p.fails(p.chmod("l", 0o600), unix.ENOENT)
	}},
	// ENOTDIR: a folder on the way is something else.
	{"chmod/file_as_folder", func(p *place) {
		p.write("f", "")
		p.fails(p.chmod("f/g", 0o600), unix.ENOTDIR)
	}},
	// ENAMETOOLONG: the name is too long.
	{"chmod/name_too_long", func(p *place) { p.fails(p.chmod(long(256), 0o600), unix.ENAMETOOLONG) }},
	// EBADF: the descriptor is not open.
	{"chmod/bad_descriptor", func(p *place) { p.fails(unix.Fchmod(p.closed(), 0o600), unix.EBADF) }},
	// A symbolic link is followed.
	{"chmod/through_a_symlink", func(p *place) {
		p.write("f", "")
		p.symlink("f", "l")
		p.ok(p.chmod("l", 0o604))
		p.mode("f", 0o604)
	}},
	// The file has not been modified.
	{"chmod/leaves_the_modification", func(p *place) {
		p.write("f", "content")
		p.mkdir("d")
		p.age("f", "d")
		p.ok(p.chmod("f", 0o600))
		p.ok(p.chmod("d", 0o700))
		p.aged("f")
		p.aged("d")
	}},
	// Its status has changed.
	{"chmod/ctime", func(p *place) {
		p.write("f", "content")
		p.marks("f", func() { p.ok(p.chmod("f", 0o600)) })
	}},
	// Descriptors that are open stay as they are.
	{"chmod/open_descriptors_stay", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.ok(p.chmod("f", 0))
		p.put(fd, "content")
		p.same("read", p.getAt(fd, 10, 0), "content")
	}},
	// A file may be given the owner and group that it has, and -1 leaves each as it is.
	{"chmod/chown_to_its_owner", func(p *place) {
		p.write("f", "content")
		st := p.stat("f")
		p.ok(unix.Lchown(p.at("f"), int(st.Uid), int(st.Gid)))
		p.ok(unix.Lchown(p.at("f"), -1, -1))
		after := p.stat("f")
		p.want(after.Uid == st.Uid && after.Gid == st.Gid, "owner %d:%d, before %d:%d", after.Uid, after.Gid, st.Uid, st.Gid)
		p.fails(unix.Lchown(p.at("g"), -1, -1), unix.ENOENT)
	}},
}
