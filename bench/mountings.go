//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"archivecache/internal/loopback"

	"golang.org/x/sys/unix"
)

// mountings are all ways to have a file system, ours first.
func (b *bench) mountings() []mounting {
	var all []mounting
	if _, err := os.Stat(filepath.Join(b.bin, "mount")); err == nil {
		all = append(all, mounting{name: "archivecache mount", mount: b.mountOurs, ours: true})
	} else {
		b.notes = append(b.notes, "mount: there is no such command of ours: left out.")
	}
	all = append(all,
		mounting{name: "native", mount: func(_ context.Context, dir string) (*mounted, error) {
			return &mounted{dir: filepath.Join(dir, "bench")}, nil
		}},
		mounting{name: "loopback of go-fuse", mount: b.mountLoopback(loopbackServed)},
		mounting{name: "the same, passthrough", mount: b.mountLoopback(loopbackPassthrough)},
	)
	if b.tools["ipfs"] != "" {
		all = append(all, mounting{name: "ipfs mount, /mfs", mount: b.mountKubo, once: true})
	}
	return all
}

// mountOurs mounts a new repository. What is made below root is owned by its identity.
func (b *bench) mountOurs(ctx context.Context, dir string) (*mounted, error) {
	repo, mountpoint := filepath.Join(dir, "repo"), filepath.Join(dir, "mount")
	if err := errors.Join(b.newRepo(ctx, repo), os.Mkdir(mountpoint, 0o777)); err != nil {
		return nil, err
	}
	return serveMount(func() *exec.Cmd { return b.ours(ctx, "mount", "-repo", repo, mountpoint) }, mountpoint, "root/bench")
}

// loopbackCommand serves a folder, in a process of its own.
//
//	bench loopback FOLDER MOUNTPOINT HOW
const (
	loopbackCommand     = "loopback"
	loopbackServed      = "served"
	loopbackPassthrough = "passthrough"
)

func loopbackMain(args []string) error {
	if len(args) != 3 {
		return errors.New("wrong command line")
	}
	opt := loopback.Options{Passthrough: args[2] == loopbackPassthrough}
	return loopback.Serve(args[0], args[1], opt, func() {})
}

func (b *bench) mountLoopback(how string) func(context.Context, string) (*mounted, error) {
	return func(ctx context.Context, dir string) (*mounted, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		folder, mountpoint := filepath.Join(dir, "folder"), filepath.Join(dir, "mount")
		if err := errors.Join(os.Mkdir(folder, 0o777), os.Mkdir(mountpoint, 0o777)); err != nil {
			return nil, err
		}
		start := func() *exec.Cmd { return exec.CommandContext(ctx, self, loopbackCommand, folder, mountpoint, how) }
		return serveMount(start, mountpoint, "bench")
	}
}

// serveMount runs what serves a mount point, and waits until it does. Start returns the command, anew each time.
func serveMount(start func() *exec.Cmd, mountpoint, below string) (*mounted, error) {
	m := &mounted{dir: filepath.Join(mountpoint, below), unmount: []string{mountpoint}}
	m.restart = func() error {
		m.end()
		return m.serve(start(), mountpoint)
	}
	return m, m.serve(start(), mountpoint)
}

// serve starts a server.
func (m *mounted) serve(cmd *exec.Cmd, mountpoint string) error {
	var stderr bytes.Buffer
	cmd.Stderr, cmd.SysProcAttr = &stderr, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	m.server = cmd.Process.Pid
	m.end = func() { endServer(cmd.Process, mountpoint, ended) }
	tick, limit := time.NewTicker(10*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !isMountpoint(mountpoint) {
		select {
		case err := <-ended:
			m.server, m.end = 0, nil
			return fmt.Errorf("it has ended: %v\n%s", err, &stderr)
		case <-limit:
			return errors.New("it is not there after a minute")
		case <-tick.C:
		}
	}
	return nil
}

// endServer unmounts; if that is busy, the process is told to end.
func endServer(process *os.Process, mountpoint string, ended <-chan error) {
	unix.Unmount(mountpoint, 0)
	process.Signal(os.Interrupt)
	select {
	case <-ended:
	case <-time.After(time.Minute):
		process.Kill()
		<-ended
	}
}

// mountKubo mounts the mutable files of a new daemon.
func (b *bench) mountKubo(ctx context.Context, dir string) (*mounted, error) {
	d, err := b.startDaemon(ctx, filepath.Join(dir, "ipfs"))
	if err != nil {
		return nil, err
	}
	m := &mounted{dir: filepath.Join(dir, "mfs", "bench"), server: d.pid}
	for _, name := range []string{"mfs", "ipns", "content"} {
		mountpoint := filepath.Join(dir, name)
		m.unmount = append(m.unmount, mountpoint)
		if err := os.Mkdir(mountpoint, 0o777); err != nil {
			return m, err
		}
	}
	return m, runCommand(d.ipfs("mount", "-m", m.unmount[0], "-n", m.unmount[1], "-f", m.unmount[2]))
}

// processUsage returns what the kernel says of a running process; nothing of none.
func processUsage(pid int) (used usage) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if pid == 0 || err != nil {
		return usage{}
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kibibytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			used.peak = kibibytes << 10
		}
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ") // the name before may have spaces
	if fields := strings.Fields(after); len(fields) > 12 {
		for _, ticks := range fields[11:13] { // in user and in system mode, in hundredths of a second
			n, _ := strconv.ParseInt(ticks, 10, 64)
			used.cpu += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return used
}

// resetPeak has the kernel forget the largest resident set of a process. If it does not, later peaks are those of
// before at least, and the table says too much and not too little.
func resetPeak(pid int) {
	if pid != 0 {
		os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
}
