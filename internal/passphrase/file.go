package passphrase

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrFile is a file that others can read, or that is none.
var ErrFile = errors.New("not a file that only its owner can read")

// ReadFile returns the first line of a file that nobody but its owner may read. The errors are
// [ErrFile], [ErrEmpty], [ErrTooLong], and those of the system.
func ReadFile(name string) ([]byte, error) {
	// O_NONBLOCK so that a named pipe does not make it wait.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w: run chmod 600 %q", name, ErrFile, name)
	}
	line, err := readLine(f)
	if err == nil {
		err = check(line)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return line, nil
}

func check(answer []byte) error {
	switch {
	case len(answer) == 0:
		return ErrEmpty
	case len(answer) > MaxLength:
		return ErrTooLong
	}
	return nil
}
