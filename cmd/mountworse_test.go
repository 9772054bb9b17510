package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// noise returns bytes that nothing makes shorter, the same for the same number.
func noise(number uint64, size int) []byte {
	text := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(number), byte(number >> 8), byte(number >> 16)}).Read(text)
	return text
}

// TestMountMissingBlock loses the segment files: what is in them reads as an error that names the
// block, and the rest as ever. When the blocks are back, so is the file.
func TestMountMissingBlock(t *testing.T) {
	m := newMount(t)
	large := noise(1, 3<<20)
	m.write("root/forum/large", string(large))
	m.write("root/forum/small", "small")
	m.unmount()
	m.sh("cp -r a copy; rm a/segments/*")
	m.start()
	m.wantFile("root/forum/small", "small")
	start := time.Now()
	_, err := os.ReadFile(m.path("root/forum/large"))
	wantErrno(t, "read", err, syscall.EIO)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v, and 20 s are the deadline", took)
	}
	if !soon(func() bool {
		return strings.Contains(m.log(), "root/forum/large: ") && strings.Contains(m.log(), "baf")
	}) {
		t.Errorf("it does not name file and block:\n%s", m.log())
	}
	if text := m.xattr("root/forum/large", "error"); !strings.Contains(text, "baf") {
		t.Errorf("the attribute error is %q", text)
	}
	if text := m.xattr("root/forum/small", "error"); text != "" {
		t.Errorf("the attribute error of another file is %q", text)
	}
	m.write("root/forum/other", "other")
	m.wantCommitted("root/forum/other", "other")
	m.sh("cp copy/segments/* a/segments/")
	if !soon(func() bool {
		got, err := os.ReadFile(m.path("root/forum/large"))
		return err == nil && bytes.Equal(got, large)
	}) {
		t.Error("the blocks are back, and the file is not")
	}
	if text := m.xattr("root/forum/large", "error"); text != "" {
		t.Errorf("it can be read again, and the attribute error is %q", text)
	}
	m.unmount()
	m.fsck()
}

// TestMountWriteIntoMissing writes into, over, and beside content that is not here. What needs none
// of it goes; the rest is an error, and no zeros are committed for it.
func TestMountWriteIntoMissing(t *testing.T) {
	m := newMount(t)
	m.write("root/forum/large", string(noise(1, 3<<20)))
	m.write("root/forum/over", string(noise(2, 3<<20)))
	m.unmount()
	m.sh("rm a/segments/*")
	m.start()
	err := writeAt(m.path("root/forum/large"), 1000, []byte("some words"))
	wantErrno(t, "write inside", err, syscall.EIO)
	m.write("root/forum/over", "new")
	m.wantCommitted("root/forum/over", "new")
	if err := os.Rename(m.path("root/forum/large"), m.path("root/forum/moved")); err != nil {
		t.Errorf("rename: %v", err)
	}
	if err := os.Remove(m.path("root/forum/moved")); err != nil {
		t.Errorf("remove: %v", err)
	}
	if !soon(func() bool { return m.run("list", "-repo", "a", "root/forum") == "over" }) {
		t.Errorf("in the forum is %s", m.run("list", "-repo", "a", "root/forum"))
	}
	m.unmount()
}

// writeAt writes into a file that is there.
func writeAt(name string, at int64, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, at)
	return errors.Join(err, f.Close())
}

// smallDisk mounts a disk of so many megabytes at a folder of the home.
func (h *home) smallDisk(at string, megabytes int) {
	h.Helper()
	if os.Geteuid() != 0 {
		h.Skip("only root can mount a small disk")
	}
	dir := filepath.Join(h.dir, at)
	if err := os.Mkdir(dir, 0o755); err != nil {
		h.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		h.Skipf("no small disk here: %v", err)
	}
	h.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func (h *home) growDisk(at string, megabytes int) {
	h.Helper()
	if err := unix.Mount("tmpfs", filepath.Join(h.dir, at), "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		h.Fatal(err)
	}
}

// mountOnSmallDisk mounts a repository that is on a small disk.
func mountOnSmallDisk(t *testing.T, megabytes int) *mounting {
	t.Helper()
	if !hasFUSE() {
		t.Skip("no FUSE here")
	}
	h := newHome(t)
	h.smallDisk("disk", megabytes)
	h.run("initialize", "-repo", "disk/a")
	h.run("new-identity", "-repo", "disk/a", "identities/me")
	return h.mountOn("disk/a", "m")
}

// fill writes files of a megabyte until there is no room, and returns those that were written.
func (m *mounting) fill(dir string) (written map[string][]byte) {
	m.Helper()
	written = map[string][]byte{}
	for i := range uint64(200) {
		name, text := fmt.Sprintf("%s/f%03d", dir, i), noise(i, 1<<20)
		err := os.WriteFile(m.path(name), text, 0o644)
		if err == nil {
			written[name] = text
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			m.Fatalf("on a full disk: %v, and it should be no space left", err)
		}
		if text := err.Error(); !strings.Contains(text, "no space left on device") {
			m.Errorf("it says %s", text)
		}
		return written
	}
	m.Fatal("200 MB went onto a small disk")
	return nil
}

// wantAll checks that files have in them what was written.
func (m *mounting) wantAll(written map[string][]byte) {
	m.Helper()
	for name, want := range written {
		if got, err := os.ReadFile(m.path(name)); err != nil || !bytes.Equal(got, want) {
			m.Errorf("%s has %d bytes, and %d were written: %v", name, len(got), len(want), err)
		}
	}
}

// TestMountFullDiskGrows fills the disk that the repository is on. Everything that was written is
// there; when the disk is larger, it is committed without more ado.
func TestMountFullDiskGrows(t *testing.T) {
	m := mountOnSmallDisk(t, 24)
	m.mkdir("root/mine")
	m.write("root/mine/before", "before")
	m.wantCommitted("root/mine/before", "before")
	written := m.fill("root/mine")
	t.Logf("%d MB were written", len(written))
	m.wantAll(written)
	m.wantFile("root/mine/before", "before")
	m.growDisk("disk", 200)
	m.write("root/mine/after", "after")
	m.wantCommitted("root/mine/after", "after")
	m.wantAll(written)
	m.remount()
	m.wantAll(written)
	m.wantFile("root/mine/after", "after")
	m.unmount()
	m.fsck()
}

// TestMountFullDiskMakesRoom fills the disk with something else, and takes that away again.
func TestMountFullDiskMakesRoom(t *testing.T) {
	m := mountOnSmallDisk(t, 40)
	m.write("root/forum/before", "before")
	m.wantCommitted("root/forum/before", "before")
	m.sh("head -c 50000000 /dev/zero > disk/filler || true")
	err := os.WriteFile(m.path("root/forum/large"), noise(1, 1<<20), 0o644)
	wantErrno(t, "write", err, syscall.ENOSPC)
	err = os.Mkdir(m.path("root/forum/dir"), 0o755)
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("mkdir: %v", err)
	}
	m.wantFile("root/forum/before", "before")
	os.Remove(m.path("root/forum/large")) // there is no room, perhaps, to note even that
	m.sh("rm disk/filler")
	m.write("root/forum/after", "after")
	m.wantCommitted("root/forum/after", "after")
	m.unmount()
	m.fsck()
}

// TestMountFullDiskRemoves makes room by removing files in the mount.
func TestMountFullDiskRemoves(t *testing.T) {
	m := mountOnSmallDisk(t, 40)
	m.mkdir("root/mine")
	written := m.fill("root/mine")
	for name := range written {
		if len(written) > 3 {
			if err := os.Remove(m.path(name)); err != nil {
				t.Fatalf("remove %s: %v", name, err)
			}
			delete(written, name)
		}
	}
	if !within(2*seenWithin, func() bool { return os.WriteFile(m.path("root/mine/after"), noise(999, 1<<20), 0o644) == nil }) {
		t.Errorf("most was removed, and there is no room; log:\n%s", m.log())
	}
	m.wantAll(written)
	m.growDisk("disk", 200) // for gc and what else there is
	m.remount()
	m.wantAll(written)
	m.wantAll(map[string][]byte{"root/mine/after": noise(999, 1<<20)})
	m.unmount()
	m.fsck()
}

// TestMountFullDiskKilled kills the process while the disk is full: what was acknowledged is there
// afterwards, once there is room.
func TestMountFullDiskKilled(t *testing.T) {
	m := mountOnSmallDisk(t, 24)
	m.mkdir("root/mine")
	written := m.fill("root/mine")
	m.crash()
	m.growDisk("disk", 200)
	m.start()
	m.wantAll(written)
	m.unmount()
	m.fsck()
}

// TestMountFullDiskUnmounted ends the mount while the disk is full: it says what is not committed,
// and that is there the next time.
func TestMountFullDiskUnmounted(t *testing.T) {
	m := mountOnSmallDisk(t, 24)
	m.mkdir("root/mine")
	written := m.fill("root/mine")
	if err := unix.Unmount(m.path(""), 0); err != nil {
		t.Fatal(err)
	}
	if !within(endsWithin, m.hasEnded) {
		t.Fatal("it does not end")
	}
	if code := m.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(m.log(), "is committed when the tree is mounted the next time") {
		t.Errorf("status %d: %s", code, m.log())
	}
	m.growDisk("disk", 200)
	m.start()
	m.wantAll(written)
	m.unmount()
	m.fsck()
}

// TestMountBesideUpkeep runs gc, forget and fsck while files are written, also while one is open
// that is not committed.
func TestMountBesideUpkeep(t *testing.T) {
	m := newMount(t)
	m.mkdir("root/mine")
	open, err := os.Create(m.path("root/mine/open"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	written := map[string][]byte{}
	for i := range uint64(6) {
		name := fmt.Sprintf("root/mine/f%d", i)
		written[name] = noise(i, 700_000)
		m.write(name, string(written[name]))
		if _, err := open.Write(noise(i, 100_000)); err != nil {
			t.Fatal(err)
		}
		m.write("root/mine/same", fmt.Sprint(i))
		m.run("forget", "-repo", "a", "-keep", "1")
		m.run("gc", "-repo", "a")
		m.fsck()
		m.wantAll(written)
	}
	m.wantCommitted("root/mine/same", "5")
	var all []byte
	for i := range uint64(6) {
		all = append(all, noise(i, 100_000)...)
	}
	written["root/mine/open"] = all
	open.Close()
	m.wantAll(written)
	m.remount()
	m.wantAll(written)
	m.unmount()
	m.run("gc", "-repo", "a")
	m.fsck()
}

// TestMountBesideMerge merges a friend's node, and forgets the friend again, while both have their
// trees mounted.
func TestMountBesideMerge(t *testing.T) {
	m := newMount(t)
	m.run("initialize", "-repo", "b")
	id := m.run("new-identity", "-repo", "b", "identities/me")
	b := m.mountOn("b", "mb")
	b.mkdir("root/his")
	b.write("root/his/f", "from b")
	b.write("root/forum/b", "from b")
	b.wantCommitted("root/his/f", "from b")
	b.wantCommitted("root/forum/b", "from b")
	m.run("new-node", "-repo", "b", "node", "identities/me")
	m.sh("message-read-reference -repo b identities/me | add-friend-from-message -repo a")
	m.sh("export-car -repo b node | import-car -repo a; message-read-reference -repo b node | add-node-from-message -repo a")
	m.write("root/forum/a", "from a")
	m.run("merge-all", "-repo", "a")
	if !soon(func() bool { _, err := os.Stat(m.path("root/his/f")); return err == nil }) {
		t.Errorf("after %v (1 s is the promise) the mount does not show what was merged", seenWithin)
	}
	m.wantFile("root/his/f", "from b")
	m.wantFile("root/forum/b", "from b")
	m.wantFile("root/forum/a", "from a")
	m.wantXattr("root/his/f", "owner", id)
	m.wantXattr("root/his/f", "signature", "signed")
	held, err := os.Open(m.path("root/his/f"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	m.run("forget-author", "-repo", "a", "friends/"+id)
	if !soon(func() bool { _, err := os.Stat(m.path("root/his")); return errors.Is(err, os.ErrNotExist) }) {
		t.Errorf("after %v (1 s is the promise) the mount shows an author who was forgotten", seenWithin)
	}
	m.write("root/forum/a", "from a, again")
	m.wantCommitted("root/forum/a", "from a, again")
	m.unmountBusy(held)
	b.unmount()
	m.fsck()
}

// unmountBusy closes a file and ends the mount.
func (m *mounting) unmountBusy(held *os.File) {
	m.Helper()
	wantErrno(m.T, "umount with an open file", unix.Unmount(m.path(""), 0), syscall.EBUSY)
	held.Close()
	m.unmount()
}

// forbidden are names and what making them comes to.
var forbidden = []struct {
	name string
	dir  bool
	want syscall.Errno
}{
	{"root/two\nlines", true, syscall.EINVAL},
	{"root/\x1b[31mred", true, syscall.EINVAL},
	{"root/\u202eright to left", true, syscall.EINVAL},
	{"root/not UTF-8 \xff", true, syscall.EINVAL},
	{"root/" + strings.Repeat("x", 256), true, syscall.ENAMETOOLONG},
	{"root/forum/" + strings.Repeat("x", 256), false, syscall.ENAMETOOLONG},
	{"root/" + strings.Repeat("x", 255), true, 0},
	{"root/größe", true, 0},
	{"root/with space ", true, 0},
	{"root/forum/two\nlines", false, 0},
	{"root/forum/not UTF-8 \xff", false, 0},
	{"root/forum/\x01\x7f\\\"'$*?", false, 0},
	{"root/forum/-rf", false, 0},
	{"root/forum/ ", false, 0},
	{"root/forum/...", false, 0},
	{"root/forum/" + strings.Repeat("x", 255), false, 0},
	{"root/forum/" + strings.Repeat("ö", 127), false, 0},
	{"root/forum/a~5b418abb.txt", false, 0},
}

// TestMountNames makes what has such names; what may have them is there after a remount as well.
func TestMountNames(t *testing.T) {
	m := newMount(t)
	for _, c := range forbidden {
		err := m.make(c.name, c.dir)
		if c.want == 0 && err != nil || c.want != 0 && !errors.Is(err, c.want) {
			t.Errorf("%.60q: %v, and it should be %v", c.name, err, c.want)
		}
		if c.want != 0 {
			os.Mkdir(m.path("root/other"), 0o755)
			wantErrno(t, fmt.Sprintf("rename to %.60q", c.name), os.Rename(m.path("root/other"), m.path(c.name)), c.want)
		}
	}
	m.remount()
	for _, c := range forbidden {
		_, err := os.Lstat(m.path(c.name))
		if c.want == 0 && err != nil || c.want != 0 && err == nil {
			t.Errorf("after a remount %.60q: %v", c.name, err)
		}
	}
	m.unmount()
	m.fsck()
}

func (m *mounting) make(name string, dir bool) error {
	if dir {
		return os.Mkdir(m.path(name), 0o755)
	}
	return os.WriteFile(m.path(name), []byte(name), 0o644)
}

// TestMountDeep makes folders in folders until no path is as long.
func TestMountDeep(t *testing.T) {
	m := newMount(t)
	name, made := "root/forum", 0
	for ; made < 300; made++ {
		name += "/d"
		if err := os.Mkdir(m.path(name), 0o755); err != nil {
			wantErrno(t, "too deep", err, syscall.ENAMETOOLONG)
			break
		}
	}
	if made < 250 || made > 254 {
		t.Errorf("%d folders can be made in each other", made)
	}
	m.write("root/forum/d/f", "deep")
	m.remount()
	m.wantFile("root/forum/d/f", "deep")
	if err := os.RemoveAll(m.path("root/forum/d")); err != nil {
		t.Error(err)
	}
	m.unmount()
	if got := m.run("list", "-repo", "a", "root/forum"); got != "" {
		t.Errorf("in the forum is %s", got)
	}
}

// as runs a script as another user of the machine.
func (m *mounting) as(uid uint32, script string) (string, error) {
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = m.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestMountOthers looks at a mount as another user of the machine, who sees it only with the option,
// and may never write.
func TestMountOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	const nobody = 65534
	m := newMount(t)
	for dir := m.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	m.write("root/forum/f", "text")
	if out, err := m.as(nobody, "/bin/cat m/root/forum/f"); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("somebody else: %s, %v", out, err)
	}
	m.remount("-allow-other")
	if out, err := m.as(nobody, "/bin/cat m/root/forum/f"); err != nil || out != "text" {
		t.Errorf("somebody else who may: %s, %v", out, err)
	}
	for _, script := range []string{"echo x > m/root/forum/f", "echo x > m/root/forum/g", "mkdir m/root/x", "rm -f m/root/forum/f", "chmod 777 m/root/forum/f"} {
		if out, err := m.as(nobody, script); err == nil || !strings.Contains(out, "ermi") {
			t.Errorf("%s: %s, %v", script, out, err)
		}
	}
	m.wantFile("root/forum/f", "text")
	m.unmount()
}
