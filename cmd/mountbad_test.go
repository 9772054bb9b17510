package cmd_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// refusals are mounts that cannot be, each with its status and the words that say why.
var refusals = []struct {
	name   string
	args   []string
	status int
	says   []string
}{
	{"no mountpoint", []string{"-repo", "a", "nowhere"}, 1, []string{"nowhere", "it does not exist", "hint: make an empty folder"}},
	{"a file", []string{"-repo", "a", "file"}, 1, []string{"file", "it is a file", "hint: make an empty folder"}},
	{"a file in the way", []string{"-repo", "a", "file/m"}, 1, []string{"file/m", "hint: make an empty folder"}},
	{"in use", []string{"-repo", "a", "m"}, 1, []string{"m: something is mounted there already", "hint: umount"}},
	{"in use by others", []string{"-repo", "a", "/proc"}, 1, []string{"/proc: something is mounted there already", "hint: umount"}},
	{"no repository", []string{"-repo", "nowhere", "other"}, 1, []string{"nowhere: no repository here", "hint: initialize"}},
	{"no such version", []string{"-repo", "a", "-at", "99", "other"}, 1, []string{"the log has no such entry", "hint: log prints"}},
	{"version 0", []string{"-repo", "a", "-at", "0", "other"}, 2, []string{`-at "0"`}},
	{"no number", []string{"-repo", "a", "-at", "yesterday", "other"}, 2, []string{`-at "yesterday"`}},
	{"a negative version", []string{"-repo", "a", "-at", "-1", "other"}, 2, []string{`-at "-1"`}},
	{"a huge version", []string{"-repo", "a", "-at", "9223372036854775807", "other"}, 1, []string{"no such entry"}},
	{"no such path", []string{"-repo", "a", "root/nowhere", "other"}, 1, []string{"root/nowhere: no such file"}},
	{"a file at the path", []string{"-repo", "a", "root/forum/f", "other"}, 1, []string{"root/forum/f: not a directory"}},
	{"below a file", []string{"-repo", "a", "root/forum/f/g", "other"}, 1, []string{"root/forum/f/g: not a directory"}},
	{"a bad path", []string{"-repo", "a", "../x", "other"}, 1, []string{"../x"}},
	{"no such identity", []string{"-repo", "a", "-identity", "identities/you", "other"}, 1, []string{"identities/you"}},
	{"nothing named", []string{"-repo", "a"}, 2, []string{"name a MOUNTPOINT", "usage: mount"}},
	{"too much named", []string{"-repo", "a", "root", "other", "x"}, 2, []string{"usage: mount"}},
	{"list and more", []string{"-list", "other"}, 2, []string{"usage: mount"}},
	{"unknown option", []string{"-forground", "other"}, 2, []string{"forground", "usage: mount"}},
}

// TestMountRefused mounts what cannot be mounted, in the foreground and in the background: both say
// the same, and nothing is mounted or goes on.
func TestMountRefused(t *testing.T) {
	m := newMount(t)
	m.write("root/forum/f", "file")
	m.wantCommitted("root/forum/f", "file")
	m.put("file", "")
	m.put("other/.keep", "")
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			h := &home{T: t, dir: m.dir}
			said, status := h.failsInTime("mount", c.args...)
			if status != c.status {
				t.Errorf("status %d, and it should be %d", status, c.status)
			}
			for _, words := range c.says {
				if !strings.Contains(said, words) {
					t.Errorf("it does not say %q:\n%s", words, said)
				}
			}
			again, statusAgain := h.failsInTime("mount", append([]string{"-background"}, c.args...)...)
			if again != said || statusAgain != status {
				t.Errorf("in the background: status %d, %s", statusAgain, again)
			}
		})
	}
	if pids := mountProcesses(m.dir); len(pids) != 1 {
		t.Errorf("processes go on: %v", pids)
	}
	if left, err := os.ReadDir(filepath.Join(m.dir, "a/workspaces")); err != nil || len(left) != 1 {
		t.Errorf("in the folder workspaces of the repository: %v, %v", left, err)
	}
}

// failsInTime is fails for what could go on for ever.
func (h *home) failsInTime(name string, args ...string) (said string, status int) {
	h.Helper()
	cmd, out := h.command(name, args...)
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	late := time.AfterFunc(endsWithin, func() { cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err == nil {
		h.Errorf("%s %q succeeds", name, args)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// TestMountStale kills the process behind a mount: the list says so, what was written is there, and
// mounting again at once works and says what it did.
func TestMountStale(t *testing.T) {
	m := newMount(t)
	m.mkdir("root/mine/sub")
	m.write("root/mine/sub/kept", "kept")
	m.write("root/forum/kept", "kept too")
	m.crash()
	if _, err := os.ReadDir(m.path("")); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("a stale mount: %v", err)
	}
	if line := m.listed(); !strings.Contains(line, m.path("")+"  ") || !strings.Contains(line, "stale") {
		t.Errorf("the list says %q", line)
	}
	if line := m.listed("-json"); !strings.Contains(line, `"stale":true`) {
		t.Errorf("the list says %q", line)
	}
	m.start()
	for _, words := range []string{"took away a mount whose process has died", "committed what was written to a mount that ended early"} {
		if !strings.Contains(m.log(), words) {
			t.Errorf("it does not say %q:\n%s", words, m.log())
		}
	}
	m.wantFile("root/mine/sub/kept", "kept")
	m.wantFile("root/forum/kept", "kept too")
	m.wantCommitted("root/mine/sub/kept", "kept")
	m.unmount()
	m.fsck()
}

// listed returns what mount -list says of the mounts in the folder of the test; others may have
// mounts on this machine.
func (m *mounting) listed(args ...string) string {
	m.Helper()
	found := ""
	for line := range strings.Lines(m.run("mount", append([]string{"-list"}, args...)...)) {
		if strings.Contains(line, m.dir+"/") {
			found += line
		}
	}
	return found
}

// TestMountStaleElsewhere mounts elsewhere after a kill; umount takes the stale one away.
func TestMountStaleElsewhere(t *testing.T) {
	m := newMount(t)
	m.write("root/forum/kept", "kept")
	m.crash()
	other := m.mountOn("a", "other")
	other.wantFile("root/forum/kept", "kept")
	if err := unix.Unmount(m.path(""), 0); err != nil {
		t.Errorf("umount of a stale mount: %v", err)
	}
	other.unmount()
}

// TestMountSignals ends mounts by signals, also while somebody stands in them.
func TestMountSignals(t *testing.T) {
	for name, c := range map[string]struct {
		signal syscall.Signal
		busy   bool
	}{
		"terminate":       {syscall.SIGTERM, false},
		"interrupt":       {syscall.SIGINT, false},
		"hang up":         {syscall.SIGHUP, false}, // its terminal was closed
		"terminate, busy": {syscall.SIGTERM, true},
		"interrupt, busy": {syscall.SIGINT, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("root/forum/f", "kept")
			if c.busy {
				m.standIn("root/forum")
			}
			m.cmd.Process.Signal(c.signal)
			m.wait()
			if line := m.listed(); line != "" {
				t.Errorf("it is mounted yet: %s", line)
			}
			if said := strings.Contains(m.log(), "taken away all the same"); said != c.busy {
				t.Errorf("it says %s", m.log())
			}
			m.wantCommitted("root/forum/f", "kept")
			m.start() // at once
			m.wantFile("root/forum/f", "kept")
			m.unmount()
		})
	}
}

// standIn has a shell work in a folder of the mount, with a file open, until the test ends.
func (m *mounting) standIn(name string) {
	m.Helper()
	cmd := exec.Command("/bin/sh", "-c", "exec 3> open.txt; echo something >&3; echo here; read x")
	cmd.Dir = m.path(name)
	in, err := cmd.StdinPipe()
	if err != nil {
		m.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		m.Fatal(err)
	}
}

// TestMountWithoutIdentity reads, and may write nothing, until there is an identity.
func TestMountWithoutIdentity(t *testing.T) {
	if !hasFUSE() {
		t.Skip("no FUSE here")
	}
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("set-value", "-repo", "a", "scratch/n", "1")
	m := h.mountOn("a", "m")
	m.wantFile("scratch/n", "1\n")
	wantErrno(t, "mkdir", os.Mkdir(m.path("root/mine"), 0o755), syscall.EACCES)
	wantErrno(t, "write", os.WriteFile(m.path("root/forum/f"), nil, 0o644), syscall.EACCES)
	h.run("new-identity", "-repo", "a", "identities/me")
	if !soon(func() bool { return os.Mkdir(m.path("root/mine"), 0o755) == nil }) {
		t.Errorf("with an identity nothing can be made after %v; 1 s is the promise", seenWithin)
	}
	m.write("root/mine/f", "mine")
	m.wantCommitted("root/mine/f", "mine")
	m.unmount()
}

// TestMountOverFiles mounts on a folder that is not empty: what is in it is there again afterwards.
func TestMountOverFiles(t *testing.T) {
	m := newMount(t)
	m.unmount()
	m.put("m/there", "before")
	m.start()
	if _, err := os.Stat(m.path("there")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is below the mount: %v", err)
	}
	m.unmount()
	m.wantFile("there", "before")
}

// TestMountBackground checks what the process in the background leaves to who started it.
func TestMountBackground(t *testing.T) {
	m := newMount(t)
	m.unmount()
	cmd := exec.Command(filepath.Join(bin, "mount"), "-background", "-repo", "a", "m")
	cmd.Dir = m.dir
	out, err := cmd.CombinedOutput() // it ends when nobody has the pipe any more
	if err != nil || !strings.Contains(string(out), "mounted on m") {
		t.Fatalf("%s, %v", out, err)
	}
	pids := mountProcesses(m.dir)
	if len(pids) != 1 {
		t.Fatalf("processes %v", pids)
	}
	m.write("root/forum/f", "text")
	m.wantCommitted("root/forum/f", "text")
	syscall.Kill(pids[0], syscall.SIGTERM)
	if !within(endsWithin, func() bool { return !runs(pids[0]) }) {
		t.Error("it goes on after SIGTERM")
	}
	if _, err := os.Stat(m.path("root")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is mounted yet: %v", err)
	}
}

// TestMountStaleBehindSymlink mounts again where a mount is stale, by a name that goes through a
// symlink.
func TestMountStaleBehindSymlink(t *testing.T) {
	for name, at := range map[string]string{"to the mountpoint": "link", "above it": "above/m"} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("root/forum/f", "kept")
			m.sh("ln -s m link; ln -s . above")
			m.crash()
			os.ReadDir(m.path("")) // so that nothing is in a cache
			m.at = at
			m.logName = "again.log"
			m.start()
			m.wantFile("root/forum/f", "kept")
			if lines := m.listed(); strings.Contains(lines, "stale") {
				t.Errorf("the stale mount is there yet: %s", lines)
			}
			m.at = "m"
			m.unmount()
		})
	}
}

// TestMountBackgroundWithoutLog cannot write its log. Whether it goes on without one or says why not,
// no mount without a process is left.
func TestMountBackgroundWithoutLog(t *testing.T) {
	m := newMount(t)
	m.unmount()
	m.sh("rm -f a/mount.log; mkdir a/mount.log")
	cmd, said := m.command("mount", "-background", "-repo", "a", "m")
	err := cmd.Run()
	mounted, running := m.listed(), len(mountProcesses(m.dir))
	if isMounted := mounted != ""; isMounted != (err == nil) || (err == nil) != (running == 1) || isMounted && running == 0 {
		t.Errorf("%v, %d processes, %s\n%s", err, running, said, mounted)
	}
}
