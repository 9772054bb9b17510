package workspace

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// eachData calls fn for every part of a file that is no hole, as far as the file system tells.
func eachData(f *os.File, size int64, fn func(from, to int64)) error {
	for at := int64(0); at < size; {
		from, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return err
		}
		if at, err = f.Seek(from, unix.SEEK_HOLE); err != nil {
			return err
		}
		fn(from, min(at, size))
	}
	return nil
}
