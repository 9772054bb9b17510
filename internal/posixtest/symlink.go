//go:build linux

package posixtest

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// target reads a symbolic link.
func (p *place) target(name string) string {
	buf := make([]byte, 8192)
	n, err := unix.Readlink(p.at(name), buf)
	p.ok(err)
	return string(buf[:n])
}

var symlinkChecks = []check{
	// A link has the target that was given, and its size is that of the target.
	{"symlink/makes_a_link", func(p *place) {
		p.symlink("some/target", "l")
		st := p.stat("l")
		p.want(st.Mode&unix.S_IFMT == unix.S_IFLNK, "mode %o", st.Mode)
		p.equal("size", st.Size, int64(len("some/target")))
		p.equal("links", int64(st.Nlink), 1)
		p.same("target", p.target("l"), "some/target")
	}},
	// The target is any string: absolute, dangling, with dots, slashes and odd bytes. It is kept byte for byte.
	{"symlink/any_target", func(p *place) {
		for i, target := range []string{"/", "/etc/passwd", "..", "../..//x/./y/", "a b\nc", "grüße", "\xff\xfe", "-", " "} {
			name := fmt.Sprint(i)
			p.symlink(target, name)
			p.same("target", p.target(name), target)
		}
	}},
	// A target may be as long as a path, less the final zero.
	{"symlink/long_target", func(p *place) {
		for _, n := range []int{59, 60, 61, 255, 256, 1000, 4000, 4095} {
			name, target := fmt.Sprint(n), strings.Repeat("t/", n/2)+long(n%2)
			p.symlink(target, name)
			p.same("target", p.target(name), target)
			p.size(name, int64(n))
		}
	}},
	// ENAMETOOLONG: it is longer.
	{"symlink/target_too_long", func(p *place) { p.fails(unix.Symlink(long(4096), p.at("l")), unix.ENAMETOOLONG) }},
	// ENAMETOOLONG: the name of the link is too long.
	{"symlink/name_too_long", func(p *place) { p.fails(unix.Symlink("t", p.at(long(256))), unix.ENAMETOOLONG) }},
	// EEXIST: the name is taken, by whatever.
	{"symlink/existing", func(p *place) {
		p.write("f", "content")
		p.mkdir("d")
		p.symlink("nowhere", "l")
		for _, name := range []string{"f", "d", "l"} {
			p.fails(unix.Symlink("t", p.at(name)), unix.EEXIST)
		}
		p.same("target", p.target("l"), "nowhere")
	}},
	// ENOENT: the folder does not exist, or a path is empty.
	{"symlink/missing_folder", func(p *place) {
		p.fails(unix.Symlink("t", p.at("d/l")), unix.ENOENT)
		p.fails(unix.Symlink("", p.at("l")), unix.ENOENT)
		p.fails(unix.Symlink("t", ""), unix.ENOENT)
	}},
	// ENOTDIR: a folder on the way is something else.
	{"symlink/file_as_folder", func(p *place) {
		p.write("f", "")
		p.fails(unix.Symlink("t", p.at("f/l")), unix.ENOTDIR)
	}},
	// The folder is marked as modified.
	{"symlink/touches_its_folder", func(p *place) {
		p.mkdir("d")
		p.age("d")
		p.symlink("t", "d/l")
		p.touched("d", "d/l")
	}},
	// A link on the way is followed, and one at the end by stat.
	{"symlink/is_followed", func(p *place) {
		p.mkdir("d")
		p.write("d/f", "content")
		p.symlink("d", "l")
		p.symlink("l/f", "m")
		p.content("l/f", "content")
		p.content("m", "content")
		var st unix.Stat_t
		p.ok(unix.Stat(p.at("m"), &st))
		p.want(st.Ino == p.stat("d/f").Ino, "it is another file")
	}},
	// A relative target is relative to the directory of the link.
	{"symlink/relative", func(p *place) {
		p.mkdir("d", "d/e")
		p.write("f", "content")
		p.symlink("../../f", "d/e/l")
		p.content("d/e/l", "content")
		p.ok(p.rename("d/e/l", "d/l"))
		p.fails(p.opens("d/l", unix.O_RDONLY), unix.ENOENT)
	}},
	// An absolute one is not.
	{"symlink/absolute", func(p *place) {
		p.mkdir("d")
		p.write("f", "content")
		p.symlink(p.at("f"), "d/l")
		p.content("d/l", "content")
	}},
	// Eight links in a row are followed at least.
	{"symlink/chain", func(p *place) {
		p.write("l0", "content")
		for i := range 8 {
			p.symlink(fmt.Sprint("l", i), fmt.Sprint("l", i+1))
		}
		p.content("l8", "content")
	}},
	// ELOOP: they go in a circle, whatever call follows them.
	{"symlink/loop", func(p *place) {
		p.symlink("l", "l")
		var st unix.Stat_t
		p.fails(unix.Stat(p.at("l"), &st), unix.ELOOP)
		p.fails(unix.Stat(p.at("l/f"), &st), unix.ELOOP)
		p.fails(unix.Truncate(p.at("l"), 0), unix.ELOOP)
		p.fails(unix.Chmod(p.at("l"), 0o600), unix.ELOOP)
		p.fails(unix.Mkdir(p.at("l/d"), 0o700), unix.ELOOP)
		p.fails(unix.Rename(p.at("l/f"), p.at("g")), unix.ELOOP)
	}},
	// ENOENT: a dangling link is followed.
	{"symlink/dangling", func(p *place) {
		p.symlink("nowhere", "l")
		var st unix.Stat_t
		p.fails(unix.Stat(p.at("l"), &st), unix.ENOENT)
		p.fails(p.opens("l", unix.O_RDONLY), unix.ENOENT)
		p.write("nowhere", "content")
		p.content("l", "content")
	}},
	// readlink cuts off what does not fit.
	{"readlink/short_buffer", func(p *place) {
		p.symlink("abcdef", "l")
		buf := []byte("xxxxx")
		n, err := unix.Readlink(p.at("l"), buf[:3])
		p.ok(err)
		p.equal("bytes", int64(n), 3)
		p.same("buffer", string(buf), "abcxx")
	}},
	// EINVAL: it is no symbolic link.
	{"readlink/no_link", func(p *place) {
		p.write("f", "content")
		for _, name := range []string{"f", "."} {
			_, err := unix.Readlink(p.at(name), make([]byte, 10))
			p.fails(err, unix.EINVAL)
		}
	}},
	// ENOENT, ENOTDIR, ENAMETOOLONG: as of any path.
	{"readlink/bad_path", func(p *place) {
		p.write("f", "")
		for name, want := range map[string]unix.Errno{"l": unix.ENOENT, "f/l": unix.ENOTDIR, long(256): unix.ENAMETOOLONG} {
			_, err := unix.Readlink(p.at(name), make([]byte, 10))
			p.fails(err, want)
		}
	}},
}
