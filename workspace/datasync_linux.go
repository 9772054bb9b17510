package workspace

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes the content of a file durable, and what it takes to find that. A file that was
// closed is an fs.ErrClosed.
func datasync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) {
		for {
			if done = unix.Fdatasync(int(fd)); !errors.Is(done, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, done)
}
