//go:build linux

package mount

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// detach takes a mount away, also one that is in use: by the system call, or for users by the
// program that may do it for them.
func detach(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if errors.Is(err, syscall.EPERM) {
		err = byHelper(dir)
	}
	if err != nil {
		return fmt.Errorf("take away the stale mount at %s: %w", dir, err)
	}
	return nil
}

func byHelper(dir string) error {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if bin, err := exec.LookPath(name); err == nil {
			return exec.Command(bin, "-u", "-z", dir).Run()
		}
	}
	return errors.New("only root may, or fusermount3, which is not here")
}
