//go:build linux

package posixtest

import "golang.org/x/sys/unix"

var statvfsChecks = []check{
	// The numbers hold together.
	{"statvfs/plausible", func(p *place) {
		var st unix.Statfs_t
		p.ok(unix.Statfs(p.at("."), &st))
		p.want(st.Bsize > 0, "block size %d", st.Bsize)
		p.want(st.Blocks > 0, "no blocks")
		p.want(st.Bfree <= st.Blocks, "%d blocks are free of %d", st.Bfree, st.Blocks)
		p.want(st.Bavail <= st.Bfree, "%d blocks can be had of %d that are free", st.Bavail, st.Bfree)
		p.want(st.Bavail > 0, "there is no room, but a file can be written")
		p.want(st.Ffree <= st.Files, "%d files are free of %d", st.Ffree, st.Files)
	}},
	// The longest name is as long as it says.
	{"statvfs/longest_name", func(p *place) {
		var st unix.Statfs_t
		p.ok(unix.Statfs(p.at("."), &st))
		p.want(st.Namelen > 0 && st.Namelen <= 4096, "names of %d bytes", st.Namelen)
		p.write(long(int(st.Namelen)), "")
		p.fails(p.opens(long(int(st.Namelen)+1), unix.O_WRONLY|unix.O_CREAT), unix.ENAMETOOLONG)
	}},
	// It is the same for any file on the file system, by name or descriptor.
	{"statvfs/of_a_file", func(p *place) {
		p.write("f", "content")
		var dir, file, open unix.Statfs_t
		p.ok(unix.Statfs(p.at("."), &dir))
		p.ok(unix.Statfs(p.at("f"), &file))
		p.ok(unix.Fstatfs(p.open("f", unix.O_RDONLY), &open))
		for _, st := range []unix.Statfs_t{file, open} {
			p.want(st.Bsize == dir.Bsize && st.Namelen == dir.Namelen && st.Type == dir.Type, "%+v of the file, %+v of the folder", st, dir)
		}
	}},
	// ENOENT, ENOTDIR, EBADF: as of any file.
	{"statvfs/bad_path", func(p *place) {
		p.write("f", "")
		var st unix.Statfs_t
		p.fails(unix.Statfs(p.at("g"), &st), unix.ENOENT)
		p.fails(unix.Statfs(p.at("f/g"), &st), unix.ENOTDIR)
		p.fails(unix.Fstatfs(p.closed(), &st), unix.EBADF)
	}},
}
