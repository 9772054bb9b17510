//go:build linux

package mount_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"archivecache/internal/repotest"
	"archivecache/mount"
	"archivecache/repo"
	"archivecache/workspace"
)

// The tests run this program once more as the process behind a mount: one that used its own mount
// could wait for itself.
const (
	serveVariable = "ARCHIVECACHE_TEST_MOUNT" // mountpoint
	repoVariable  = "ARCHIVECACHE_TEST_REPO"
)

func TestMain(m *testing.M) {
	if at := os.Getenv(serveVariable); at != "" {
		if err := serve(os.Getenv(repoVariable), at); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve mounts a repository until that ends.
func serve(dir, at string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	r, err := repo.Open(dir)
	if err != nil {
		return err
	}
	defer r.Close()
	w := new(mount.Watcher)
	ws, err := workspace.Open(ctx, r, workspace.Options{
		Command: "mount", Watch: w.Tell, Timeout: 5 * time.Second,
		Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, "mount: "+format+"\n", args...) },
	})
	if err != nil {
		return err
	}
	m, err := mount.New(at, ws.Top(), w, mount.Options{})
	if err != nil {
		return errors.Join(err, ws.Close(ctx))
	}
	fmt.Println("mounted")
	m.Wait()
	return ws.Close(context.Background())
}

// A served is a mount in a process of its own.
type served struct {
	t   *testing.T
	cmd *exec.Cmd
	at  string
}

// start mounts the repository at dir.
func start(t *testing.T, dir, at string) *served {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse here")
	}
	if _, err := mount.Clear(at); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"="+at, repoVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, cmd: cmd, at: at}
	t.Cleanup(s.kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "mounted" {
		t.Fatalf("mount: %q, %v", line, err)
	}
	go io.Copy(io.Discard, out)
	return s
}

// kill kills the process and takes the mount away.
func (s *served) kill() {
	if s.cmd.Process != nil && s.cmd.ProcessState == nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	}
	syscall.Unmount(s.at, syscall.MNT_DETACH)
}

// stop unmounts and waits until all is committed.
func (s *served) stop() {
	s.t.Helper()
	if err := syscall.Unmount(s.at, 0); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatal(err)
	}
}

// mounted mounts a new repository and returns an empty directory in it, owned or shared.
func mounted(t *testing.T, in string) (s *served, repoDir, dir string) {
	t.Helper()
	repoDir = repotest.New(t)
	s = start(t, repoDir, t.TempDir())
	dir = filepath.Join(s.at, "root", in)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return s, repoDir, dir
}
