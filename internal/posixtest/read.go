//go:build linux

package posixtest

import "golang.org/x/sys/unix"

var readChecks = []check{
	// A read moves the offset by the bytes it has got.
	{"read/moves_the_offset", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDONLY)
		p.same("first", p.get(fd, 2), "ab")
		p.same("second", p.get(fd, 2), "cd")
	}},
	// Fewer bytes are read where the file ends, and none at its end.
	{"read/ends_with_the_file", func(p *place) {
		p.write("f", "abc")
		fd := p.open("f", unix.O_RDONLY)
		p.same("all", p.get(fd, 10), "abc")
		p.same("at the end", p.get(fd, 10), "")
	}},
	// No bytes are read behind the end.
	{"read/behind_the_end", func(p *place) {
		p.write("f", "abc")
		fd := p.open("f", unix.O_RDONLY)
		_, err := unix.Seek(fd, 1<<30, unix.SEEK_SET)
		p.ok(err)
		p.same("read", p.get(fd, 10), "")
	}},
	// An empty file has nothing.
	{"read/empty_file", func(p *place) {
		p.write("f", "")
		p.same("read", p.get(p.open("f", unix.O_RDONLY), 10), "")
	}},
	// A read of 0 bytes returns 0, and moves nothing.
	{"read/nothing", func(p *place) {
		p.write("f", "abc")
		fd := p.open("f", unix.O_RDONLY)
		n, err := unix.Read(fd, nil)
		p.ok(err)
		p.equal("bytes", int64(n), 0)
		p.same("then", p.get(fd, 10), "abc")
	}},
	// EISDIR: it is a directory.
	{"read/directory", func(p *place) {
		_, err := unix.Read(p.open(".", unix.O_RDONLY), make([]byte, 10))
		p.fails(err, unix.EISDIR)
	}},
	// EBADF: the descriptor is not open, or not for reading.
	{"read/bad_descriptor", func(p *place) {
		_, err := unix.Read(p.closed(), make([]byte, 10))
		p.fails(err, unix.EBADF)
		_, err = unix.Read(p.open("f", unix.O_WRONLY|unix.O_CREAT), make([]byte, 10))
		p.fails(err, unix.EBADF)
	}},
	// pread reads at a given place and leaves the offset.
	{"read/pread_keeps_the_offset", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDONLY)
		p.same("pread", p.getAt(fd, 2, 3), "de")
		p.same("read", p.get(fd, 2), "ab")
	}},
	// EINVAL: the place is negative.
	{"read/pread_negative", func(p *place) {
		p.write("f", "abcdef")
		_, err := unix.Pread(p.open("f", unix.O_RDONLY), make([]byte, 1), -1)
		p.fails(err, unix.EINVAL)
	}},
	// pread behind the end reads nothing.
	{"read/pread_behind_the_end", func(p *place) {
		p.write("f", "abc")
		p.same("pread", p.getAt(p.open("f", unix.O_RDONLY), 10, 3), "")
	}},
	// readv fills the first buffer before it begins with the next.
	{"read/readv", func(p *place) {
		p.write("f", "abcdef")
		a, b := make([]byte, 2), make([]byte, 10)
		n, err := unix.Readv(p.open("f", unix.O_RDONLY), [][]byte{a, b})
		p.ok(err)
		p.equal("bytes", int64(n), 6)
		p.same("both", string(a)+trim(b), "abcdef")
	}},
	// After a write has returned, each read of those bytes returns what was written.
	{"read/sees_the_last_write", func(p *place) {
		w, r := p.open("f", unix.O_WRONLY|unix.O_CREAT), p.open("f", unix.O_RDONLY)
		for i := range 50 {
			text := string(rune('a' + i%26))
			p.putAt(w, text, int64(i))
			p.same("read", p.getAt(r, 1, int64(i)), text)
			p.putAt(w, "-", int64(i))
			p.same("read again", p.getAt(r, 1, int64(i)), "-")
		}
	}},
	// A read gets as many bytes as it asks for, if the file has them.
	{"read/many_bytes_at_once", func(p *place) {
		want := noise(3<<20+7, 25)
		p.write("f", want)
		p.same("read", p.get(p.open("f", unix.O_RDONLY), 4<<20), want)
	}},
	// A file is read alike in pieces of any size.
	{"read/pieces", func(p *place) {
		want := noise(2<<20+12345, 2)
		p.write("f", want)
		fd := p.open("f", unix.O_RDONLY)
		for _, piece := range []int{4093, 65536, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20} {
			for at := 0; at < len(want); at += piece {
				end := min(at+piece, len(want))
				p.same("piece", p.getAt(fd, end-at, int64(at)), want[at:end])
			}
		}
	}},
	// Backwards too.
	{"read/backwards", func(p *place) {
		want := noise(1<<20+100, 3)
		p.write("f", want)
		fd := p.open("f", unix.O_RDONLY)
		for at := len(want) - 5000; at >= 0; at -= 5000 {
			p.same("piece", p.getAt(fd, 5000, int64(at)), want[at:at+5000])
		}
	}},
}
