//go:build linux

package posixtest

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Fetching of pages in advance, since Linux 5.14; see the package comment for why.
const (
	populateRead  = 22
	populateWrite = 23
)

// mapped maps the first n bytes of a file while fn runs.
func (p *place) mapped(fd, n, prot, flags int, fn func(b []byte)) {
	b, err := unix.Mmap(fd, 0, n, prot, flags)
	p.ok(err)
	defer unix.Munmap(b)
	advise(b, prot)
	p.guarded(func() { fn(b) })
}

// guarded runs fn, which uses memory of a file. A page that cannot be had ends the check, and not the process.
func (p *place) guarded(fn func()) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		r := recover()
		if fault, ok := r.(interface{ Addr() uintptr }); ok {
			p.failf("there is no page at %x", fault.Addr())
		} else if r != nil {
			panic(r)
		}
	}()
	fn()
}

// advise fetches pages; that it fails is no matter, as they are fetched later then.
func advise(b []byte, prot int) {
	how := populateRead
	if prot&unix.PROT_WRITE != 0 {
		how = populateWrite
	}
	unix.Madvise(b, how)
}

const readWrite = unix.PROT_READ | unix.PROT_WRITE

var mmapChecks = []check{
	// What the file has is in memory.
	{"mmap/reads_the_file", func(p *place) {
		want := noise(1<<20+5, 16)
		p.write("f", want)
		p.mapped(p.open("f", unix.O_RDONLY), len(want), unix.PROT_READ, unix.MAP_SHARED, func(b []byte) {
			p.same("memory", string(b), want)
		})
	}},
	// What is written to shared memory is in the file after msync.
	{"mmap/shared_write", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDWR)
		p.mapped(fd, 6, readWrite, unix.MAP_SHARED, func(b []byte) {
			copy(b[2:], "XY")
			p.ok(unix.Msync(b, unix.MS_SYNC))
			p.same("read", p.getAt(fd, 10, 0), "abXYef")
			p.content("f", "abXYef")
		})
		p.content("f", "abXYef")
	}},
	// Over the borders of large blocks, in a file of which most was not touched.
	{"mmap/shared_write_of_much", func(p *place) {
		want := noise(3<<20+100, 17)
		p.write("f", want)
		piece := noise(2<<20, 18)
		p.mapped(p.open("f", unix.O_RDWR), len(want), readWrite, unix.MAP_SHARED, func(b []byte) {
			copy(b[1<<19:], piece)
			p.ok(unix.Msync(b, unix.MS_SYNC))
		})
		p.content("f", want[:1<<19]+piece+want[1<<19+2<<20:])
	}},
	// What is written to the file is in memory.
	{"mmap/sees_writes", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDWR)
		p.mapped(fd, 6, unix.PROT_READ, unix.MAP_SHARED, func(b []byte) {
			p.same("before", string(b), "abcdef")
			p.putAt(fd, "XY", 2)
			p.ok(unix.Msync(b, unix.MS_SYNC|unix.MS_INVALIDATE))
			p.same("after", string(b), "abXYef")
		})
	}},
	// By turns.
	{"mmap/by_turns", func(p *place) {
		p.write("f", string(make([]byte, 4096)))
		fd := p.open("f", unix.O_RDWR)
		p.mapped(fd, 4096, readWrite, unix.MAP_SHARED, func(b []byte) {
			for i := 0; i < 200; i += 2 {
				b[i] = byte(i)
				p.ok(unix.Msync(b, unix.MS_SYNC))
				p.same("read", p.getAt(fd, 1, int64(i)), string([]byte{byte(i)}))
				p.putAt(fd, "w", int64(i+1))
				p.want(b[i+1] == 'w', "byte %d is %q in memory", i+1, b[i+1])
			}
		})
	}},
	// Two mappings of a file are one memory.
	{"mmap/twice", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDWR)
		p.mapped(fd, 6, readWrite, unix.MAP_SHARED, func(a []byte) {
			p.mapped(p.open("f", unix.O_RDWR), 6, readWrite, unix.MAP_SHARED, func(b []byte) {
				a[0], b[1] = 'X', 'Y'
				p.same("a", string(a), "XYcdef")
				p.same("b", string(b), "XYcdef")
			})
		})
	}},
	// What is written to private memory stays there.
	{"mmap/private", func(p *place) {
		p.write("f", "abcdef")
		p.mapped(p.open("f", unix.O_RDONLY), 6, readWrite, unix.MAP_PRIVATE, func(b []byte) {
			copy(b, "XY")
			p.same("memory", string(b), "XYcdef")
			p.content("f", "abcdef")
		})
		p.content("f", "abcdef")
	}},
	// Behind the end of the file, the rest of a page is zeros, and what is written there gets lost.
	{"mmap/rest_of_the_page", func(p *place) {
		p.write("f", "abc")
		fd := p.open("f", unix.O_RDWR)
		p.mapped(fd, 4096, readWrite, unix.MAP_SHARED, func(b []byte) {
			p.same("memory", trim(b), "abc")
			copy(b[100:], "lost")
			p.ok(unix.Msync(b, unix.MS_SYNC))
		})
		p.content("f", "abc")
		p.ok(unix.Ftruncate(fd, 200))
		p.content("f", "abc"+string(make([]byte, 197)))
	}},
	// The mapping stays when the file is closed.
	{"mmap/outlives_the_descriptor", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDWR)
		b, err := unix.Mmap(fd, 0, 6, readWrite, unix.MAP_SHARED)
		p.ok(err)
		defer unix.Munmap(b)
		p.shut(fd)
		advise(b, readWrite)
		p.guarded(func() { copy(b, "XY") })
		p.ok(unix.Msync(b, unix.MS_SYNC))
		p.content("f", "XYcdef")
	}},
	// And when its name is gone.
	{"mmap/outlives_the_name", func(p *place) {
		fd := p.orphan("abcdef")
		p.mapped(fd, 6, readWrite, unix.MAP_SHARED, func(b []byte) {
			copy(b, "XY")
			p.ok(unix.Msync(b, unix.MS_SYNC))
			p.same("read", p.getAt(fd, 10, 0), "XYcdef")
		})
	}},
	// Without msync too, what was written is in the file in the end: who maps it again finds it.
	{"mmap/written_in_the_end", func(p *place) {
		want := noise(1<<20+4096, 19)
		p.write("f", string(make([]byte, len(want))))
		p.mapped(p.open("f", unix.O_RDWR), len(want), readWrite, unix.MAP_SHARED, func(b []byte) { copy(b, want) })
		p.mapped(p.open("f", unix.O_RDONLY), len(want), unix.PROT_READ, unix.MAP_SHARED, func(b []byte) {
			p.same("memory", string(b), want)
		})
	}},
	// A file that has grown can be mapped and written to its new end.
	{"mmap/grown_file", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "abc")
		p.ok(unix.Ftruncate(fd, 1<<20+3))
		p.mapped(fd, 1<<20+3, readWrite, unix.MAP_SHARED, func(b []byte) {
			p.zeros("hole", string(b[3:]), 1<<20)
			copy(b[1<<20:], "end")
			p.ok(unix.Msync(b, unix.MS_SYNC))
		})
		p.content("f", "abc"+string(make([]byte, 1<<20-3))+"end")
	}},
	// The modification is marked by the next msync at the latest.
	{"mmap/touches", func(p *place) {
		p.write("f", "abcdef")
		fd := p.open("f", unix.O_RDWR)
		p.age("f")
		b, err := unix.Mmap(fd, 0, 6, readWrite, unix.MAP_SHARED)
		p.ok(err)
		defer unix.Munmap(b)
		advise(b, readWrite)
		p.guarded(func() { copy(b, "XY") })
		p.ok(unix.Msync(b, unix.MS_SYNC))
		p.touched("f")
	}},
	// EACCES: shared memory that can be written needs a descriptor that can be, and any a readable one.
	{"mmap/wrong_descriptor", func(p *place) {
		p.write("f", "abcdef")
		_, err := unix.Mmap(p.open("f", unix.O_RDONLY), 0, 6, readWrite, unix.MAP_SHARED)
		p.fails(err, unix.EACCES)
		_, err = unix.Mmap(p.open("f", unix.O_WRONLY), 0, 6, unix.PROT_READ, unix.MAP_SHARED)
		p.fails(err, unix.EACCES)
	}},
	// ENODEV: a directory cannot be mapped.
	{"mmap/directory", func(p *place) {
		_, err := unix.Mmap(p.open(".", unix.O_RDONLY), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
		p.fails(err, unix.ENODEV, unix.EACCES)
	}},
}
