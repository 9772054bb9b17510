package kubotest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// dieWithParent has a daemon killed when the test process dies without a cleanup.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// SmallDisk mounts a file system in memory of that size, such as "20m", and returns its folder. Where that is
// not allowed, the test is skipped.
func SmallDisk(tb testing.TB, size string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "kubotest-disk")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.Remove(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		tb.Skipf("mount a small disk: %v", err)
	}
	tb.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			tb.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}
