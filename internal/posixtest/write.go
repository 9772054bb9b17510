//go:build linux

package posixtest

import (
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

var writeChecks = []check{
	// A write moves the offset by the bytes written, and the file grows with it.
	{"write/moves_the_offset", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "abc")
		p.put(fd, "def")
		p.equal("size", p.fstat(fd).Size, 6)
		p.content("f", "abcdef")
	}},
	// What is written over is replaced, and nothing else.
	{"write/in_the_middle", func(p *place) {
		p.write("f", "abcdef")
		p.putAt(p.open("f", unix.O_WRONLY), "XY", 2)
		p.content("f", "abXYef")
	}},
	// So too in a long file, over the borders of pages and blocks.
	{"write/in_the_middle_of_a_long_file", func(p *place) {
		want := noise(3<<20, 4)
		p.write("f", want)
		fd := p.open("f", unix.O_RDWR)
		for i, at := range []int{4095, 1<<20 - 3, 2<<20 - 1, 3<<20 - 7} {
			piece := noise(7, uint32(i))
			p.putAt(fd, piece, int64(at))
			want = want[:at] + piece + want[at+7:]
		}
		p.content("f", want)
	}},
	// Between the old end and what is written behind it, there are zeros.
	{"write/behind_the_end", func(p *place) {
		p.write("f", "abc")
		p.putAt(p.open("f", unix.O_WRONLY), "z", 10)
		p.content("f", "abc"+string(make([]byte, 7))+"z")
	}},
	// pwrite writes at a given place and leaves the offset.
	{"write/pwrite_keeps_the_offset", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.putAt(fd, "def", 3)
		p.put(fd, "abc")
		p.content("f", "abcdef")
	}},
	// EINVAL: the place is negative.
	{"write/pwrite_negative", func(p *place) {
		_, err := unix.Pwrite(p.open("f", unix.O_WRONLY|unix.O_CREAT), []byte("a"), -1)
		p.fails(err, unix.EINVAL)
		p.size("f", 0)
	}},
	// A write of 0 bytes to a regular file does nothing, even behind its end.
	{"write/nothing", func(p *place) {
		p.write("f", "abc")
		n, err := unix.Pwrite(p.open("f", unix.O_WRONLY), nil, 100)
		p.ok(err)
		p.equal("bytes", int64(n), 0)
		p.content("f", "abc")
	}},
	// EBADF: the descriptor is not open, or not for writing.
	{"write/bad_descriptor", func(p *place) {
		_, err := unix.Write(p.closed(), []byte("a"))
		p.fails(err, unix.EBADF)
		p.write("f", "abc")
		_, err = unix.Write(p.open("f", unix.O_RDONLY), []byte("a"))
		p.fails(err, unix.EBADF)
	}},
	// A write takes as many bytes as it is given where there is room.
	{"write/many_bytes_at_once", func(p *place) {
		want := noise(5<<20+321, 5)
		p.write("f", want)
		p.content("f", want)
	}},
	// Bytes are written alike in pieces of any size.
	{"write/pieces", func(p *place) {
		want := noise(2<<20+4321, 6)
		for _, piece := range []int{4097, 65536, 1<<20 - 1, 1<<20 + 1} {
			fd := p.open("f", unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC)
			for at := 0; at < len(want); at += piece {
				p.put(fd, want[at:min(at+piece, len(want))])
			}
			p.shut(fd)
			p.content("f", want)
		}
	}},
	// writev writes its buffers in order.
	{"write/writev", func(p *place) {
		n, err := unix.Writev(p.open("f", unix.O_WRONLY|unix.O_CREAT), [][]byte{[]byte("ab"), {}, []byte("cdef")})
		p.ok(err)
		p.equal("bytes", int64(n), 6)
		p.content("f", "abcdef")
	}},
	// A write marks the modification.
	{"write/touches", func(p *place) {
		p.write("f", "abc")
		p.age("f")
		fd := p.open("f", unix.O_WRONLY)
		p.put(fd, "x")
		p.touched("f")
		p.now("of the descriptor", p.fstat(fd).Mtim)
	}},
	// And it stays marked when the file has been closed.
	{"write/touches_for_good", func(p *place) {
		p.write("f", "abc")
		p.age("f")
		fd := p.open("f", unix.O_WRONLY)
		p.put(fd, "x")
		p.shut(fd)
		p.touched("f")
	}},
	// A write marks the status change as well.
	{"write/ctime", func(p *place) {
		p.write("f", "abc")
		p.marks("f", func() { p.put(p.open("f", unix.O_WRONLY), "x") })
	}},
	// Writing to a file does not modify its directory.
	{"write/leaves_its_folder", func(p *place) {
		p.mkdir("d")
		p.write("d/f", "abc")
		p.age("d")
		fd := p.open("d/f", unix.O_WRONLY)
		p.put(fd, "x")
		p.shut(fd)
		p.aged("d")
	}},
	// With O_APPEND, each write is at the end, wherever the offset was, and leaves the offset behind it.
	{"write/append", func(p *place) {
		p.write("f", "abc")
		fd := p.open("f", unix.O_RDWR|unix.O_APPEND)
		_, err := unix.Seek(fd, 1, unix.SEEK_SET)
		p.ok(err)
		p.put(fd, "def")
		at, err := unix.Seek(fd, 0, unix.SEEK_CUR)
		p.ok(err)
		p.equal("offset", at, 6)
		p.content("f", "abcdef")
	}},
	// The end is that of the moment, whoever moved it.
	{"write/append_by_two", func(p *place) {
		a, b := p.open("f", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND), p.open("f", unix.O_WRONLY|unix.O_APPEND)
		var want strings.Builder
		for i := range 50 {
			p.put(a, "a")
			p.put(b, fmt.Sprint(i))
			fmt.Fprintf(&want, "a%d", i)
		}
		p.content("f", want.String())
	}},
	// No other write comes between finding the end and writing there.
	{"write/append_at_the_same_time", func(p *place) {
		var all sync.WaitGroup
		for writer := range 4 {
			fd := p.open("f", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND)
			all.Go(func() {
				for i := range 100 {
					unix.Write(fd, fmt.Appendf(nil, "%d:%06d\n", writer, i)) // a failure is a line that is missing
				}
			})
		}
		all.Wait()
		seen := map[string]bool{}
		for line := range strings.Lines(p.whole("f")) {
			p.want(len(line) == 9, "line %q", line)
			seen[line] = true
		}
		p.equal("lines", int64(len(seen)), 400)
		p.size("f", 400*9)
	}},
	// After the file has been truncated by somebody else, appending goes on at its new end.
	{"write/append_after_truncate", func(p *place) {
		fd := p.open("f", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND)
		p.put(fd, "abcdef")
		p.ok(unix.Truncate(p.at("f"), 2))
		p.put(fd, "X")
		p.content("f", "abX")
	}},
	// Writes by one descriptor and by another to other bytes all stay.
	{"write/two_in_one_file", func(p *place) {
		a, b := p.open("f", unix.O_WRONLY|unix.O_CREAT), p.open("f", unix.O_WRONLY)
		var all sync.WaitGroup
		for i, fd := range []int{a, b} {
			all.Go(func() {
				for at := i; at < 400; at += 2 {
					unix.Pwrite(fd, []byte{byte('a' + i)}, int64(at)) // a failure is a byte that is missing
				}
			})
		}
		all.Wait()
		p.content("f", strings.Repeat("ab", 200))
	}},
}
