//go:build linux

package posixtest

import "golang.org/x/sys/unix"

var fsyncChecks = []check{
	// fsync and fdatasync of a file that was written; it is the same after.
	{"fsync/file", func(p *place) {
		want := noise(2<<20, 14)
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, want)
		p.ok(unix.Fsync(fd))
		p.ok(unix.Fdatasync(fd))
		p.content("f", want)
		p.put(fd, "more")
		p.ok(unix.Fdatasync(fd))
		p.content("f", want+"more")
	}},
	// By a descriptor for reading.
	{"fsync/descriptor_for_reading", func(p *place) {
		p.write("f", "content")
		p.ok(unix.Fsync(p.open("f", unix.O_RDONLY)))
	}},
	// Of a directory, as programs do it to have new names on the disk.
	{"fsync/directory", func(p *place) {
		p.mkdir("d")
		p.write("d/f", "content")
		p.ok(unix.Fsync(p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)))
		p.content("d/f", "content")
	}},
	// EBADF: the descriptor is not open.
	{"fsync/bad_descriptor", func(p *place) {
		p.fails(unix.Fsync(p.closed()), unix.EBADF)
		p.fails(unix.Fdatasync(p.closed()), unix.EBADF)
	}},
	// Between many writes.
	{"fsync/often", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		want := ""
		for i := range 20 {
			piece := noise(1000+i, uint32(i))
			p.put(fd, piece)
			p.ok(unix.Fsync(fd))
			want += piece
			p.content("f", want)
		}
	}},
	// Times and mode stay.
	{"fsync/keeps_times_and_mode", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "content")
		p.ok(unix.Fchmod(fd, 0o640))
		p.ok(futimens(fd, timeOmit, old))
		p.ok(unix.Fsync(fd))
		p.aged("f")
		p.mode("f", 0o640)
	}},
	// A file that was synced under one name is whole when it has been renamed over another.
	{"fsync/then_rename", func(p *place) {
		p.write("f", "old")
		fd := p.open("g", unix.O_WRONLY|unix.O_CREAT)
		p.put(fd, noise(1<<20+1, 15))
		p.ok(unix.Fsync(fd))
		p.shut(fd)
		p.ok(p.rename("g", "f"))
		p.content("f", noise(1<<20+1, 15))
	}},
	// With O_SYNC each write is on the disk when it returns; its data are the same.
	{"fsync/O_SYNC", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT|unix.O_SYNC)
		p.put(fd, "abc")
		p.put(fd, "def")
		p.content("f", "abcdef")
	}},
}
