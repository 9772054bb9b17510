// Package kubotest gives tests a real kubo to compare with, and a real IPFS Cluster.
//
// The binaries are built from the modules in tests/kubo and tests/cluster, which pin their versions,
// and kept in a cache folder of the user; one is built again when its module changes.
// $ARCHIVECACHE_IPFS and $ARCHIVECACHE_IPFS_CLUSTER name other binaries. There is no going on without
// one: what a test cannot compare has not been tested. Only `go test -short` leaves these tests out.
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

// A program is a command of another module that is built for tests.
type program struct {
	name    string // of the file
	module  string // folder in tests
	command string // package
	env     string // of the variable that names another binary
}

var (
	ipfs    = program{"ipfs", "kubo", "github.com/ipfs/kubo/cmd/ipfs", "ARCHIVECACHE_IPFS"}
	cluster = program{
		"ipfs-cluster-service", "cluster", "github.com/ipfs-cluster/ipfs-cluster/cmd/ipfs-cluster-service", "ARCHIVECACHE_IPFS_CLUSTER",
	}
)

// Binary returns the path of an ipfs command. The first call of all processes on a machine builds
// it, which takes a minute or two.
func Binary(tb testing.TB) string { return ipfs.path(tb, binary) }

// Build is [Binary] outside of tests.
func Build() (string, error) { return binary() }

var (
	binary        = sync.OnceValues(ipfs.build)
	clusterBinary = sync.OnceValues(cluster.build)
)

func (p program) path(tb testing.TB, build func() (string, error)) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip(p.name + " is left out of short tests")
	}
	path, err := build()
	if err != nil {
		tb.Fatalf("%s: %v", p.name, err)
	}
	return path
}

// build returns the path of the command, which it builds unless that has been done.
func (p program) build() (string, error) {
	if path := os.Getenv(p.env); path != "" {
		return exec.LookPath(path)
	}
	module, err := findModule(p.module)
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
	path := filepath.Join(cache, p.name+"-"+version)
	return path, p.buildOnce(module, path)
}

// findModule looks for a folder of tests in the folders above the current one.
func findModule(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		module := filepath.Join(dir, "tests", name)
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("tests/%s/go.mod: not in any folder above", name)
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
func (p program) buildOnce(module, path string) error {
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
	build := exec.Command("go", "-C", module, "build", "-o", path+".new", p.command)
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
