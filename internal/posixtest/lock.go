//go:build linux

package posixtest

import (
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Locks of open file descriptions keep out each other and those of processes, so that one process
// is enough to check both. They are in POSIX.1-2024, and Linux has had them for longer.

// span is a lock of n bytes from start on; 0 is up to the end, wherever that is.
func span(kind int16, start, n int64) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: start, Len: n}
}

// lock tries to set a lock of an open file description, unlock removes one.
func lock(fd int, l *unix.Flock_t) error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, l) }

func (p *place) unlock(fd int, start, n int64) { p.ok(lock(fd, span(unix.F_UNLCK, start, n))) }

// processLock tries to set a lock of the process.
func processLock(fd int, l *unix.Flock_t) error {
	return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, l)
}

// denied wants a lock not to be given, as somebody else has one.
func (p *place) denied(err error) { p.fails(err, unix.EAGAIN, unix.EACCES) }

// two opens a file twice.
func (p *place) two() (a, b int) {
	p.write("f", noise(1000, 24))
	return p.open("f", unix.O_RDWR), p.open("f", unix.O_RDWR)
}

var lockChecks = []check{
	// A write lock keeps out all others; EAGAIN or EACCES.
	{"lock/write_keeps_out_all", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 100)))
		p.denied(lock(b, span(unix.F_WRLCK, 0, 100)))
		p.denied(lock(b, span(unix.F_RDLCK, 50, 10)))
	}},
	// Read locks bear each other, and keep out writers.
	{"lock/readers_share", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_RDLCK, 0, 100)))
		p.ok(lock(b, span(unix.F_RDLCK, 0, 100)))
		p.denied(lock(a, span(unix.F_WRLCK, 0, 100)))
		p.unlock(b, 0, 100)
		p.ok(lock(a, span(unix.F_WRLCK, 0, 100)))
	}},
	// Locks on other bytes are no matter.
	{"lock/ranges_are_apart", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 100)))
		p.ok(lock(b, span(unix.F_WRLCK, 100, 100)))
		p.denied(lock(b, span(unix.F_WRLCK, 99, 1)))
		p.denied(lock(a, span(unix.F_WRLCK, 100, 1)))
	}},
	// A length of 0 is up to any end, also behind that of today.
	{"lock/to_the_end", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 500, 0)))
		p.denied(lock(b, span(unix.F_WRLCK, 1<<40, 1)))
		p.ok(lock(b, span(unix.F_WRLCK, 0, 500)))
	}},
	// When it is given back, others get it.
	{"lock/unlock", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 0)))
		p.denied(lock(b, span(unix.F_WRLCK, 0, 0)))
		p.unlock(a, 0, 0)
		p.ok(lock(b, span(unix.F_WRLCK, 0, 0)))
	}},
	// A part may be given back.
	{"lock/unlock_the_middle", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 300)))
		p.unlock(a, 100, 100)
		p.ok(lock(b, span(unix.F_WRLCK, 100, 100)))
		p.denied(lock(b, span(unix.F_WRLCK, 99, 1)))
		p.denied(lock(b, span(unix.F_WRLCK, 200, 1)))
	}},
	// A lock over one's own replaces it.
	{"lock/down_to_a_read_lock", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 100)))
		p.ok(lock(a, span(unix.F_RDLCK, 0, 100)))
		p.ok(lock(b, span(unix.F_RDLCK, 0, 100)))
	}},
	// F_GETLK says who is in the way, or that nobody is.
	{"lock/asks", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 10, 20)))
		l := span(unix.F_RDLCK, 0, 100)
		p.ok(unix.FcntlFlock(uintptr(b), unix.F_OFD_GETLK, l))
		p.want(l.Type == unix.F_WRLCK && l.Start == 10 && l.Len == 20, "%+v", *l)
		l = span(unix.F_WRLCK, 30, 100)
		p.ok(unix.FcntlFlock(uintptr(b), unix.F_OFD_GETLK, l))
		p.want(l.Type == unix.F_UNLCK, "%+v", *l)
	}},
	// Closing the last descriptor gives all back.
	{"lock/close", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 0)))
		dup, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0)
		p.ok(err)
		p.fds = append(p.fds, dup)
		p.shut(a)
		p.denied(lock(b, span(unix.F_WRLCK, 0, 0)))
		p.shut(dup)
		p.soon(func() error { return lock(b, span(unix.F_WRLCK, 0, 0)) })
	}},
	// A lock of the process keeps out those of others, and F_GETLK tells its id.
	{"lock/of_a_process", func(p *place) {
		a, b := p.two()
		p.ok(processLock(a, span(unix.F_WRLCK, 0, 100)))
		p.ok(processLock(b, span(unix.F_WRLCK, 0, 100))) // it is its own
		p.denied(lock(b, span(unix.F_RDLCK, 0, 100)))
		l := span(unix.F_RDLCK, 0, 100)
		p.ok(unix.FcntlFlock(uintptr(b), unix.F_OFD_GETLK, l))
		p.equal("holder", int64(l.Pid), int64(unix.Getpid()))
	}},
	// It is lost when the process closes any descriptor of the file.
	{"lock/of_a_process_is_lost", func(p *place) {
		a, b := p.two()
		p.ok(processLock(a, span(unix.F_WRLCK, 0, 100)))
		p.shut(p.open("f", unix.O_RDONLY))
		p.soon(func() error { return lock(b, span(unix.F_WRLCK, 0, 100)) })
	}},
	// F_SETLKW waits for it.
	{"lock/waits", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 0)))
		var given atomic.Bool
		done := make(chan error, 1)
		go func() {
			err := unix.FcntlFlock(uintptr(b), unix.F_OFD_SETLKW, span(unix.F_WRLCK, 0, 0))
			for err == unix.EINTR {
				err = unix.FcntlFlock(uintptr(b), unix.F_OFD_SETLKW, span(unix.F_WRLCK, 0, 0))
			}
			given.Store(true)
			done <- err
		}()
		time.Sleep(100 * time.Millisecond)
		early := given.Load()
		p.unlock(a, 0, 0)
		p.ok(<-done)
		p.want(!early, "it was given to two")
	}},
	// EBADF: a write lock needs a descriptor for writing, a read lock one for reading.
	{"lock/wrong_descriptor", func(p *place) {
		p.write("f", "content")
		p.fails(lock(p.open("f", unix.O_RDONLY), span(unix.F_WRLCK, 0, 0)), unix.EBADF)
		p.fails(lock(p.open("f", unix.O_WRONLY), span(unix.F_RDLCK, 0, 0)), unix.EBADF)
		p.fails(lock(p.closed(), span(unix.F_RDLCK, 0, 0)), unix.EBADF)
	}},
	// EINVAL: it would begin before the file.
	{"lock/before_the_file", func(p *place) {
		a, _ := p.two()
		p.fails(lock(a, span(unix.F_WRLCK, -1, 10)), unix.EINVAL)
	}},
	// Locks are advice: they do not keep anybody from reading and writing.
	{"lock/is_advice", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 0)))
		p.putAt(b, "x", 0)
		p.same("read", p.getAt(b, 1, 0), "x")
	}},
	// They stay with the file under any name, and without one.
	{"lock/renamed_and_unlinked", func(p *place) {
		a, b := p.two()
		p.ok(lock(a, span(unix.F_WRLCK, 0, 100)))
		p.ok(p.rename("f", "g"))
		p.denied(lock(p.open("g", unix.O_RDWR), span(unix.F_WRLCK, 0, 1)))
		p.unlink("g")
		p.denied(lock(b, span(unix.F_WRLCK, 0, 1)))
		p.ok(lock(b, span(unix.F_WRLCK, 100, 100)))
	}},
	// Another file has others.
	{"lock/of_another_file", func(p *place) {
		a, _ := p.two()
		p.write("g", "content")
		p.ok(lock(a, span(unix.F_WRLCK, 0, 0)))
		p.ok(lock(p.open("g", unix.O_RDWR), span(unix.F_WRLCK, 0, 0)))
	}},
}

// soon tries something until it succeeds. A FUSE server may be told a moment later that a file has been closed.
func (p *place) soon(try func() error) {
	err := try()
	for range 100 {
		if err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
		err = try()
	}
	p.ok(err)
}
