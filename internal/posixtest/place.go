//go:build linux

package posixtest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A place is the folder of one check, with what checks do again and again. Its methods end the check
// when they fail. Calls are those of the kernel: what it answers is not polished by package os.
type place struct {
	dir string
	fds []int
}

// A failure is what ends a check.
type failure struct{ error }

// do runs fn and returns how it failed.
func (p *place) do(fn func(*place)) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.error
		default:
			panic(r)
		}
	}()
	fn(p)
	return nil
}

// failf ends the check. The message begins with the line of the check that failed.
func (p *place) failf(format string, args ...any) {
	where := ""
	for skip := 1; ; skip++ {
		_, file, line, ok := runtime.Caller(skip)
		if !ok {
			break
		}
		if name := filepath.Base(file); name != "place.go" && name != "time.go" {
			where = fmt.Sprintf("%s:%d: ", name, line)
			break
		}
	}
	message := where + strings.ReplaceAll(fmt.Sprintf(format, args...), p.dir+"/", "")
	panic(failure{fmt.Errorf("%s", message)})
}

// ok wants no error.
func (p *place) ok(err error) {
	if err != nil {
		p.failf("%s", describe(err))
	}
}

// fails wants one of some errors.
func (p *place) fails(err error, want ...unix.Errno) {
	for _, w := range want {
		if err == w {
			return
		}
	}
	names := make([]string, len(want))
	for i, w := range want {
		names[i] = unix.ErrnoName(w)
	}
	p.failf("got %s, want %s", describe(err), strings.Join(names, " or "))
}

func describe(err error) string {
	if errno, ok := err.(unix.Errno); ok {
		return unix.ErrnoName(errno)
	}
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// want wants something to hold.
func (p *place) want(holds bool, format string, args ...any) {
	if !holds {
		p.failf(format, args...)
	}
}

// equal wants two numbers to be the same.
func (p *place) equal(what string, got, want int64) {
	if got != want {
		p.failf("%s: %d, want %d", what, got, want)
	}
}

// at returns the path of a name as it stands, with dots and slashes.
func (p *place) at(name string) string { return p.dir + "/" + name }

// open opens a file until the check ends; what is created gets the mode 0666, less the umask.
func (p *place) open(name string, flags int) int {
	fd, err := unix.Open(p.at(name), flags|unix.O_CLOEXEC, 0o666)
	if err != nil {
		p.failf("open %q: %s", name, describe(err))
	}
	p.fds = append(p.fds, fd)
	return fd
}

// opens is open for calls that should fail.
func (p *place) opens(name string, flags int) error {
	fd, err := unix.Open(p.at(name), flags|unix.O_CLOEXEC, 0o666)
	if err == nil {
		p.fds = append(p.fds, fd)
	}
	return err
}

// shut closes a descriptor before the check ends.
func (p *place) shut(fd int) {
	for i, other := range p.fds {
		if other == fd {
			p.fds = append(p.fds[:i], p.fds[i+1:]...)
			break
		}
	}
	p.ok(unix.Close(fd))
}

// close closes what is still open.
func (p *place) close() {
	for _, fd := range p.fds {
		unix.Close(fd) // it is not what the check is about
	}
}

// closed returns the number of a descriptor that is not open. It is a high one, lest something else
// in the process takes it.
func (p *place) closed() int {
	fd := p.open(".", unix.O_RDONLY)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 900)
	p.ok(err)
	p.ok(unix.Close(high))
	return high
}

// write makes a file or replaces what is in it.
func (p *place) write(name, content string) {
	fd := p.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC)
	p.put(fd, content)
	p.shut(fd)
}

// put writes all of content at the offset of the descriptor.
func (p *place) put(fd int, content string) {
	n, err := unix.Write(fd, []byte(content))
	p.ok(err)
	p.equal("bytes written", int64(n), int64(len(content)))
}

// putAt writes all of content at an offset.
func (p *place) putAt(fd int, content string, offset int64) {
	n, err := unix.Pwrite(fd, []byte(content), offset)
	p.ok(err)
	p.equal("bytes written", int64(n), int64(len(content)))
}

// get reads up to n bytes at the offset of the descriptor, by one call.
func (p *place) get(fd, n int) string {
	buf := make([]byte, n)
	got, err := unix.Read(fd, buf)
	p.ok(err)
	return string(buf[:got])
}

// getAt reads up to n bytes at an offset, by as many calls as that takes.
func (p *place) getAt(fd, n int, offset int64) string {
	buf := make([]byte, n)
	done := 0
	for done < n {
		got, err := unix.Pread(fd, buf[done:], offset+int64(done))
		p.ok(err)
		if got == 0 {
			break
		}
		done += got
	}
	return string(buf[:done])
}

// whole reads a file.
func (p *place) whole(name string) string {
	fd := p.open(name, unix.O_RDONLY)
	defer p.shut(fd)
	return p.getAt(fd, int(p.fstat(fd).Size)+1, 0)
}

// content wants a file to have just that in it.
func (p *place) content(name, want string) { p.same(name, p.whole(name), want) }

// same wants two strings of any length to be the same.
func (p *place) same(what, got, want string) {
	if got == want {
		return
	}
	if len(got) < 80 && len(want) < 80 {
		p.failf("%s: %q, want %q", what, got, want)
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	p.failf("%s: %d bytes, want %d; they differ from %d on", what, len(got), len(want), at)
}

// zeros wants nothing but zero bytes, and so many.
func (p *place) zeros(what, got string, n int) {
	p.same(what, got, string(make([]byte, n)))
}

// stat returns what is known of a name, and not of what it points to.
func (p *place) stat(name string) unix.Stat_t {
	var st unix.Stat_t
	if err := unix.Lstat(p.at(name), &st); err != nil {
		p.failf("lstat %q: %s", name, describe(err))
	}
	return st
}

func (p *place) fstat(fd int) unix.Stat_t {
	var st unix.Stat_t
	p.ok(unix.Fstat(fd, &st))
	return st
}

// size wants a file of so many bytes.
func (p *place) size(name string, want int64) { p.equal("size of "+name, p.stat(name).Size, want) }

// links wants a file with so many names.
func (p *place) links(name string, want int64) {
	p.equal("links of "+name, int64(p.stat(name).Nlink), want)
}

// mode wants permission bits.
func (p *place) mode(name string, want uint32) {
	if got := p.stat(name).Mode & 0o7777; got != want {
		p.failf("mode of %s: %04o, want %04o", name, got, want)
	}
}

// absent wants a name not to be there.
func (p *place) absent(name string) {
	var st unix.Stat_t
	p.fails(unix.Lstat(p.at(name), &st), unix.ENOENT)
}

// mkdir makes directories, in order.
func (p *place) mkdir(names ...string) {
	for _, name := range names {
		if err := unix.Mkdir(p.at(name), 0o777); err != nil {
			p.failf("mkdir %q: %s", name, describe(err))
		}
	}
}

func (p *place) symlink(target, name string) { p.ok(unix.Symlink(target, p.at(name))) }

func (p *place) rename(from, to string) error { return unix.Rename(p.at(from), p.at(to)) }

func (p *place) unlink(name string) { p.ok(unix.Unlink(p.at(name))) }

// umask sets the umask while fn runs.
func (p *place) umask(mask int, fn func()) {
	before := unix.Umask(mask)
	defer unix.Umask(before)
	fn()
}

// noise returns n bytes that look random, the same for the same seed.
func noise(n int, seed uint32) string {
	buf := make([]byte, n)
	for i := range buf {
		seed = seed*1664525 + 1013904223
		buf[i] = byte(seed >> 24)
	}
	return string(buf)
}

// long returns a name or path of n bytes.
func long(n int) string { return strings.Repeat("x", n) }

// longPath is a path of names that are not there, longer than any may be.
var longPath = strings.Repeat("d/", 2100) + "f"

// isDir says whether a mode is that of a directory, isFile whether of a regular file.
func isDir(mode uint32) bool  { return mode&unix.S_IFMT == unix.S_IFDIR }
func isFile(mode uint32) bool { return mode&unix.S_IFMT == unix.S_IFREG }

// trim takes zero bytes off the end, as those of a page.
func trim(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }
