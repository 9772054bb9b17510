//go:build !linux

package workspace

import "os"

// datasync makes the content of a file durable, and what it takes to find that. A file that was
// closed is an fs.ErrClosed.
func datasync(f *os.File) error { return f.Sync() }
