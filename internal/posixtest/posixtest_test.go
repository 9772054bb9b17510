//go:build linux

package posixtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"archivecache/internal/loopback"

	"github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"
)

// serverEnv says what a process of this test serves: folder, mount point, how, and with which fault.
const serverEnv = "POSIXTEST_SERVE"

func TestMain(m *testing.M) {
	if what := os.Getenv(serverEnv); what != "" {
		if err := serve(strings.Split(what, "|")); err != nil {
			fmt.Fprintln(os.Stderr, "serve:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(what []string) error {
	folder, mountpoint, how, fault := what[0], what[1], what[2], what[3]
	opt := loopback.Options{Passthrough: how == "passthrough"}
	if fault != "" {
		opt.Wrap = func(n *fs.LoopbackNode) fs.InodeEmbedder { return &faulty{n, fault, how == "direct"} }
	}
	return loopback.Serve(folder, mountpoint, opt, func() { fmt.Println("ready") })
}

// A server serves a folder by another process.
type server struct {
	t                  *testing.T
	folder, mountpoint string
	how, fault         string
	cmd                *exec.Cmd
}

// newServer serves a new folder until the test ends.
func newServer(t *testing.T, how, fault string) *server {
	t.Helper()
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there is no FUSE here: %v", err)
	}
	device.Close()
	s := &server{t: t, folder: t.TempDir(), mountpoint: t.TempDir(), how: how, fault: fault}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// mount returns the mount point of a new server.
func mount(t *testing.T, how, fault string) string {
	t.Helper()
	return newServer(t, how, fault).mountpoint
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), serverEnv+"="+strings.Join([]string{s.folder, s.mountpoint, s.how, s.fault}, "|"))
	s.cmd.Stderr, s.cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		s.t.Fatalf("the server says %q, %v", line, err)
	}
}

func (s *server) stop() {
	if err := unix.Unmount(s.mountpoint, 0); err != nil {
		s.t.Errorf("unmount: %v", err)
		unix.Unmount(s.mountpoint, unix.MNT_DETACH)
	}
	s.cmd.Wait() // it ends with its mount, and what it does then is no part of the test
}

// remount is for [ModelOptions].
func (s *server) remount() {
	s.stop()
	s.start()
}

func TestNative(t *testing.T) { Test(t, t.TempDir(), Options{}) }

// A loopback knows its files by their paths.
var loopbackFails = map[string]string{
	"rename/name_is_always_there": "an inode that has lost its name is asked for by that name",
	"unlink/open_file_changes":    "so is one whose mode is changed by a descriptor, since FUSE does not say by which",
	"mkdir/deeper_than_a_path":    "the path is too long for the folder below",
}

func TestLoopback(t *testing.T) {
	t.Run("served", func(t *testing.T) { Test(t, mount(t, "served", ""), Options{Skip: loopbackFails}) })
	t.Run("passthrough", func(t *testing.T) { Test(t, mount(t, "passthrough", ""), Options{Skip: loopbackFails}) })
}

// TestFaults has each fault of a file system found by the checks that are there for it.
func TestFaults(t *testing.T) {
	for fault, names := range faults {
		t.Run(fault, func(t *testing.T) {
			how := "served"
			if strings.HasSuffix(fault, "border") {
				how = "direct" // the kernel would read from its cache
			}
			dir := mount(t, how, fault)
			for _, name := range names {
				c := find(t, name)
				if err := c.run(dir); err == nil {
					t.Errorf("%s passes", name)
				} else {
					t.Logf("%s: %v", name, err)
				}
			}
		})
	}
}

func find(t *testing.T, name string) check {
	t.Helper()
	for _, c := range checks() {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s", name)
	return check{}
}

func TestVerdict(t *testing.T) {
	bad := errors.New("bad")
	tests := []struct {
		why     string
		err     error
		skipped bool
		fails   bool
	}{
		{"it passes", nil, false, false},
		{"it fails", bad, false, true},
		{"it fails as expected", bad, true, false},
		{"it passes against expectation", nil, true, true},
	}
	for _, test := range tests {
		if _, err := verdict(test.err, test.skipped, "reason"); (err != nil) != test.fails {
			t.Errorf("%s: %v", test.why, err)
		}
	}
}

func TestChecks(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range checks() {
		if seen[c.name] {
			t.Errorf("%s is there twice", c.name)
		}
		seen[c.name] = true
	}
	if len(seen) < 300 {
		t.Errorf("only %d checks", len(seen))
	}
}
