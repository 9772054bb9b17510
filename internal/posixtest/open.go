//go:build linux

package posixtest

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var openChecks = []check{
	// With O_CREAT, a file that does not exist is made: regular, of size 0.
	{"open/O_CREAT_makes_a_file", func(p *place) {
		p.open("f", unix.O_WRONLY|unix.O_CREAT)
		st := p.stat("f")
		p.want(isFile(st.Mode), "mode %o", st.Mode)
		p.equal("size", st.Size, 0)
	}},
	// With O_CREAT alone, an existing file is opened as it is.
	{"open/O_CREAT_keeps_what_is_there", func(p *place) {
		p.write("f", "content")
		p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.content("f", "content")
	}},
	// ENOENT: O_CREAT is not set and the file does not exist.
	{"open/missing", func(p *place) { p.fails(p.opens("f", unix.O_RDONLY), unix.ENOENT) }},
	// ENOENT: a folder on the way does not exist, with O_CREAT too.
	{"open/missing_folder", func(p *place) { p.fails(p.opens("d/f", unix.O_WRONLY|unix.O_CREAT), unix.ENOENT) }},
	// ENOENT: the path is the empty string.
	{"open/empty_path", func(p *place) {
		_, err := unix.Open("", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		p.fails(err, unix.ENOENT)
	}},
	// EEXIST: O_CREAT and O_EXCL are set and the file exists.
	{"open/O_EXCL_on_a_file", func(p *place) {
		p.write("f", "content")
		p.fails(p.opens("f", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_TRUNC), unix.EEXIST)
		p.content("f", "content")
	}},
	// EEXIST: so too where a directory has the name.
	{"open/O_EXCL_on_a_directory", func(p *place) {
		p.mkdir("d")
		p.fails(p.opens("d", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL), unix.EEXIST)
	}},
	// With O_EXCL a symbolic link is not followed, whatever it points to: EEXIST.
	{"open/O_EXCL_on_a_symlink", func(p *place) {
		p.symlink("target", "l")
		p.fails(p.opens("l", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL), unix.EEXIST)
		p.absent("target")
	}},
	// Looking for the file and making it are one step to all that try it with O_EXCL.
	{"open/O_EXCL_lets_one_win", func(p *place) {
		for range 20 {
			var won atomic.Int64
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					fd, err := unix.Open(p.at("f"), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o666)
					if err == nil {
						won.Add(1)
						unix.Close(fd)
					}
				})
			}
			all.Wait()
			p.equal("openings that made the file", won.Load(), 1)
			p.unlink("f")
		}
	}},
	// Without O_EXCL, O_CREAT follows a dangling link and makes its target.
	{"open/O_CREAT_through_a_symlink", func(p *place) {
		p.symlink("target", "l")
		p.put(p.open("l", unix.O_WRONLY|unix.O_CREAT), "content")
		p.content("target", "content")
	}},
	// With O_TRUNC, the length becomes 0.
	{"open/O_TRUNC_empties", func(p *place) {
		p.write("f", "content")
		p.open("f", unix.O_WRONLY|unix.O_TRUNC)
		p.size("f", 0)
	}},
	// O_TRUNC leaves mode and owner as they are, and it is the same file.
	{"open/O_TRUNC_keeps_the_file", func(p *place) {
		p.write("f", "content")
		p.ok(unix.Chmod(p.at("f"), 0o640))
		before := p.stat("f")
		p.open("f", unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC)
		after := p.stat("f")
		p.mode("f", 0o640)
		p.want(before.Ino == after.Ino && before.Uid == after.Uid && before.Gid == after.Gid, "before %+v, after %+v", before, after)
	}},
	// What is in a file after O_TRUNC is what was written since, over borders of blocks too.
	{"open/O_TRUNC_then_write", func(p *place) {
		p.write("f", noise(3<<20, 1))
		fd := p.open("f", unix.O_RDWR|unix.O_TRUNC)
		p.putAt(fd, "end", 1<<20+1)
		p.zeros("before", p.getAt(fd, 1<<20+1, 0), 1<<20+1)
		p.same("end", p.getAt(fd, 10, 1<<20+1), "end")
	}},
	// O_TRUNC on an existing file marks its modification.
	{"open/O_TRUNC_touches", func(p *place) {
		p.write("f", "content")
		p.age("f")
		p.open("f", unix.O_WRONLY|unix.O_TRUNC)
		p.touched("f")
	}},
	// Another descriptor sees at once that the file is empty.
	{"open/O_TRUNC_is_seen_by_others", func(p *place) {
		p.write("f", "content")
		fd := p.open("f", unix.O_RDONLY)
		p.open("f", unix.O_WRONLY|unix.O_TRUNC)
		p.same("read", p.get(fd, 10), "")
		p.equal("size", p.fstat(fd).Size, 0)
	}},
	// EISDIR: a directory is to be opened for writing.
	{"open/directory_for_writing", func(p *place) {
		p.mkdir("d")
		p.fails(p.opens("d", unix.O_WRONLY), unix.EISDIR)
		p.fails(p.opens("d", unix.O_RDWR), unix.EISDIR)
		p.fails(p.opens("d", unix.O_WRONLY|unix.O_CREAT), unix.EISDIR)
	}},
	// ENOTDIR: what stands before a slash is not a directory.
	{"open/file_as_folder", func(p *place) {
		p.write("f", "")
		p.fails(p.opens("f/g", unix.O_RDONLY), unix.ENOTDIR)
		p.fails(p.opens("f/g", unix.O_WRONLY|unix.O_CREAT), unix.ENOTDIR)
		p.fails(p.opens("f/", unix.O_RDONLY), unix.ENOTDIR)
	}},
	// ENOTDIR: O_DIRECTORY is set and it is none.
	{"open/O_DIRECTORY_on_a_file", func(p *place) {
		p.write("f", "")
		p.fails(p.opens("f", unix.O_RDONLY|unix.O_DIRECTORY), unix.ENOTDIR)
	}},
	// ELOOP: O_NOFOLLOW is set and the name is a symbolic link.
	{"open/O_NOFOLLOW_on_a_symlink", func(p *place) {
		p.write("f", "")
		p.symlink("f", "l")
		p.fails(p.opens("l", unix.O_RDONLY|unix.O_NOFOLLOW), unix.ELOOP)
	}},
	// ELOOP: symbolic links go in a circle.
	{"open/symlink_loop", func(p *place) {
		p.symlink("b", "a")
		p.symlink("a", "b")
		p.fails(p.opens("a", unix.O_RDONLY), unix.ELOOP)
	}},
	// A name may have NAME_MAX bytes, here 255.
	{"open/name_of_255_bytes", func(p *place) {
		p.write(long(255), "content")
		p.content(long(255), "content")
	}},
	// ENAMETOOLONG: it has more.
	{"open/name_of_256_bytes", func(p *place) {
		p.fails(p.opens(long(256), unix.O_WRONLY|unix.O_CREAT), unix.ENAMETOOLONG)
		p.fails(p.opens(long(256), unix.O_RDONLY), unix.ENAMETOOLONG)
	}},
	// ENAMETOOLONG: the path is longer than PATH_MAX.
	{"open/path_too_long", func(p *place) { p.fails(p.opens(longPath, unix.O_RDONLY), unix.ENAMETOOLONG) }},
	// The bits of the umask are cleared in the mode of a new file.
	{"open/umask", func(p *place) {
		for _, mask := range []int{0, 0o022, 0o027, 0o077, 0o777} {
			p.umask(mask, func() { p.shut(p.open("f", unix.O_WRONLY|unix.O_CREAT)) })
			p.mode("f", 0o666&^uint32(mask))
			p.unlink("f")
		}
	}},
	// A new file has the permission bits it was given.
	{"open/mode", func(p *place) {
		p.umask(0, func() {
			for mode := uint32(0); mode <= 0o777; mode += 7 {
				fd, err := unix.Open(p.at("f"), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
				p.ok(err)
				p.ok(unix.Close(fd))
				p.mode("f", mode)
				p.unlink("f")
			}
		})
	}},
	// The mode counts for later openings, not for the descriptor that made the file.
	{"open/mode_000_is_open_to_its_maker", func(p *place) {
		fd, err := unix.Open(p.at("f"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0)
		p.ok(err)
		p.fds = append(p.fds, fd)
		p.put(fd, "content")
		p.same("read", p.getAt(fd, 10, 0), "content")
	}},
	// The mode argument does nothing to a file that exists.
	{"open/mode_of_existing_stays", func(p *place) {
		p.write("f", "")
		p.ok(unix.Chmod(p.at("f"), 0o600))
		p.umask(0, func() { p.open("f", unix.O_RDWR|unix.O_CREAT) })
		p.mode("f", 0o600)
	}},
	// creat is open for writing only, with O_CREAT and O_TRUNC.
	{"open/creat", func(p *place) {
		p.write("f", "content")
		fd, err := unix.Creat(p.at("f"), 0o666)
		p.ok(err)
		p.fds = append(p.fds, fd)
		p.size("f", 0)
		_, err = unix.Read(fd, make([]byte, 1))
		p.fails(err, unix.EBADF)
	}},
	// Each opening has an offset of its own, 0 at first.
	{"open/offsets_are_apart", func(p *place) {
		p.write("f", "abcdef")
		a, b := p.open("f", unix.O_RDONLY), p.open("f", unix.O_RDONLY)
		p.same("a", p.get(a, 3), "abc")
		p.same("b", p.get(b, 3), "abc")
	}},
	// A duplicate shares the offset.
	{"open/dup_shares_the_offset", func(p *place) {
		p.write("f", "abcdef")
		a := p.open("f", unix.O_RDONLY)
		b, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0)
		p.ok(err)
		p.fds = append(p.fds, b)
		p.same("a", p.get(a, 3), "abc")
		p.same("b", p.get(b, 3), "def")
	}},
	// The file stays open until the last duplicate is closed.
	{"open/dup_outlives_the_first", func(p *place) {
		a := p.open("f", unix.O_RDWR|unix.O_CREAT)
		b, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0)
		p.ok(err)
		p.fds = append(p.fds, b)
		p.shut(a)
		p.put(b, "content")
		p.content("f", "content")
	}},
	// A new file marks its directory as modified, and is of now itself.
	{"open/new_file_touches_its_folder", func(p *place) {
		p.mkdir("d")
		p.age("d")
		p.open("d/f", unix.O_WRONLY|unix.O_CREAT)
		p.touched("d", "d/f")
	}},
	// Opening an existing file does not.
	{"open/existing_file_leaves_its_folder", func(p *place) {
		p.mkdir("d")
		p.write("d/f", "content")
		p.age("d", "d/f")
		p.open("d/f", unix.O_RDWR|unix.O_CREAT)
		p.aged("d")
		p.aged("d/f")
	}},
	// openat is relative to an open directory, also when that has got another name.
	{"open/at_a_renamed_folder", func(p *place) {
		p.mkdir("d")
		d := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		p.ok(p.rename("d", "e"))
		fd, err := unix.Openat(d, "f", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o666)
		p.ok(err)
		p.ok(unix.Close(fd))
		p.size("e/f", 0)
	}},
	// EBADF: a close of what is not open.
	{"open/close_twice", func(p *place) { p.fails(unix.Close(p.closed()), unix.EBADF) }},
}
