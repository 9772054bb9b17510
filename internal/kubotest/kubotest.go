// Package kubotest gives tests a real kubo to compare with.
//
// The binary is built from the module in tests/kubo, which pins its version, and kept in a
// cache folder of the user; it is built again when that module changes. $ARCHIVECACHE_IPFS names
// another binary. There is no going on without one: what a test cannot compare has not
// been tested. Only `go test -short` leaves these tests out.
package kubotest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Binary returns the path of an ipfs command. The first call of all processes on a machine builds
// it, which takes a minute or two.
func Binary(tb testing.TB) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("kubo is left out of short tests")
	}
	path, err := binary()
	if err != nil {
		tb.Fatalf("kubo: %v", err)
	}
	return path
}

// Build is [Binary] outside of tests.
func Build() (string, error) { return binary() }

var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ARCHIVECACHE_IPFS"); path != "" {
		return exec.LookPath(path)
	}
	module, err := findModule()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "archivecache-test")
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return "", err
	}
	version, err := fingerprint(module)
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "ipfs-"+version)
	return path, buildOnce(module, path)
})

// findModule looks for tests/kubo in the folders above the current one.
func findModule() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		module := filepath.Join(dir, "tests", "kubo")
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("tests/kubo/go.mod: not in any folder above")
		}
		dir = parent
	}
}

// fingerprint names the state of the module.
func fingerprint(module string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		h.Write(data)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// buildOnce builds the command unless it is there. Processes that come at the same time wait.
func buildOnce(module, path string) error {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	build := exec.Command("go", "-C", module, "build", "-o", path+".new", "github.com/ipfs/kubo/cmd/ipfs")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return os.Rename(path+".new", path)
}

// A Repo is an IPFS repository of a test, offline.
type Repo struct {
	Dir    string // $IPFS_PATH
	binary string
}

// NewRepo makes a repository with the given profiles, in a temporary folder.
func NewRepo(tb testing.TB, profiles ...string) *Repo {
	tb.Helper()
	r := &Repo{binary: Binary(tb), Dir: filepath.Join(tb.TempDir(), "ipfs")}
	r.Run(tb, "init", "--profile="+strings.Join(append([]string{"test"}, profiles...), ","))
	return r
}

// Command returns a call of ipfs on the repository.
func (r *Repo) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(r.binary, args...)
	cmd.Env = append(os.Environ(), "IPFS_PATH="+r.Dir, "GOLOG_LOG_LEVEL=fatal", "IPFS_TELEMETRY=off")
	return cmd
}

// Run runs ipfs and returns what it prints, without the last line break. A failure ends the test.
func (r *Repo) Run(tb testing.TB, args ...string) string {
	tb.Helper()
	cmd := r.Command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("ipfs %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSuffix(string(out), "\n")
}
