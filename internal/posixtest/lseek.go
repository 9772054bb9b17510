//go:build linux

package posixtest

import "golang.org/x/sys/unix"

// seek moves the offset and wants to get there.
func (p *place) seek(fd int, offset int64, whence int, want int64) {
	got, err := unix.Seek(fd, offset, whence)
	if err != nil || got != want {
		p.failf("lseek %d, %d: %d, %s, want %d", offset, whence, got, describe(err), want)
	}
}

var lseekChecks = []check{
	// The offset is counted from the beginning, from where it is, or from the end.
	{"lseek/from_three_places", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDONLY)
		p.seek(fd, 4, unix.SEEK_SET, 4)
		p.seek(fd, -2, unix.SEEK_CUR, 2)
		p.same("read", p.get(fd, 1), "c")
		p.seek(fd, -1, unix.SEEK_END, 5)
		p.same("read", p.get(fd, 1), "f")
	}},
	// EINVAL: the offset would be negative; it stays then.
	{"lseek/negative", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDONLY)
		p.seek(fd, 3, unix.SEEK_SET, 3)
		_, err := unix.Seek(fd, -4, unix.SEEK_CUR)
		p.fails(err, unix.EINVAL)
		_, err = unix.Seek(fd, -7, unix.SEEK_END)
		p.fails(err, unix.EINVAL)
		p.seek(fd, 0, unix.SEEK_CUR, 3)
	}},
	// EINVAL: there is no such place to count from.
	{"lseek/from_nowhere", func(p *place) {
		_, err := unix.Seek(p.open("f", unix.O_RDWR|unix.O_CREAT), 0, 99)
		p.fails(err, unix.EINVAL)
	}},
	// EBADF: the descriptor is not open.
	{"lseek/bad_descriptor", func(p *place) {
		_, err := unix.Seek(p.closed(), 0, unix.SEEK_SET)
		p.fails(err, unix.EBADF)
	}},
	// It may go behind the end, which alone does not make the file longer.
	{"lseek/behind_the_end", func(p *place) {
		p.write("f", "abc")
		fd := p.open("f", unix.O_RDWR)
		p.seek(fd, 100, unix.SEEK_SET, 100)
		p.size("f", 3)
		p.put(fd, "z")
		p.size("f", 101)
	}},
	// The end is that of the moment.
	{"lseek/end_moves", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.seek(fd, 0, unix.SEEK_END, 0)
		p.write("f", "abcdef")
		p.seek(fd, 0, unix.SEEK_END, 6)
		p.ok(unix.Truncate(p.at("f"), 2))
		p.seek(fd, 0, unix.SEEK_END, 2)
	}},
	// SEEK_DATA stays where there is data, SEEK_HOLE goes to a hole, and there is one at the end of every file.
	{"lseek/data_and_hole", func(p *place) {
		p.write("f", noise(100_000, 7))
		fd := p.open("f", unix.O_RDONLY)
		p.seek(fd, 50_000, unix.SEEK_DATA, 50_000)
		p.seek(fd, 50_000, unix.SEEK_HOLE, 100_000)
	}},
	// ENXIO: there is no data behind, or the offset is at the end or beyond.
	{"lseek/no_more_data", func(p *place) {
		p.write("f", "abc")
		fd := p.open("f", unix.O_RDONLY)
		_, err := unix.Seek(fd, 3, unix.SEEK_DATA)
		p.fails(err, unix.ENXIO)
		_, err = unix.Seek(fd, 4, unix.SEEK_HOLE)
		p.fails(err, unix.ENXIO)
	}},
	// What is between SEEK_HOLE and the next SEEK_DATA reads as zeros, and no data is passed over.
	{"lseek/holes_are_zeros", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, noise(1<<16, 8))
		p.putAt(fd, noise(1<<16, 9), 8<<20)
		hole, err := unix.Seek(fd, 0, unix.SEEK_HOLE)
		p.ok(err)
		p.want(hole >= 1<<16 && hole <= 8<<20+1<<16, "hole at %d", hole)
		if hole == 8<<20+1<<16 {
			return // all is data, which is allowed
		}
		data, err := unix.Seek(fd, hole, unix.SEEK_DATA)
		p.ok(err)
		p.want(data > hole && data <= 8<<20, "data at %d", data)
		p.zeros("hole", p.getAt(fd, int(data-hole), hole), int(data-hole))
	}},
}
