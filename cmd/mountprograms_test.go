package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// folders are where the tests with programs work: in a directory of one's own, and in a shared one.
var folders = []string{"root/mine", "root/forum/ours"}

// inFolders runs a test in each of the folders, which is made.
func inFolders(t *testing.T, test func(m *mounting, dir string)) {
	for _, dir := range folders {
		t.Run(strings.ReplaceAll(dir, "/", "-"), func(t *testing.T) {
			m := newMount(t)
			m.mkdir(dir)
			test(m, dir)
			m.unmount()
			m.fsck()
		})
	}
}

// in runs a shell script in a folder of the mount, with the programs of the system first.
func (m *mounting) in(dir, script string) string {
	m.Helper()
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir = m.path(dir)
	cmd.Env = append(os.Environ(), "HOME="+m.dir, "PATH="+systemPath(), "TOP="+m.dir,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// systemPath is the path without our commands: some have the names of others.
func systemPath() string {
	return strings.TrimPrefix(os.Getenv("PATH"), bin+string(filepath.ListSeparator))
}

// saves are how editors write a file anew, as shell scripts with $new for what it shall have.
var saves = map[string]string{
	"in place":         `printf %s "$new" > file`,
	"temporary file":   `printf %s "$new" > .file.tmp; sync .file.tmp; mv .file.tmp file`,
	"backup by rename": `rm -f file~; mv file file~; printf %s "$new" > file; sync file; rm file~`,
	"backup kept":      `mv -f file file~; printf %s "$new" > file; sync file`,
	"backup by copy":   `cp -p file file~; printf %s "$new" > file; sync file`,
	"sed":              `sed -i "s/.*/$new/" file`,
	"truncate":         `truncate -s 0 file; printf %s "$new" >> file`,
	"remove":           `rm file; printf %s "$new" > file`,
	"dd":               `printf %s "$new" | dd of=file conv=notrunc,fsync status=none; truncate -s ${#new} file`,
	"swap file":        `touch .file.swp; printf %s "$new" > 4913; chmod --reference=file 4913; mv 4913 file; rm .file.swp`,
}

// TestMountEditors saves a file as editors do, several times, with commits in between and without.
func TestMountEditors(t *testing.T) {
	inFolders(t, func(m *mounting, dir string) {
		for name, save := range saves {
			at := dir + "/" + strings.ReplaceAll(name, " ", "-")
			m.mkdir(at)
			m.in(at, "printf first > file; chmod 640 file")
			for i, text := range []string{"short", "a text that is longer", "tiny"} {
				m.in(at, fmt.Sprintf("new=%q; %s", text, save))
				m.wantFile(at+"/file", text)
				if i == 1 {
					m.wantCommitted(at+"/file", text)
				}
			}
			m.wantCommitted(at+"/file", "tiny")
		}
		m.remount()
		for name := range saves {
			m.wantFile(dir+"/"+strings.ReplaceAll(name, " ", "-")+"/file", "tiny")
		}
	})
}

// TestMountSaveIsAtomic writes a file anew by rename while commands and programs read it: they see
// the one before or the next one, and never a part.
func TestMountSaveIsAtomic(t *testing.T) {
	m := newMount(t)
	versions := [][]byte{bytes.Repeat([]byte("a"), 2_500_000), bytes.Repeat([]byte("b"), 1_500_000)}
	isVersion := func(got []byte) bool { return bytes.Equal(got, versions[0]) || bytes.Equal(got, versions[1]) }
	m.write("root/forum/file", string(versions[0]))
	m.wantCommitted("root/forum/file", string(versions[0]))
	var stop atomic.Bool
	var readers errgroup.Group
	readers.Go(func() error { return readUntil(&stop, m.catFile, isVersion) })
	readers.Go(func() error {
		return readUntil(&stop, func() ([]byte, error) { return os.ReadFile(m.path("root/forum/file")) }, isVersion)
	})
	for i := range 30 {
		m.write("root/forum/.tmp", string(versions[i%2]))
		if err := os.Rename(m.path("root/forum/.tmp"), m.path("root/forum/file")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 10 * time.Millisecond)
	}
	stop.Store(true)
	if err := readers.Wait(); err != nil {
		t.Error(err)
	}
	m.unmount()
}

func (m *mounting) catFile() ([]byte, error) {
	cmd, said := m.command("cat", "-repo", m.repo, "root/forum/file")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cat: %w: %s", err, said)
	}
	return out, nil
}

func readUntil(stop *atomic.Bool, read func() ([]byte, error), ok func([]byte) bool) error {
	for !stop.Load() {
		got, err := read()
		if err != nil {
			return err
		}
		if !ok(got) {
			return fmt.Errorf("somebody read %d bytes, which are no version: %.10q to %.10q", len(got), got, got[max(0, len(got)-10):])
		}
	}
	return nil
}

// TestMountGit clones the repository of this code into the mount, and works there.
func TestMountGit(t *testing.T) {
	needs(t, "git")
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(source, ".git")); err != nil {
		t.Skip("this is no clone with git")
	}
	m := newMount(t)
	m.mkdir("root/mine")
	m.in("root/mine", "git -c safe.directory='*' clone -q '"+source+"' clone")
	if out := m.in("root/mine/clone", "git status --porcelain; git fsck --no-dangling 2>&1 | grep -v Checking || true"); out != "" {
		t.Errorf("after git clone: %s", out)
	}
	m.remount()
	if out := m.in("root/mine/clone", "git status --porcelain"); out != "" {
		t.Errorf("after a remount: %s", out)
	}
	m.in("root/mine/clone", `git checkout -q -b work; echo more >> README.md; git rm -q LICENSE; git mv DESIGN.md moved.md; git add .; git commit -q -m "a commit"`)
	m.in("root/mine/clone", `git stash -q || true; git checkout -q -; test -f LICENSE; git merge -q work; test -f moved.md; git gc -q; git fsck --no-dangling`)
	m.remount()
	if out := m.in("root/mine/clone", "git status --porcelain; git fsck --no-dangling 2>&1 | grep -v Checking || true; git log --format=%s -1"); out != "a commit\n" {
		t.Errorf("after a commit and a remount: %s", out)
	}
	m.goTools("root/mine/clone")
	m.unmount()
	m.fsck()
}

// goTools vets and tests packages in a clone, with the caches that there are.
func (m *mounting) goTools(dir string) {
	m.Helper()
	env, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		m.Fatal(err)
	}
	places := strings.Split(strings.TrimSpace(string(env)), "\n")
	script := fmt.Sprintf("export GOCACHE=%q GOMODCACHE=%q GOPATH=%q GOFLAGS=-mod=readonly; ", places[0], places[1], places[2])
	m.in(dir, script+"go vet ./message ./dagcbor; go test ./message ./dagcbor")
}

// tree makes a folder with all that rsync and tar know to keep, but for what the tree has no place
// for.
const makeTree = `
mkdir -p tree/sub/empty "tree/two words" tree/deep/er/and/deeper; cd tree
for i in $(seq 200); do echo file $i > sub/$i; done
head -c 3000000 /dev/urandom > large; : > none; echo größe > größe.txt; echo x > "two words/$(printf 'new\nline')"
ln -s sub/1 link; ln -s /nowhere/at/all dangling; ln -s .. up
echo '#!/bin/sh' > run; chmod 755 run; chmod 600 sub/2; chmod 444 sub/3; chmod 700 deep; chmod 555 deep/er/and/deeper; chmod 751 sub/4
touch -d '2001-02-03 04:05:06.123456789' sub/5 sub deep; touch -d '1969-01-01' sub/6; touch -d '2100-01-01' sub/7
`

// TestMountRsync copies a folder there and back, and compares what rsync compares.
func TestMountRsync(t *testing.T) {
	needs(t, "rsync")
	inFolders(t, func(m *mounting, dir string) {
		m.in("..", makeTree)
		m.in(dir, "rsync -a $TOP/tree/ tree/")
		same := func(when string) {
			t.Helper()
			for range 2 {
				if out := m.in(dir, "rsync -ain --checksum $TOP/tree/ tree/; rsync -ain --checksum --delete tree/ $TOP/tree/"); out != "" {
					m.Errorf("%s rsync finds differences:\n%s", when, out)
				}
			}
		}
		same("at once")
		m.wantCommitted(dir+"/tree/sub/200", "file 200\n")
		same("once committed")
		m.remount()
		same("after a remount")
		m.in(dir, "rsync -a tree/ $TOP/back/; rsync -ain --checksum --delete $TOP/tree/ $TOP/back/ > $TOP/differs; test ! -s $TOP/differs")
		m.in("..", "echo changed > tree/sub/8; rm tree/sub/9; touch tree/sub/10; chmod 755 tree/sub/11; mv tree/sub/12 tree/sub/moved")
		m.in(dir, "rsync -a --delete $TOP/tree/ tree/")
		same("after changes")
		m.remount()
		same("after changes and a remount")
		m.in(dir, "chmod -R u+w tree; rm -r tree")
	})
}

// TestMountTar unpacks an archive, and compares content, modes, times and targets.
func TestMountTar(t *testing.T) {
	inFolders(t, func(m *mounting, dir string) {
		m.in("..", makeTree)
		m.in("..", "tar -cf tree.tar tree")
		m.in(dir, "tar -xpf $TOP/tree.tar")
		same := func(when string) {
			if out := m.in(dir, "tar -df $TOP/tree.tar 2>&1 || true; diff -r --no-dereference tree $TOP/tree 2>&1 || true"); out != "" {
				m.Errorf("%s there are differences:\n%s", when, out)
			}
		}
		same("at once")
		m.wantCommitted(dir+"/tree/sub/200", "file 200\n")
		same("once committed")
		m.remount()
		same("after a remount")
		m.in(dir, "tar -cf - tree | (cd $TOP; mkdir back; tar -xpf - -C back); diff -r --no-dereference $TOP/tree $TOP/back/tree")
	})
}

const makefile = `program: main.o other.o
	gcc -o $@ $^
%.o: %.c other.h
	gcc -c -o $@ $<
`

// TestMountMake builds a program, twice: the second time there is nothing to do, also after a
// remount, and after a change only what depends on it.
func TestMountMake(t *testing.T) {
	needs(t, "gcc", "make")
	inFolders(t, func(m *mounting, dir string) {
		m.write(dir+"/Makefile", makefile)
		m.write(dir+"/main.c", "#include \"other.h\"\nint main(void) { return other(); }\n")
		m.write(dir+"/other.c", "#include \"other.h\"\nint other(void) { return 0; }\n")
		m.write(dir+"/other.h", "int other(void);\n")
		m.in(dir, "make; ./program")
		idle := func(when string) {
			if out := m.in(dir, "make"); !strings.Contains(out, "up to date") {
				m.Errorf("%s make does %s", when, out)
			}
		}
		idle("at once")
		m.wantCommitted(dir+"/other.h", "int other(void);\n")
		time.Sleep(time.Second)
		idle("once committed")
		m.remount()
		idle("after a remount")
		m.in(dir, "touch other.c")
		if out := m.in(dir, "make; ./program"); strings.Contains(out, "main.c") || !strings.Contains(out, "other.c") {
			m.Errorf("after a touch make does %s", out)
		}
		m.remount()
		idle("in the end")
		if out := m.in(dir, "./program; stat -c %a program"); out != "755\n" {
			m.Errorf("the program: %s", out)
		}
	})
}

// TestMountSparse writes a few pieces of a file of 3 GiB.
func TestMountSparse(t *testing.T) {
	m := newMount(t)
	m.mkdir("root/mine")
	const size = 3 << 30
	pieces := map[int64]string{0: "begin", 1<<20 - 3: "between two", 1<<30 + 12345: "in the middle", size - 3: "end"}
	f, err := os.Create(m.path("root/mine/sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at, text := range pieces {
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		f, err := os.Open(m.path("root/mine/sparse"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || info.Size() != size {
			t.Errorf("%s it has %d bytes, %v", when, info.Size(), err)
		}
		for at, text := range pieces {
			want := text[:min(int64(len(text)), size-at)] + strings.Repeat("\x00", 20)
			want = want[:min(int64(len(want)), size-at)]
			got := make([]byte, len(want))
			if _, err := f.ReadAt(got, at); err != nil || string(got) != want {
				t.Errorf("%s at %d there is %q, %v", when, at, got, err)
			}
		}
	}
	check("at once")
	if !within(2*time.Minute, func() bool { return m.cidOf("root/mine/sparse") != "" }) {
		t.Error("it is not committed")
	}
	check("once committed")
	m.remount()
	check("after a remount")
	if err := os.Truncate(m.path("root/mine/sparse"), 1<<30+12345+2); err != nil {
		t.Fatal(err)
	}
	m.remount()
	if out := m.in("root/mine", "tail -c 5 sparse | od -An -c; stat -c %s sparse; dd if=sparse bs=1M skip=1000 count=20 status=none | tr -d '\\0' | wc -c"); strings.Join(strings.Fields(out), " ") != `\0 \0 \0 i n 1073754171 0` {
		t.Errorf("after it was cut: %s", out)
	}
	m.unmount()
}

// cidOf returns the CID of what is committed at a path; "" if nothing is.
func (m *mounting) cidOf(path string) string {
	cmd, _ := m.command("info", "-repo", m.repo, "-json", path)
	out, _ := cmd.Output()
	var info struct{ Cid string }
	json.Unmarshal(out, &info)
	return info.Cid
}

// many is how many files go into one directory.
const many = 20_000

// TestMountMany makes, lists, finds and removes many files in one directory.
func TestMountMany(t *testing.T) {
	m := newMount(t)
	m.mkdir("root/mine/many")
	start := time.Now()
	lap := func(what string) {
		t.Logf("%s: %v", what, time.Since(start).Round(10*time.Millisecond))
		start = time.Now()
	}
	for i := range many {
		m.write(fmt.Sprintf("root/mine/many/file %d", i), fmt.Sprint(i))
	}
	lap("made")
	m.wantCount("root/mine/many", many)
	lap("listed")
	m.wantCommittedIn(time.Minute, fmt.Sprintf("root/mine/many/file %d", many-1), fmt.Sprint(many-1))
	lap("committed")
	m.remount()
	lap("mounted anew")
	m.wantCount("root/mine/many", many)
	lap("listed")
	if out := m.in("root/mine", "find many -name 'file 77?' | wc -l; cat 'many/file 12345'; ls many | sed -n 1p"); out != "10\n12345file 0\n" {
		t.Errorf("found: %s", out)
	}
	lap("found")
	m.in("root/mine", "find many -name '*7' -delete; ls many | wc -l > $TOP/left; find many -type f -size -5c | wc -l")
	lap("some removed")
	m.wantCount("root/mine/many", many-many/10)
	m.in("root/mine", "rm -r many")
	lap("removed")
	m.unmount()
	lap("ended")
	if got := m.run("list", "-repo", "a", "root/mine"); got != "" {
		t.Errorf("left: %s", got)
	}
	m.fsck()
}

func (m *mounting) wantCount(dir string, want int) {
	m.Helper()
	if entries, err := os.ReadDir(m.path(dir)); err != nil || len(entries) != want {
		m.Errorf("%d files, %v; there should be %d", len(entries), err, want)
	}
}

// wantCommittedIn is wantCommitted for what takes longer.
func (m *mounting) wantCommittedIn(most time.Duration, path, want string) {
	m.Helper()
	if !within(most, func() bool {
		cmd, _ := m.command("cat", "-repo", m.repo, path)
		out, _ := cmd.Output()
		return string(out) == want
	}) {
		m.Errorf("%s is not committed after %v", path, most)
	}
}

// TestMountLocks has programs lock files against each other.
func TestMountLocks(t *testing.T) {
	needs(t, "flock")
	m := newMount(t)
	m.in("root/forum", `flock lock sh -c 'flock -n lock true && exit 1; exit 0'`)
	m.in("root/forum", `echo 0 > n; for i in 1 2 3 4 5 6 7 8; do (for k in 1 2 3 4 5; do flock lock sh -c 'echo $(($(cat n) + 1)) > n'; done) & done; wait`)
	m.wantFile("root/forum/n", "40\n")
	m.wantCommitted("root/forum/n", "40\n")
	m.unmount()
}

// TestMountMapped writes to a file that is mapped into memory, and reads one.
func TestMountMapped(t *testing.T) {
	m := newMount(t)
	m.write("root/forum/mapped", strings.Repeat("x", 3<<20))
	m.wantCommittedIn(endsWithin, "root/forum/mapped", strings.Repeat("x", 3<<20))
	f, err := os.OpenFile(m.path("root/forum/mapped"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, 3<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	copy(mem[1<<20-4:], "words over the end of a chunk")
	if err := unix.Msync(mem, unix.MS_SYNC); err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("x", 1<<20-4) + "words over the end of a chunk"
	want += strings.Repeat("x", 3<<20-len(want))
	m.wantFile("root/forum/mapped", want)
	m.wantCommittedIn(endsWithin, "root/forum/mapped", want)
	copy(mem, "not synced") // the kernel has it when it is not mapped any more
	if err := unix.Munmap(mem); err != nil {
		t.Fatal(err)
	}
	f.Close()
	m.remount()
	m.wantFile("root/forum/mapped", "not synced"+want[10:])
	m.unmount()
}

// TestMountAppend has several processes append to one file, as to a log.
func TestMountAppend(t *testing.T) {
	m := newMount(t)
	var group errgroup.Group
	for i := range 4 {
		group.Go(func() error {
			f, err := os.OpenFile(m.path("root/forum/log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
			if err != nil {
				return err
			}
			defer f.Close()
			for k := range 200 {
				if _, err := fmt.Fprintf(f, "line %d of %d\n", k, i); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	m.remount()
	text, err := os.ReadFile(m.path("root/forum/log"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		for k := range 200 {
			if line := fmt.Sprintf("line %d of %d\n", k, i); bytes.Count(text, []byte(line)) != 1 {
				t.Fatalf("%q is there %d times", line, bytes.Count(text, []byte(line)))
			}
		}
	}
	m.unmount()
}

// TestMountRemovedFile reads and writes a file that has no name any more.
func TestMountRemovedFile(t *testing.T) {
	m := newMount(t)
	m.write("root/forum/f", "before")
	m.wantCommitted("root/forum/f", "before")
	f, err := os.OpenFile(m.path("root/forum/f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(m.path("root/forum/f")); err != nil {
		t.Fatal(err)
	}
	if !soon(func() bool { return m.run("list", "-repo", "a", "root/forum") == "" }) {
		t.Error("it is not removed")
	}
	m.run("forget", "-repo", "a", "-keep", "1")
	m.run("gc", "-repo", "a")
	if _, err := f.WriteAt([]byte("BE"), 0); err != nil {
		t.Errorf("write: %v", err)
	}
	got, err := io.ReadAll(f)
	if err != nil || string(got) != "BEfore" {
		t.Errorf("it has %q, %v", got, err)
	}
	wantErrno(t, "umount", unix.Unmount(m.path(""), 0), syscall.EBUSY)
	f.Close()
	m.unmount()
}
