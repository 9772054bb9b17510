//go:build linux

// Package posixtest checks that a folder behaves as POSIX.1 says of files and directories, whatever
// file system it stands on. [Test] is a suite of small checks, one for each sentence that programs
// rely on, and [Model] does random operations and compares all that is seen with a model in memory.
//
// The checks run as root or not; none needs rights that an owner does not have, and none looks at
// access times, owners other than the caller, or special files. The process must not do anything
// else with its umask meanwhile. Where the file system is a FUSE one, its server is better another
// process: a page of a mapped file that has to be fetched stops the thread that wants it without
// the scheduler of Go knowing, and if the garbage collector then waits for that thread, the server
// waits for the collector. Pages are fetched in advance by madvise here, which makes that rare, but
// not impossible.
package posixtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Options says what is known of a file system.
type Options struct {
	// Skip has the names of checks that fail on this file system, each with the reason. They are
	// run all the same: one that passes is an error, so that the list stays true.
	Skip map[string]string
}

// A check is one promise of the standard.
type check struct {
	name string
	// fn does what the promise is about, in an empty folder, and fails by methods of place.
	fn func(p *place)
}

// checks are all of them.
func checks() []check {
	return slices.Concat(openChecks, readChecks, writeChecks, lseekChecks, renameChecks, linkChecks, unlinkChecks,
		truncateChecks, chmodChecks, utimensChecks, mkdirChecks, rmdirChecks, symlinkChecks, readdirChecks, fsyncChecks,
		mmapChecks, holeChecks, statChecks, statvfsChecks, nameChecks, lockChecks)
}

// Test runs all checks below dir, an existing folder in which nothing else happens.
func Test(t *testing.T, dir string, opt Options) {
	all := checks()
	for name := range opt.Skip {
		if !slices.ContainsFunc(all, func(c check) bool { return c.name == name }) {
			t.Errorf("there is no check %q to skip", name)
		}
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			reason, skipped := opt.Skip[c.name]
			note, err := verdict(c.run(dir), skipped, reason)
			if err != nil {
				t.Error(err)
			}
			if note != "" {
				t.Log(note)
			}
		})
	}
}

// verdict says what it means that a check has ended with err.
func verdict(err error, skipped bool, reason string) (note string, _ error) {
	switch {
	case !skipped:
		return "", err
	case err == nil:
		return "", fmt.Errorf("it passes, but should not: %s", reason)
	}
	return fmt.Sprintf("it fails, as expected: %v (%s)", err, reason), nil
}

// run runs a check in a folder of its own, which it removes.
func (c check) run(parent string) error {
	dir := filepath.Join(parent, strings.ReplaceAll(c.name, "/", "-"))
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	p := &place{dir: dir}
	err := p.do(c.fn)
	p.close()
	if removed := os.RemoveAll(dir); err == nil && removed != nil {
		err = fmt.Errorf("afterwards: %w", removed)
	}
	return err
}
