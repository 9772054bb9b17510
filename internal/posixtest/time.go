//go:build linux

package posixtest

import (
	"time"

	"golang.org/x/sys/unix"
)

// old is a modification time long before that of any test.
var old = unix.Timespec{Sec: 1_000_000_000, Nsec: 123_456_789}

// slack is how far the clock of a file system may be off that of the process.
const slack = time.Second

// setTime sets the modification time of a name, and not of what it points to.
func (p *place) setTime(name string, to unix.Timespec) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, to}
	return unix.UtimesNanoAt(unix.AT_FDCWD, p.at(name), times, unix.AT_SYMLINK_NOFOLLOW)
}

// age makes files look as if nothing had been done to them for years.
func (p *place) age(names ...string) {
	for _, name := range names {
		p.ok(p.setTime(name, old))
		p.aged(name)
	}
}

// aged wants a file on which nothing has been done since age.
func (p *place) aged(name string) {
	if got := p.stat(name).Mtim; got != old {
		p.failf("modification time of %s: %s, want the old one", name, clock(got))
	}
}

// touched wants a modification time of just now.
func (p *place) touched(names ...string) {
	for _, name := range names {
		p.now("modification time of "+name, p.stat(name).Mtim)
	}
}

// now wants a time of the last minute, which is what a check takes at the very most.
func (p *place) now(what string, ts unix.Timespec) {
	got := time.Unix(ts.Unix())
	if ago := time.Since(got); ago < -slack || ago > time.Minute {
		p.failf("%s: %s, want now", what, clock(ts))
	}
}

// marks wants fn to move the status change time of a name on.
func (p *place) marks(name string, fn func()) {
	before := p.stat(name).Ctim
	time.Sleep(20 * time.Millisecond) // more than a tick of the kernel
	fn()
	after := p.stat(name).Ctim
	p.now("status change time of "+name, after)
	if after.Nano() <= before.Nano() {
		p.failf("status change time of %s: %s, no later than before", name, clock(after))
	}
}

func clock(ts unix.Timespec) string {
	return time.Unix(ts.Unix()).UTC().Format(time.RFC3339Nano)
}
