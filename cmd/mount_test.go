package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

const (
	// seenWithin is how long the tests wait for what the mount promises within a second: machines
	// may be slow.
	seenWithin = 5 * time.Second
	// endsWithin is how long a process may take to commit what is left.
	endsWithin = 20 * time.Second
)

// hasFUSE reports whether something can be mounted here.
func hasFUSE() bool {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	return os.Geteuid() == 0 || has("fusermount3") || has("fusermount")
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// needs skips a test for which a program is missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if !has(name) {
			t.Skipf("no %s here", name)
		}
	}
}

// endMounts takes away everything that is mounted below a folder, and waits until nobody is behind
// it any more.
func endMounts(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if m.Mountpoint != dir {
			err = errors.Join(err, unix.Unmount(m.Mountpoint, unix.MNT_DETACH))
		}
	}
	for _, pid := range mountProcesses(dir) {
		if !soon(func() bool { return !runs(pid) }) {
			err = errors.Join(err, fmt.Errorf("process %d goes on without a mount", pid), syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	return err
}

// mountProcesses returns the processes behind mounts that were started in a folder, or below it.
func mountProcesses(dir string) []int {
	var found []int
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range all {
		exe, err := os.Readlink(proc + "/exe")
		if err != nil || filepath.Base(exe) != "mount" || filepath.Dir(exe) != filepath.Clean(bin) {
			continue
		}
		cwd, err := os.Readlink(proc + "/cwd")
		pid, _ := strconv.Atoi(filepath.Base(proc))
		if err == nil && (cwd == dir || strings.HasPrefix(cwd, dir+"/")) {
			found = append(found, pid)
		}
	}
	return found
}

// runs reports whether a process lives, and is no zombie.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(after, "Z")
}

// soon waits until something is so.
func soon(is func() bool) bool { return within(seenWithin, is) }

func within(most time.Duration, is func() bool) bool {
	for start := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > most {
			return is()
		}
	}
	return true
}

// inTime is sh for what a mount, or who looks at what it has committed, sees within a second: it
// is tried again until it succeeds.
func inTime(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: soon 'SCRIPT'")
	}
	var out []byte
	is := func() (ok bool) {
		cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", args[0])
		cmd.Dir, cmd.Env = ts.MkAbs("."), scriptEnvironment(ts)
		var err error
		out, err = cmd.CombinedOutput()
		return err == nil
	}
	if !soon(is) {
		ts.Fatalf("%s\nis not so after %v; 1 s is the promise\n%s", args[0], seenWithin, out)
	}
}

// scriptEnvironment is environment with the variables that say who is who.
func scriptEnvironment(ts *testscript.TestScript) []string {
	env := environment(ts)
	for _, name := range []string{"alice", "bob", "carol", "VERSION", "ROOT"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// gone waits until no process is behind a mount of the story.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	if !within(endsWithin, func() bool { return len(mountProcesses(ts.MkAbs("."))) == 0 }) {
		ts.Fatalf("nothing is mounted, and it goes on after %v", endsWithin)
	}
}

// A mounting is a mount with a process of its own.
type mounting struct {
	*home
	repo, at string // folders in that of home
	logName  string
	cmd      *exec.Cmd
	ended    chan struct{}
}

// newMount makes a repository with an identity and mounts it on the folder m.
func newMount(t *testing.T, args ...string) *mounting {
	t.Helper()
	if !hasFUSE() {
		t.Skip("no FUSE here")
	}
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	return h.mountOn("a", "m", args...)
}

// mountOn mounts a repository on a folder, which is made. PATH and options may be given.
func (h *home) mountOn(repo, at string, args ...string) *mounting {
	h.Helper()
	m := &mounting{home: h, repo: repo, at: at, logName: at + ".log"}
	h.Cleanup(func() {
		if err := endMounts(h.dir); err != nil {
			h.Error(err)
		}
	})
	os.Mkdir(m.path(""), 0o755) // it may be there
	m.start(args...)
	return m
}

// start starts the process and waits until it has mounted.
func (m *mounting) start(args ...string) {
	m.Helper()
	m.cmd = exec.Command(filepath.Join(bin, "mount"), append(append([]string{"-repo", m.repo}, args...), m.at)...)
	m.cmd.Dir, m.ended = m.dir, make(chan struct{})
	log, err := os.Create(m.logFile())
	if err != nil {
		m.Fatal(err)
	}
	defer log.Close()
	m.cmd.Stderr = log
	if err := m.cmd.Start(); err != nil {
		m.Fatal(err)
	}
	cmd, ended := m.cmd, m.ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
	m.Cleanup(func() { cmd.Process.Kill() })
	if !within(endsWithin, func() bool { return strings.Contains(m.log(), "mounted on") || m.hasEnded() }) || m.hasEnded() {
		m.Fatalf("mount: %s", m.log())
	}
}

func (m *mounting) logFile() string { return filepath.Join(m.dir, m.logName) }

// log returns what the process has said.
func (m *mounting) log() string {
	text, err := os.ReadFile(m.logFile())
	if err != nil {
		m.Fatal(err)
	}
	return string(text)
}

func (m *mounting) hasEnded() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// path returns where something in the mount is on the machine.
func (m *mounting) path(name string) string { return filepath.Join(m.dir, m.at, name) }

// unmount ends the mount and waits until all is committed.
func (m *mounting) unmount() {
	m.Helper()
	if err := unix.Unmount(m.path(""), 0); err != nil {
		m.Fatalf("umount: %v", err)
	}
	m.wait()
}

// wait waits until the process has ended, and wants that it has done all.
func (m *mounting) wait() {
	m.Helper()
	if !within(endsWithin, m.hasEnded) {
		m.Fatalf("it goes on without a mount\n%s", m.log())
	}
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		m.Errorf("mount ended with status %d\n%s", code, m.log())
	}
}

// remount ends the mount and mounts again.
func (m *mounting) remount(args ...string) {
	m.Helper()
	m.unmount()
	m.start(args...)
}

// crash kills the process, which leaves a stale mount.
func (m *mounting) crash() {
	m.Helper()
	m.cmd.Process.Kill()
	<-m.ended
}

// write writes a file of the mount.
func (m *mounting) write(name, text string) {
	m.Helper()
	if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
		m.Fatal(err)
	}
}

// mkdir makes a folder in the mount, with those above it.
func (m *mounting) mkdir(name string) {
	m.Helper()
	if err := os.MkdirAll(m.path(name), 0o755); err != nil {
		m.Fatal(err)
	}
}

// wantFile checks what a file of the mount has in it.
func (m *mounting) wantFile(name, want string) {
	m.Helper()
	got, err := os.ReadFile(m.path(name))
	if err != nil || string(got) != want {
		m.Errorf("%s has %.100q, %v; it should have %.100q", name, got, err, want)
	}
}

// wantErrno checks that something failed with an error number.
func wantErrno(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, and it should be %v", what, err, want)
	}
}

// wantCommitted checks that a command sees, within a second, what a file of the mount has in it.
func (m *mounting) wantCommitted(path, want string) {
	m.Helper()
	var out []byte
	var said *bytes.Buffer
	is := func() bool {
		var cmd *exec.Cmd
		cmd, said = m.command("cat", "-repo", m.repo, path)
		out, _ = cmd.Output()
		return string(out) == want
	}
	if !soon(is) {
		m.Errorf("after %v (1 s is the promise) cat %s says %.100q, and it should be %.100q\n%s", seenWithin, path, out, want, said)
	}
}

// xattr returns an extended attribute of a file in the mount; "" if there is none.
func (m *mounting) xattr(name, attribute string) string {
	m.Helper()
	buf := make([]byte, 4096)
	n, err := unix.Lgetxattr(m.path(name), "user.archivecache."+attribute, buf)
	if err != nil {
		if !errors.Is(err, unix.ENODATA) {
			m.Errorf("%s of %s: %v", attribute, name, err)
		}
		return ""
	}
	return string(buf[:n])
}

// wantXattr waits for an extended attribute.
func (m *mounting) wantXattr(name, attribute, want string) {
	m.Helper()
	if !soon(func() bool { return m.xattr(name, attribute) == want }) {
		m.Errorf("%s of %s is %q, and it should be %q", attribute, name, m.xattr(name, attribute), want)
	}
}

// fsck checks the repository, which has to be as it should.
func (m *mounting) fsck() {
	m.Helper()
	m.run("fsck", "-repo", m.repo)
}
