//go:build linux

package posixtest

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

var statChecks = []check{
	// The type of a file is in its mode, and lstat does not follow links.
	{"stat/types", func(p *place) {
		p.write("f", "")
		p.mkdir("d")
		p.symlink("f", "l")
		for name, want := range map[string]uint32{"f": unix.S_IFREG, "d": unix.S_IFDIR, "l": unix.S_IFLNK} {
			p.want(p.stat(name).Mode&unix.S_IFMT == want, "mode of %s: %o", name, p.stat(name).Mode)
		}
		var st unix.Stat_t
		p.ok(unix.Stat(p.at("l"), &st))
		p.want(isFile(st.Mode), "mode of what l points to: %o", st.Mode)
	}},
	// The size is that after the last write, closed or not.
	{"stat/size", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		for i := range 10 {
			p.put(fd, noise(1000, 22))
			p.size("f", int64(i+1)*1000)
			p.equal("size of the descriptor", p.fstat(fd).Size, int64(i+1)*1000)
		}
		p.shut(fd)
		p.size("f", 10_000)
	}},
	// stat, and fstat of any descriptor, tell the same.
	{"stat/by_name_and_descriptor", func(p *place) {
		p.write("f", "content")
		p.age("f")
		byName, byDescriptor := p.stat("f"), p.fstat(p.open("f", unix.O_RDONLY))
		byName.Atim, byDescriptor.Atim = unix.Timespec{}, unix.Timespec{}
		p.want(byName == byDescriptor, "%+v by name, %+v by descriptor", byName, byDescriptor)
	}},
	// Device and serial number together are those of one file, at any time.
	{"stat/serial_number", func(p *place) {
		seen := map[uint64]string{}
		for i := range 100 {
			name := fmt.Sprint("f", i)
			p.write(name, "")
			ino := p.stat(name).Ino
			p.want(seen[ino] == "", "%s and %s have number %d", name, seen[ino], ino)
			p.want(p.stat(name).Dev == p.stat(".").Dev, "%s is on another device", name)
			seen[ino] = name
		}
		for ino, name := range seen {
			p.write(name, "content")
			p.want(p.stat(name).Ino == ino, "%s had number %d, and now %d", name, ino, p.stat(name).Ino)
		}
	}},
	// The number stays when the file is renamed, written and closed.
	{"stat/serial_number_stays", func(p *place) {
		p.mkdir("d")
		p.write("d/f", "content")
		dir, file := p.stat("d").Ino, p.stat("d/f").Ino
		p.ok(p.rename("d", "e"))
		p.ok(p.rename("e/f", "e/g"))
		p.write("e/g", "other")
		p.want(p.stat("e").Ino == dir, "the directory has another number")
		p.want(p.stat("e/g").Ino == file, "the file has another number")
	}},
	// A new file belongs to who has made it.
	{"stat/owner", func(p *place) {
		p.write("f", "")
		p.mkdir("d")
		p.symlink("t", "l")
		for _, name := range []string{"f", "d", "l"} {
			p.equal("owner of "+name, int64(p.stat(name).Uid), int64(os.Geteuid()))
		}
	}},
	// A block is of some size, and a file that has data has blocks or not, but no negative number.
	{"stat/blocks", func(p *place) {
		p.write("f", noise(100_000, 23))
		st := p.stat("f")
		p.want(st.Blksize > 0 && st.Blksize <= 1<<30, "block size %d", st.Blksize)
		p.want(st.Blocks >= 0 && st.Blocks < 1<<20, "%d blocks", st.Blocks)
	}},
	// ENOENT, ENOTDIR, ENAMETOOLONG: as of any path.
	{"stat/bad_path", func(p *place) {
		p.write("f", "")
		var st unix.Stat_t
		for name, want := range map[string]unix.Errno{
			"g": unix.ENOENT, "d/g": unix.ENOENT, "f/g": unix.ENOTDIR, "f/": unix.ENOTDIR, "f/..": unix.ENOTDIR,
			long(256): unix.ENAMETOOLONG, longPath: unix.ENAMETOOLONG,
		} {
			p.fails(unix.Stat(p.at(name), &st), want)
		}
		p.fails(unix.Stat("", &st), unix.ENOENT)
	}},
	// EBADF: the descriptor is not open.
	{"stat/bad_descriptor", func(p *place) {
		var st unix.Stat_t
		p.fails(unix.Fstat(p.closed(), &st), unix.EBADF)
	}},
	// Looking at a file, or reading it, does not modify it.
	{"stat/reading_leaves_the_file", func(p *place) {
		p.write("f", "content")
		p.mkdir("d")
		p.age("f", "d")
		p.content("f", "content")
		p.names("d")
		p.aged("f")
		p.aged("d")
	}},
	// A name that was looked for in vain is found once it is there, and gone once it is not.
	{"stat/no_stale_names", func(p *place) {
		for range 20 {
			p.absent("f")
			p.write("f", "content")
			p.size("f", 7)
			p.ok(p.rename("f", "g"))
			p.absent("f")
			p.size("g", 7)
			p.unlink("g")
			p.absent("g")
		}
	}},
	// Of two writes, the later one has no earlier time.
	{"stat/times_go_forward", func(p *place) {
		fd := p.open("f", unix.O_RDWR|unix.O_CREAT)
		made := p.fstat(fd).Mtim
		last := made
		for range 5 {
			time.Sleep(10 * time.Millisecond)
			p.put(fd, "x")
			now := p.stat("f").Mtim
			p.want(now.Nano() >= last.Nano(), "%s after %s", clock(now), clock(last))
			last = now
		}
		p.want(last.Nano() > made.Nano(), "the last write is no later than the making of the file")
	}},
	// access finds what is there: F_OK whatever its mode, R_OK and W_OK where the mode says so.
	{"stat/access", func(p *place) {
		p.write("f", "")
		p.ok(p.chmod("f", 0o600))
		p.ok(unix.Access(p.at("f"), unix.F_OK))
		p.ok(unix.Access(p.at("f"), unix.R_OK|unix.W_OK))
		p.fails(unix.Access(p.at("f"), unix.X_OK), unix.EACCES)
		p.fails(unix.Access(p.at("g"), unix.F_OK), unix.ENOENT)
	}},
}
