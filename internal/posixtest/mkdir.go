//go:build linux

package posixtest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

func (p *place) mkdirErr(name string) error { return unix.Mkdir(p.at(name), 0o777) }

var mkdirChecks = []check{
	// A new directory is empty.
	{"mkdir/makes_a_directory", func(p *place) {
		p.mkdir("d")
		p.want(isDir(p.stat("d").Mode), "mode %o", p.stat("d").Mode)
		p.names("d")
		p.names(".", "d")
	}},
	// A slash may follow the name.
	{"mkdir/with_a_slash", func(p *place) {
		p.mkdir("d/")
		p.names(".", "d")
	}},
	// The bits of the umask are cleared in the mode.
	{"mkdir/umask", func(p *place) {
		for i, mask := range []int{0, 0o022, 0o027, 0o077} {
			name := fmt.Sprint(i)
			p.umask(mask, func() { p.mkdir(name) })
			p.mode(name, 0o777&^uint32(mask))
		}
	}},
	// The mode is as given otherwise.
	{"mkdir/mode", func(p *place) {
		p.umask(0, func() {
			for _, mode := range []uint32{0o777, 0o755, 0o700, 0o555, 0o711, 0o500, 0} {
				p.ok(unix.Mkdir(p.at("d"), mode))
				p.mode("d", mode)
				p.ok(unix.Rmdir(p.at("d")))
			}
		})
	}},
	// EEXIST: the name is taken, by whatever, a dangling link included.
	{"mkdir/existing", func(p *place) {
		p.mkdir("d")
		p.write("f", "content")
		p.symlink("nowhere", "l")
		for _, name := range []string{"d", "f", "l", "."} {
			p.fails(p.mkdirErr(name), unix.EEXIST)
		}
		p.content("f", "content")
		p.absent("nowhere")
	}},
	// One of many that try it at once succeeds.
	{"mkdir/lets_one_win", func(p *place) {
		for range 20 {
			var won atomic.Int64
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					if unix.Mkdir(p.at("d"), 0o777) == nil {
						won.Add(1)
					}
				})
			}
			all.Wait()
			p.equal("calls that made it", won.Load(), 1)
			p.ok(unix.Rmdir(p.at("d")))
		}
	}},
	// ENOENT: a folder on the way does not exist, or the path is empty.
	{"mkdir/missing_folder", func(p *place) {
		p.fails(p.mkdirErr("d/e"), unix.ENOENT)
		p.fails(unix.Mkdir("", 0o777), unix.ENOENT)
	}},
	// ENOTDIR: a folder on the way is something else.
	{"mkdir/file_as_folder", func(p *place) {
		p.write("f", "")
		p.fails(p.mkdirErr("f/d"), unix.ENOTDIR)
	}},
	// A name may have 255 bytes. ENAMETOOLONG: it has more, or the path is too long.
	{"mkdir/name_too_long", func(p *place) {
		p.mkdir(long(255))
		p.fails(p.mkdirErr(long(256)), unix.ENAMETOOLONG)
		p.fails(p.mkdirErr(longPath), unix.ENAMETOOLONG)
	}},
	// The parent is marked as modified, and the directory is of now.
	{"mkdir/touches_its_parent", func(p *place) {
		p.mkdir("d")
		p.age("d")
		p.mkdir("d/e")
		p.touched("d", "d/e")
	}},
	// The status of the parent has changed.
	{"mkdir/ctime", func(p *place) {
		p.mkdir("d")
		p.marks("d", func() { p.mkdir("d/e") })
	}},
	// Directories may be as deep as a path can say.
	{"mkdir/deep", func(p *place) {
		path := "d"
		p.mkdir(path)
		for len(p.at(path)) < 1500 {
			path += "/" + strings.Repeat("e", 9)
			p.mkdir(path)
		}
		p.write(path+"/f", "content")
		p.ok(p.rename("d", "x"))
		p.content("x"+path[1:]+"/f", "content")
	}},
	// And deeper, where each step is relative to the one before.
	{"mkdir/deeper_than_a_path", func(p *place) {
		at := p.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
		for range 25 {
			p.ok(unix.Mkdirat(at, long(200), 0o777))
			next, err := unix.Openat(at, long(200), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			p.ok(err)
			p.shut(at)
			p.fds = append(p.fds, next)
			at = next
		}
		fd, err := unix.Openat(at, "f", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o666)
		p.ok(err)
		p.ok(unix.Close(fd))
		var st unix.Stat_t
		p.ok(unix.Fstatat(at, "f", &st, 0))
		p.want(isFile(st.Mode), "mode %o", st.Mode)
	}},
	// Dot is the directory itself and dot-dot its parent.
	{"mkdir/dot_and_dot_dot", func(p *place) {
		p.mkdir("d", "d/e")
		p.want(p.stat("d/e/.").Ino == p.stat("d/e").Ino, "dot is another one")
		p.want(p.stat("d/e/..").Ino == p.stat("d").Ino, "dot-dot is another one")
		p.write("d/e/../f", "content")
		p.content("d/f", "content")
	}},
}
