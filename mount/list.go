//go:build linux

package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// An Info is a mount on this machine.
type Info struct {
	Mountpoint string `json:"mountpoint"`
	Repository string `json:"repository"`
	Stale      bool   `json:"stale,omitempty"` // the process behind it has died
}

// List returns the mounts of this kind, in the order in which they were made.
func List() ([]Info, error) {
	mounts, err := mountinfo.GetMounts(ours)
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	infos := make([]Info, len(mounts))
	for i, m := range mounts {
		infos[i] = Info{Mountpoint: m.Mountpoint, Repository: m.Source, Stale: isStale(m.Mountpoint)}
	}
	return infos, nil
}

func ours(m *mountinfo.Info) (skip, stop bool) { return m.FSType != "fuse."+fsType, false }

// isStale reports whether nobody answers for a mount any more. Attributes would not tell: the kernel
// may have kept them.
func isStale(dir string) bool {
	var st unix.Statfs_t
	return errors.Is(unix.Statfs(dir, &st), syscall.ENOTCONN)
}

// Clear takes away what is mounted at dir if the process behind it has died; it reports whether it
// did.
func Clear(dir string) (bool, error) {
	if !isStale(dir) {
		return false, nil
	}
	real, err := realPath(dir)
	if err != nil {
		return false, err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(real))
	if err != nil {
		return false, fmt.Errorf("list mounts: %w", err)
	}
	if len(mounts) == 0 {
		return false, nil
	}
	if skip, _ := ours(mounts[len(mounts)-1]); skip {
		return false, fmt.Errorf("%s: %w: of type %s, and nobody answers for it", dir, ErrInUse, mounts[len(mounts)-1].FSType)
	}
	return true, detach(real)
}

// realPath returns the path of a mountpoint without symlinks. What is mounted there is not looked at,
// as it does not answer.
func realPath(dir string) (string, error) {
	for range 40 {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		above, err := filepath.EvalSymlinks(filepath.Dir(abs))
		if err != nil {
			return "", err
		}
		dir = filepath.Join(above, filepath.Base(abs))
		target, err := os.Readlink(dir)
		if err != nil {
			return dir, nil // no symlink
		}
		if dir = target; !filepath.IsAbs(target) {
			dir = filepath.Join(above, target)
		}
	}
	return "", fmt.Errorf("%s: %w", dir, syscall.ELOOP)
}

// checkMountpoint returns an error if nothing can be mounted on dir.
func checkMountpoint(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%q: %w: it does not exist", dir, ErrMountpoint)
	case err != nil:
		return fmt.Errorf("%s: %w: %w", dir, ErrMountpoint, err)
	case !info.IsDir():
		return fmt.Errorf("%s: %w: it is a file", dir, ErrMountpoint)
	}
	mounted, err := mountinfo.Mounted(dir)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", dir, ErrMountpoint, err)
	}
	if mounted {
		return fmt.Errorf("%s: %w", dir, ErrInUse)
	}
	return nil
}

// checkOutside returns an error if a mount at dir would hide the repository, whose files its process
// needs: each request would wait for itself.
func checkOutside(dir, repository string) error {
	at, err := realPath(dir)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", dir, ErrMountpoint, err)
	}
	repository, err = filepath.EvalSymlinks(repository)
	if err == nil {
		repository, err = filepath.Abs(repository)
	}
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(at, repository); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%s: %w: the repository %s is in it", dir, ErrMountpoint, repository)
	}
	return nil
}

// readAhead is how far the kernel reads ahead, in KiB. What it takes by itself is 128, and makes
// many small requests of one.
const readAhead = 1024

// setReadAhead makes the kernel read further ahead, if the user may set that.
func setReadAhead(dir string) {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return
	}
	file := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev), unix.Minor(st.Dev))
	os.WriteFile(file, []byte(strconv.Itoa(readAhead)), 0) // without it reading is slower
}
