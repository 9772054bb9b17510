//go:build !linux

package kubotest

import (
	"os/exec"
	"testing"
)

func dieWithParent(*exec.Cmd) {}

// SmallDisk skips the test: small disks are made on Linux only.
func SmallDisk(tb testing.TB, size string) string {
	tb.Helper()
	tb.Skip("small disks are made on Linux only")
	return ""
}
