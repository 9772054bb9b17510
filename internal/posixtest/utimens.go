//go:build linux

package posixtest

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futimens sets the times of an open file.
func futimens(fd int, access, modification unix.Timespec) error {
	times := [2]unix.Timespec{access, modification}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}

// utimens sets both times of a name.
func (p *place) utimens(name string, access, modification unix.Timespec, flags int) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, p.at(name), []unix.Timespec{access, modification}, flags)
}

// modified wants a modification time.
func (p *place) modified(name string, want unix.Timespec) {
	if got := p.stat(name).Mtim; got != want {
		p.failf("modification time of %s: %s, want %s", name, clock(got), clock(want))
	}
}

var (
	timeNow  = unix.Timespec{Nsec: unix.UTIME_NOW}
	timeOmit = unix.Timespec{Nsec: unix.UTIME_OMIT}
)

var utimensChecks = []check{
	// The modification time is set to the nanosecond.
	{"utimens/nanoseconds", func(p *place) {
		p.write("f", "content")
		for _, ts := range []unix.Timespec{{Sec: 1_234_567_890, Nsec: 1}, {Sec: 1, Nsec: 999_999_999}, {Sec: 1_600_000_000}} {
			p.ok(p.utimens("f", ts, ts, 0))
			p.modified("f", ts)
		}
	}},
	// The epoch itself, and after 2038.
	{"utimens/far_times", func(p *place) {
		p.write("f", "content")
		for _, ts := range []unix.Timespec{{}, {Sec: 1<<31 + 5, Nsec: 7}, {Sec: 4_102_444_800, Nsec: 8}} {
			p.ok(p.utimens("f", ts, ts, 0))
			p.modified("f", ts)
		}
	}},
	// UTIME_NOW is the time of the call.
	{"utimens/UTIME_NOW", func(p *place) {
		p.write("f", "content")
		p.age("f")
		p.ok(p.utimens("f", timeNow, timeNow, 0))
		p.touched("f")
	}},
	// UTIME_OMIT leaves a time as it is.
	{"utimens/UTIME_OMIT", func(p *place) {
		p.write("f", "content")
		p.age("f")
		p.ok(p.utimens("f", timeNow, timeOmit, 0))
		p.aged("f")
		p.ok(p.utimens("f", timeOmit, timeOmit, 0))
		p.aged("f")
	}},
	// No times at all are the time of the call.
	{"utimens/no_times", func(p *place) {
		p.write("f", "content")
		p.age("f")
		p.ok(unix.Utimes(p.at("f"), nil))
		p.touched("f")
	}},
	// EINVAL: there are no so many nanoseconds.
	{"utimens/nanoseconds_out_of_range", func(p *place) {
		p.write("f", "content")
		p.fails(p.utimens("f", timeOmit, unix.Timespec{Sec: 1, Nsec: 1_000_000_000}, 0), unix.EINVAL)
		p.fails(p.utimens("f", timeOmit, unix.Timespec{Sec: 1, Nsec: -1}, 0), unix.EINVAL)
	}},
	// By a descriptor.
	{"utimens/by_descriptor", func(p *place) {
		p.write("f", "content")
		fd := p.open("f", unix.O_RDONLY)
		p.ok(futimens(fd, timeOmit, old))
		p.aged("f")
		p.want(p.fstat(fd).Mtim == old, "of the descriptor: %s", clock(p.fstat(fd).Mtim))
	}},
	// EBADF: the descriptor is not open.
	{"utimens/bad_descriptor", func(p *place) { p.fails(futimens(p.closed(), old, old), unix.EBADF) }},
	// A time that was set after the last write stays when the file is closed, as unpacked archives need it.
	{"utimens/after_a_write", func(p *place) {
		fd := p.open("f", unix.O_WRONLY|unix.O_CREAT)
		p.put(fd, noise(1<<20+5, 13))
		p.ok(futimens(fd, timeOmit, old))
		p.aged("f")
		p.shut(fd)
		p.aged("f")
	}},
	// So too when the file is synced, read and closed again.
	{"utimens/stays", func(p *place) {
		p.write("f", "content")
		p.age("f")
		fd := p.open("f", unix.O_RDWR)
		p.ok(unix.Fsync(fd))
		p.same("read", p.get(fd, 10), "content")
		p.shut(fd)
		p.aged("f")
	}},
	// The next write moves it on.
	{"utimens/before_a_write", func(p *place) {
		fd := p.open("f", unix.O_WRONLY|unix.O_CREAT)
		p.put(fd, "abc")
		p.ok(futimens(fd, timeOmit, old))
		p.put(fd, "def")
		p.touched("f")
		p.shut(fd)
		p.touched("f")
	}},
	// A directory has such times too.
	{"utimens/directory", func(p *place) {
		p.mkdir("d")
		p.ok(p.utimens("d", timeOmit, old, 0))
		p.aged("d")
		p.write("d/f", "")
		p.touched("d")
	}},
	// A symbolic link is followed.
	{"utimens/through_a_symlink", func(p *place) {
		p.write("f", "content")
		p.symlink("f", "l")
		p.ok(p.utimens("l", timeOmit, old, 0))
		p.aged("f")
		p.touched("l")
	}},
	// With AT_SYMLINK_NOFOLLOW, its own time is set.
	{"utimens/of_a_symlink", func(p *place) {
		p.write("f", "content")
		p.symlink("f", "l")
		p.ok(p.utimens("l", timeOmit, old, unix.AT_SYMLINK_NOFOLLOW))
		p.aged("l")
		p.touched("f")
	}},
	// ENOENT: there is no such file.
	{"utimens/missing", func(p *place) { p.fails(p.utimens("f", old, old, 0), unix.ENOENT) }},
	// ENOTDIR: a folder on the way is something else.
	{"utimens/file_as_folder", func(p *place) {
		p.write("f", "")
		p.fails(p.utimens("f/g", old, old, 0), unix.ENOTDIR)
	}},
	// The status has changed.
	{"utimens/ctime", func(p *place) {
		p.write("f", "content")
		p.marks("f", func() { p.ok(p.utimens("f", timeOmit, old, 0)) })
	}},
}
