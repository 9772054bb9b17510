//go:build linux

package posixtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// An entry is what readdir tells of a name.
type entry struct {
	name   string
	ino    uint64
	kind   byte  // DT_REG and so on
	offset int64 // with which lseek gets behind it
}

// getdents reads the next entries from an open directory; none at its end.
func (p *place) getdents(fd, size int) []entry {
	buf := make([]byte, size)
	n, err := unix.Getdents(fd, buf)
	p.ok(err)
	var all []entry
	for buf = buf[:n]; len(buf) > 0; {
		length := binary.NativeEndian.Uint16(buf[16:])
		name, _, _ := bytes.Cut(buf[19:length], []byte{0})
		all = append(all, entry{
			name:   string(name),
			ino:    binary.NativeEndian.Uint64(buf),
			kind:   buf[18],
			offset: int64(binary.NativeEndian.Uint64(buf[8:])),
		})
		buf = buf[length:]
	}
	return all
}

// entries reads from an open directory up to its end. Between reads it calls between, if there is one.
func (p *place) entries(fd, size int, between func([]entry)) []entry {
	var all []entry
	for {
		some := p.getdents(fd, size)
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
		if between != nil {
			between(some)
		}
	}
}

// list returns what is in a directory, without dot and dot-dot, in the order of the names.
func (p *place) list(dir string) []entry {
	fd := p.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	defer p.shut(fd)
	return proper(p.entries(fd, 1<<15, nil))
}

func proper(all []entry) []entry {
	all = slices.DeleteFunc(all, func(e entry) bool { return e.name == "." || e.name == ".." })
	slices.SortFunc(all, func(a, b entry) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return all
}

// names wants just those names in a directory, each once.
func (p *place) names(dir string, want ...string) {
	var got []string
	for _, e := range p.list(dir) {
		got = append(got, e.name)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.failf("names in %s: %.300q, want %.300q", dir, got, want)
	}
}

// fill makes so many empty files in a directory, and returns their names.
func (p *place) fill(dir, prefix string, count int) []string {
	p.mkdir(dir)
	var all []string
	for i := range count {
		name := fmt.Sprintf("%s%05d", prefix, i)
		p.shut(p.open(dir+"/"+name, unix.O_WRONLY|unix.O_CREAT))
		all = append(all, name)
	}
	return all
}

// once wants each of some names once among entries, and no name twice.
func (p *place) once(all []entry, names []string) {
	count := map[string]int{}
	for _, e := range all {
		count[e.name]++
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		p.want(count[name] == 1, "%q comes %d times", name, count[name])
	}
	for _, name := range names {
		p.want(count[name] == 1, "%q does not come", name)
	}
}

const manyFiles = 2000

var readdirChecks = []check{
	// An empty directory has no more than dot and dot-dot, each once.
	{"readdir/empty", func(p *place) {
		p.mkdir("d")
		all := p.entries(p.open("d", unix.O_RDONLY|unix.O_DIRECTORY), 1000, nil)
		p.once(all, nil)
		p.equal("entries", int64(len(proper(all))), 0)
	}},
	// Everything in it comes, whatever it is.
	{"readdir/every_kind", func(p *place) {
		p.mkdir("d")
		p.write("f", "")
		p.symlink("nowhere", "l")
		p.write(".hidden", "")
		p.ok(p.link("f", "g"))
		p.names(".", "d", "f", "l", ".hidden", "g")
	}},
	// The kind of an entry, if it is told, is that of the file.
	{"readdir/kinds", func(p *place) {
		p.mkdir("d")
		p.write("f", "")
		p.symlink("nowhere", "l")
		for _, e := range p.list(".") {
			want := byte(p.stat(e.name).Mode >> 12)
			p.want(e.kind == want || e.kind == unix.DT_UNKNOWN, "%s has kind %d, want %d", e.name, e.kind, want)
		}
	}},
	// The serial number of an entry is that of the file.
	{"readdir/serial_numbers", func(p *place) {
		p.mkdir("d")
		p.write("f", "")
		p.symlink("nowhere", "l")
		for _, e := range p.list(".") {
			p.want(e.ino == p.stat(e.name).Ino, "%s has %d, and by lstat %d", e.name, e.ino, p.stat(e.name).Ino)
		}
	}},
	// So is it before anybody has looked at the file.
	{"readdir/serial_numbers_of_many", func(p *place) {
		p.fill("d", "f", 300)
		for _, e := range p.list("d") {
			p.want(e.ino == p.stat("d/"+e.name).Ino, "%s has %d, and by lstat %d", e.name, e.ino, p.stat("d/"+e.name).Ino)
		}
	}},
	// Of many entries, each comes once, whatever the size of the buffer.
	{"readdir/many", func(p *place) {
		names := p.fill("d", "some-file-with-a-name-", manyFiles)
		for _, size := range []int{300, 4096, 1 << 20} {
			fd := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
			all := p.entries(fd, size, nil)
			p.once(all, names)
			p.equal("entries", int64(len(proper(all))), manyFiles)
		}
	}},
	// What was there all the time comes once, though others come and go while the directory is read.
	{"readdir/while_it_changes", func(p *place) {
		stay := p.fill("d", "stay", manyFiles)
		for i := range 300 {
			p.write(fmt.Sprintf("d/go%d", i), "")
		}
		step := 0
		fd := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		all := p.entries(fd, 2048, func([]entry) {
			for i := 3 * step; i < min(3*step+3, 300); i++ { // more go than come
				p.unlink(fmt.Sprintf("d/go%d", i))
			}
			p.write(fmt.Sprintf("d/new%d", step), "")
			step++
		})
		p.once(all, stay)
		p.want(step > 5, "all came in %d steps: nothing has been checked", step)
	}},
	// Nor does it matter that what comes is changed.
	{"readdir/while_files_are_replaced", func(p *place) {
		names := p.fill("d", "f", manyFiles)
		fd := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		p.once(p.entries(fd, 2048, func(some []entry) {
			p.write("x", "new")
			if last := some[len(some)-1].name; last != "." && last != ".." {
				p.write("d/"+last, "other")
			}
		}), names)
	}},
	// All files can be removed as they come, as rm does it.
	{"readdir/while_all_is_removed", func(p *place) {
		names := p.fill("d", "f", manyFiles)
		fd := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		all := p.entries(fd, 4096, func(some []entry) {
			for _, e := range proper(slices.Clone(some)) {
				p.unlink("d/" + e.name)
			}
		})
		p.once(all, names)
		p.ok(unix.Rmdir(p.at("d")))
	}},
	// rewinddir begins anew, with the directory as it is then.
	{"readdir/rewind", func(p *place) {
		names := p.fill("d", "f", 100)
		fd := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		p.once(p.entries(fd, 1000, nil), names)
		p.unlink("d/" + names[0])
		p.write("d/new", "")
		_, err := unix.Seek(fd, 0, unix.SEEK_SET)
		p.ok(err)
		all := p.entries(fd, 1000, nil)
		p.once(all, append(names[1:], "new"))
		p.equal("entries", int64(len(proper(all))), 100)
	}},
	// Halfway too.
	{"readdir/rewind_halfway", func(p *place) {
		names := p.fill("d", "f", 100)
		fd := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		p.getdents(fd, 1000)
		p.write("d/new", "")
		_, err := unix.Seek(fd, 0, unix.SEEK_SET)
		p.ok(err)
		p.once(p.entries(fd, 1000, nil), append(names, "new"))
	}},
	// seekdir goes back to where telldir was.
	{"readdir/seek", func(p *place) {
		p.fill("d", "f", 200)
		fd := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		first := p.getdents(fd, 1000)
		mark := first[len(first)-1].offset
		rest := p.entries(fd, 1000, nil)
		_, err := unix.Seek(fd, mark, unix.SEEK_SET)
		p.ok(err)
		again := p.entries(fd, 1000, nil)
		p.equal("entries", int64(len(again)), int64(len(rest)))
		for i := range rest {
			p.same("entry", again[i].name, rest[i].name)
		}
	}},
	// Who opens the directory again sees it as it is.
	{"readdir/open_again", func(p *place) {
		p.write("a", "")
		p.names(".", "a")
		p.write("b", "")
		p.names(".", "a", "b")
		p.unlink("a")
		p.names(".", "b")
		p.ok(p.rename("b", "c"))
		p.names(".", "c")
		p.mkdir("d")
		p.ok(p.rename("c", "d/c"))
		p.names(".", "d")
		p.names("d", "c")
	}},
	// Two that read one directory do not disturb each other.
	{"readdir/two_at_once", func(p *place) {
		names := p.fill("d", "f", 300)
		other := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		var seen []entry
		p.once(p.entries(p.open("d", unix.O_RDONLY|unix.O_DIRECTORY), 1000, func([]entry) {
			seen = append(seen, p.getdents(other, 1000)...)
		}), names)
		p.once(append(seen, p.entries(other, 1000, nil)...), names)
	}},
	// A directory that was removed while it was open has nothing in it, not even dot.
	{"readdir/removed", func(p *place) {
		p.mkdir("d")
		fd := p.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		p.ok(unix.Rmdir(p.at("d")))
		n, err := unix.Getdents(fd, make([]byte, 1000))
		if err != nil {
			p.fails(err, unix.ENOENT)
		}
		p.want(n <= 0, "it has %d bytes of entries", n)
	}},
	// ENOTDIR: it is no directory.
	{"readdir/file", func(p *place) {
		p.write("f", "")
		_, err := unix.Getdents(p.open("f", unix.O_RDONLY), make([]byte, 1000))
		p.fails(err, unix.ENOTDIR)
	}},
	// EBADF: it is not open.
	{"readdir/bad_descriptor", func(p *place) {
		_, err := unix.Getdents(p.closed(), make([]byte, 1000))
		p.fails(err, unix.EBADF)
	}},
}
