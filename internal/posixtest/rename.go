//go:build linux

package posixtest

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var renameChecks = []check{
	// The old name is gone, and the new one is that of the same file.
	{"rename/new_name", func(p *place) {
		p.write("a", "content")
		ino := p.stat("a").Ino
		p.ok(p.rename("a", "b"))
		p.absent("a")
		p.content("b", "content")
		p.want(p.stat("b").Ino == ino, "it is another file")
	}},
	// A file that has the new name loses it.
	{"rename/over_existing_file", func(p *place) {
		p.write("a", "new")
		p.write("b", "old and longer")
		ino := p.stat("a").Ino
		p.ok(p.rename("a", "b"))
		p.absent("a")
		p.content("b", "new")
		p.want(p.stat("b").Ino == ino, "it is another file")
	}},
	// Who has the replaced file open goes on with it.
	{"rename/over_open_file", func(p *place) {
		p.write("a", "new")
		p.write("b", "old")
		fd := p.open("b", unix.O_RDWR)
		p.ok(p.rename("a", "b"))
		p.same("read", p.getAt(fd, 10, 0), "old")
		p.putAt(fd, "er", 3)
		p.same("read", p.getAt(fd, 10, 0), "older")
		p.equal("links", int64(p.fstat(fd).Nlink), 0)
		p.content("b", "new")
	}},
	// Who has the renamed file open does too, and what is written is in the file with the new name.
	{"rename/of_open_file", func(p *place) {
		fd := p.open("a", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "abc")
		p.ok(p.rename("a", "b"))
		p.put(fd, "def")
		p.content("b", "abcdef")
		p.equal("links", int64(p.fstat(fd).Nlink), 1)
		p.ok(unix.Ftruncate(fd, 1))
		p.content("b", "a")
	}},
	// So too if it replaces another that is open.
	{"rename/of_open_file_over_open_file", func(p *place) {
		a, b := p.open("a", unix.O_RDWR|unix.O_CREAT), p.open("b", unix.O_RDWR|unix.O_CREAT)
		p.put(b, "old")
		p.ok(p.rename("a", "b"))
		p.put(a, "new")
		p.put(b, "er")
		p.content("b", "new")
		p.same("the other", p.getAt(b, 10, 0), "older")
	}},
	// The old name is free for another file.
	{"rename/old_name_is_free", func(p *place) {
		fd := p.open("a", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "first")
		p.ok(p.rename("a", "b"))
		p.write("a", "second")
		p.put(fd, "!")
		p.content("a", "second")
		p.content("b", "first!")
	}},
	// Where both names are those of one directory entry, nothing is done.
	{"rename/to_itself", func(p *place) {
		p.write("a", "content")
		p.mkdir("d")
		p.ok(p.rename("a", "a"))
		p.ok(p.rename("d", "d"))
		p.content("a", "content")
	}},
	// Nor where they are two links of one file: both stay.
	{"rename/between_links_of_one_file", func(p *place) {
		p.write("a", "content")
		p.ok(unix.Link(p.at("a"), p.at("b")))
		p.ok(p.rename("a", "b"))
		p.content("a", "content")
		p.content("b", "content")
		p.links("a", 2)
	}},
	// A replaced file has a link less.
	{"rename/over_a_link", func(p *place) {
		p.write("a", "new")
		p.write("b", "old")
		p.ok(unix.Link(p.at("b"), p.at("c")))
		p.ok(p.rename("a", "b"))
		p.links("c", 1)
		p.content("c", "old")
	}},
	// ENOENT: there is no such file, or no such folder, or a path is empty.
	{"rename/missing", func(p *place) {
		p.fails(p.rename("a", "b"), unix.ENOENT)
		p.write("a", "content")
		p.fails(p.rename("a", "d/b"), unix.ENOENT)
		p.fails(p.rename("d/a", "b"), unix.ENOENT)
		p.fails(unix.Rename("", p.at("b")), unix.ENOENT)
		p.fails(unix.Rename(p.at("a"), ""), unix.ENOENT)
		p.content("a", "content")
	}},
	// A directory replaces an empty directory.
	{"rename/directory_over_empty_directory", func(p *place) {
		p.mkdir("a", "b")
		p.write("a/f", "content")
		p.ok(p.rename("a", "b"))
		p.absent("a")
		p.content("b/f", "content")
	}},
	// ENOTEMPTY or EEXIST: the directory to be replaced is not empty.
	{"rename/directory_over_directory_with_something", func(p *place) {
		p.mkdir("a", "b")
		p.write("b/f", "content")
		p.fails(p.rename("a", "b"), unix.ENOTEMPTY, unix.EEXIST)
		p.content("b/f", "content")
		p.want(isDir(p.stat("a").Mode), "a is no directory any more")
	}},
	// It may be replaced once it is empty.
	{"rename/directory_over_emptied_directory", func(p *place) {
		p.mkdir("a", "b")
		p.write("b/f", "content")
		p.unlink("b/f")
		p.ok(p.rename("a", "b"))
		p.absent("a")
	}},
	// EISDIR: a directory has the new name, and the old one is that of something else.
	{"rename/file_over_directory", func(p *place) {
		p.write("a", "content")
		p.mkdir("d")
		p.fails(p.rename("a", "d"), unix.EISDIR)
		p.content("a", "content")
		p.want(isDir(p.stat("d").Mode), "d is no directory any more")
	}},
	// ENOTDIR: a directory would replace something else.
	{"rename/directory_over_file", func(p *place) {
		p.write("a", "content")
		p.mkdir("d")
		p.fails(p.rename("d", "a"), unix.ENOTDIR)
		p.content("a", "content")
	}},
	// EINVAL: a directory would get below itself.
	{"rename/directory_into_itself", func(p *place) {
		p.mkdir("d", "d/e", "d/e/f")
		p.fails(p.rename("d", "d/x"), unix.EINVAL)
		p.fails(p.rename("d", "d/e/f/x"), unix.EINVAL)
		p.fails(p.rename("d", "d/e"), unix.EINVAL, unix.ENOTEMPTY)
		p.want(isDir(p.stat("d/e/f").Mode), "it is gone")
	}},
	// A directory does not replace one in which it is.
	{"rename/directory_over_its_parent", func(p *place) {
		p.mkdir("d", "d/e")
		p.fails(p.rename("d/e", "d"), unix.ENOTEMPTY, unix.EEXIST)
		p.want(isDir(p.stat("d/e").Mode), "it is gone")
	}},
	// What is below a directory moves with it.
	{"rename/directory_with_a_tree", func(p *place) {
		p.mkdir("d", "d/e", "d/e/f", "to")
		p.write("d/e/f/g", "content")
		p.ok(p.rename("d", "to/x"))
		p.content("to/x/e/f/g", "content")
		p.absent("d")
		p.absent("d/e/f/g")
	}},
	// Files that are open below it stay open, and what is written is found at the new path.
	{"rename/directory_with_open_files", func(p *place) {
		p.mkdir("d", "d/e")
		fd := p.open("d/e/f", unix.O_RDWR|unix.O_CREAT)
		p.put(fd, "abc")
		p.ok(p.rename("d", "x"))
		p.put(fd, "def")
		p.same("read", p.getAt(fd, 10, 0), "abcdef")
		p.content("x/e/f", "abcdef")
		p.write("x/e/g", "another")
		p.ok(p.rename("x/e", "y"))
		p.putAt(fd, "X", 0)
		p.content("y/f", "Xbcdef")
		p.content("y/g", "another")
	}},
	// From one directory to another.
	{"rename/between_directories", func(p *place) {
		p.mkdir("a", "b")
		p.write("a/f", "content")
		p.ok(p.rename("a/f", "b/g"))
		p.absent("a/f")
		p.content("b/g", "content")
	}},
	// The parent of a moved directory is the one it is in now.
	{"rename/dot_dot", func(p *place) {
		p.mkdir("a", "a/d", "b")
		p.ok(p.rename("a/d", "b/d"))
		p.want(p.stat("b/d/..").Ino == p.stat("b").Ino, "its parent is another one")
	}},
	// Both parents are marked as modified.
	{"rename/touches_both_folders", func(p *place) {
		p.mkdir("a", "b")
		p.write("a/f", "content")
		p.age("a", "b")
		p.ok(p.rename("a/f", "b/f"))
		p.touched("a", "b")
	}},
	// What is renamed has not been modified itself.
	{"rename/leaves_the_file", func(p *place) {
		p.write("a", "content")
		p.mkdir("d")
		p.age("a", "d")
		p.ok(p.rename("a", "b"))
		p.ok(p.rename("d", "e"))
		p.aged("b")
		p.aged("e")
	}},
	// Mode and links come along.
	{"rename/keeps_the_mode", func(p *place) {
		p.write("a", "content")
		p.ok(unix.Chmod(p.at("a"), 0o604))
		p.write("b", "")
		p.ok(p.rename("a", "b"))
		p.mode("b", 0o604)
		p.links("b", 1)
	}},
	// A symbolic link is renamed, and not what it points to.
	{"rename/symlink", func(p *place) {
		p.write("f", "content")
		p.symlink("f", "l")
		p.ok(p.rename("l", "m"))
		p.absent("l")
		p.content("f", "content")
		p.want(!isFile(p.stat("m").Mode), "m is no link")
	}},
	// A symbolic link is replaced, and not what it points to.
	{"rename/over_a_symlink", func(p *place) {
		p.write("f", "content")
		p.symlink("f", "l")
		p.write("a", "new")
		p.ok(p.rename("a", "l"))
		p.content("f", "content")
		p.want(isFile(p.stat("l").Mode), "l is a link still")
	}},
	// A symbolic link to a directory is no directory.
	{"rename/directory_over_symlink_to_directory", func(p *place) {
		p.mkdir("d", "e")
		p.symlink("e", "l")
		p.fails(p.rename("d", "l"), unix.ENOTDIR)
	}},
	// ENOTDIR: a folder on the way is something else, or a slash follows what is no directory.
	{"rename/file_as_folder", func(p *place) {
		p.write("a", "content")
		p.write("f", "")
		p.fails(p.rename("a", "f/b"), unix.ENOTDIR)
		p.fails(p.rename("f/b", "c"), unix.ENOTDIR)
		p.fails(p.rename("a/", "c"), unix.ENOTDIR)
		p.content("a", "content")
	}},
	// The last name must not be dot or dot-dot.
	{"rename/dot", func(p *place) {
		p.mkdir("d", "e")
		p.fails(p.rename("d/.", "x"), unix.EINVAL, unix.EBUSY)
		p.fails(p.rename("d/..", "x"), unix.EINVAL, unix.EBUSY)
		p.fails(p.rename("d", "e/."), unix.EINVAL, unix.EBUSY)
	}},
	// ENAMETOOLONG: a name or a path is too long.
	{"rename/name_too_long", func(p *place) {
		p.write("a", "content")
		p.fails(p.rename("a", long(256)), unix.ENAMETOOLONG)
		p.fails(p.rename(long(256), "b"), unix.ENAMETOOLONG)
		p.fails(p.rename("a", longPath), unix.ENAMETOOLONG)
		p.ok(p.rename("a", long(255)))
		p.content(long(255), "content")
	}},
	// While a file is replaced, its name is always that of the old file or of the new one.
	{"rename/name_is_always_there", func(p *place) {
		p.write("f", "0")
		var stop atomic.Bool
		missed := make(chan error, 1)
		go func() {
			var st unix.Stat_t
			var err error
			for err == nil && !stop.Load() {
				err = unix.Stat(p.at("f"), &st)
			}
			missed <- err
		}()
		failed := p.do(func(p *place) { p.replaceOften("f", 500) })
		stop.Store(true)
		p.ok(<-missed)
		p.ok(failed)
	}},
	// A chain of names, as of programs that keep old versions.
	{"rename/chain", func(p *place) {
		for i := range 20 {
			for j := min(i, 5); j > 0; j-- {
				p.ok(p.rename(fmt.Sprintf("f%d", j-1), fmt.Sprintf("f%d", j)))
			}
			p.write("f0", fmt.Sprint(i))
		}
		for j := range 6 {
			p.content(fmt.Sprintf("f%d", j), fmt.Sprint(19-j))
		}
	}},
}

// replaceOften renames new files over an old one, as editors save.
func (p *place) replaceOften(name string, times int) {
	for i := range times {
		p.write("new", fmt.Sprint(i))
		p.ok(p.rename("new", name))
		p.content(name, fmt.Sprint(i))
	}
}
