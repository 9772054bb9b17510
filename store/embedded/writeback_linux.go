package embedded

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteBack asks for a part of the file to be written to the disk from now on. It is only a
// hint: the sync later counts.
func startWriteBack(f *os.File, offset, length int64) {
	unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}
