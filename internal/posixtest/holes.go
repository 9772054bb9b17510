//go:build linux

package posixtest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

var holeChecks = []check{
	// A file that was only given a size is all zeros.
	{"holes/nothing_but_a_hole", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.ok(unix.Ftruncate(fd, 3<<20+7))
		p.size("f", 3<<20+7)
		p.zeros("read", p.getAt(fd, 4<<20, 0), 3<<20+7)
	}},
	// What was never written between two pieces is zeros.
	{"holes/between_pieces", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		want := ""
		for i := range 5 {
			piece := fmt.Sprint("piece ", i)
			p.putAt(fd, piece, int64(i)*700_000)
			want += string(make([]byte, i*700_000-len(want))) + piece
		}
		p.content("f", want)
	}},
	// Pieces may come in any order.
	{"holes/from_behind", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		want := noise(2<<20+1000, 20)
		for at := len(want) / 1000 * 1000; at >= 0; at -= 1000 {
			p.putAt(fd, want[at:min(at+1000, len(want))], int64(at))
		}
		p.content("f", want)
	}},
	// Far away.
	{"holes/far", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "begin")
		p.putAt(fd, "end", 1<<30)
		p.size("f", 1<<30+3)
		p.same("begin", p.getAt(fd, 7, 0), "begin\x00\x00")
		p.zeros("middle", p.getAt(fd, 100_000, 1<<29), 100_000)
		p.same("end", p.getAt(fd, 10, 1<<30-2), "\x00\x00end")
		p.ok(unix.Ftruncate(fd, 5))
		p.content("f", "begin")
	}},
	// Filled later.
	{"holes/filled", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.ok(unix.Ftruncate(fd, 2<<20))
		p.putAt(fd, noise(5000, 21), 1<<20-2500)
		p.content("f", string(make([]byte, 1<<20-2500))+noise(5000, 21)+string(make([]byte, 1<<20-2500)))
	}},
	// Zeros that were written are as good.
	{"holes/written_zeros", func(p *place) {
		p.write("f", string(make([]byte, 3<<20)))
		p.size("f", 3<<20)
		p.content("f", string(make([]byte, 3<<20)))
	}},
	// They stay zeros when the file has been synced and opened again.
	{"holes/after_fsync", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.putAt(fd, "x", 1<<20)
		p.ok(unix.Fsync(fd))
		p.shut(fd)
		p.content("f", string(make([]byte, 1<<20))+"x")
	}},
}
