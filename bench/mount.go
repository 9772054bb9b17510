//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A mounting is a way to have a folder to write in.
type mounting struct {
	name string
	// mount makes such a folder below dir, which is empty. What it starts is killed when ctx ends.
	mount func(ctx context.Context, dir string) (*mounted, error)
	ours  bool // its failures are ours
	once  bool // keeps a slow one to a single round
}

// A mounted is a file system that is there.
type mounted struct {
	dir     string       // to write in
	server  int          // process that serves it, 0 if it is the kernel
	unmount []string     // mount points
	end     func()       // ends the server in order, if it is not nil
	restart func() error // ends it and starts another, if it is not nil
}

// A task is what is done in a file system, after the tasks before it.
type task struct {
	title string
	fresh bool // it makes many files, for which the disk has to be at rest
	cold  bool // nothing is in the caches of the kernel, nor of the server
	run   func(ctx context.Context, m *mounted) error
}

// A track is the tasks and what they took, by the places of the tasks and of the mountings.
type track struct {
	*bench
	mountings []mounting
	tasks     []task
	results   [][]result
	out       []bool // which mountings have failed
}

// maxTask is how long one task may take; a mounting that takes longer is left out from then on.
const maxTask = 3 * time.Minute

// mounts compares file systems: ours, the native one, a loopback that shows what FUSE costs, and kubo's.
// Each round mounts each of them anew, and does all tasks in it.
func (b *bench) mounts(ctx context.Context) error {
	tasks, err := b.mountTasks(ctx)
	if err != nil || len(tasks) == 0 {
		return err
	}
	if unix.Access("/dev/fuse", unix.R_OK|unix.W_OK) != nil || os.Geteuid() != 0 {
		b.notes = append(b.notes, "mount: only root can mount directly and drop caches: left out.")
		return nil
	}
	t := &track{bench: b, mountings: b.mountings(), tasks: tasks}
	t.out = make([]bool, len(t.mountings))
	for range tasks {
		t.results = append(t.results, make([]result, len(t.mountings)))
	}
	for round := range min(b.runs, 3) {
		for i, who := range t.mountings {
			if t.out[i] || round > 0 && who.once {
				continue
			}
			err := t.visit(ctx, i)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("%s: %w", who.name, err)
			}
		}
	}
	return t.print()
}

// visit does all tasks in a mounting.
func (t *track) visit(ctx context.Context, i int) error {
	dir, err := os.MkdirTemp(t.dir, "mount-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // what stays is removed in the end
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m, err := t.mountings[i].mount(ctx, dir)
	if m != nil {
		defer m.leave()
	}
	if err == nil {
		err = os.Mkdir(m.dir, 0o777)
	}
	if err != nil {
		return t.failed(i, "mount", err)
	}
	for n, task := range t.tasks {
		if err := t.measure(ctx, m, task, &t.results[n][i]); err != nil {
			return t.failed(i, task.title, err)
		}
	}
	return nil
}

// failed is the end of a mounting that is not ours, or too slow; that is said, and the others go on.
func (t *track) failed(i int, what string, err error) error {
	who := t.mountings[i]
	slow := errors.Is(err, context.DeadlineExceeded)
	if who.ours && !slow {
		return fmt.Errorf("%s: %w", what, err)
	}
	t.out[i] = true
	if slow {
		err = fmt.Errorf("more than %v", maxTask)
	}
	t.notes = append(t.notes, fmt.Sprintf("%s: %s: %v: left out from there on.", what, who.name, err))
	return nil
}

// measure does a task.
func (t *track) measure(ctx context.Context, m *mounted, task task, r *result) error {
	ctx, cancel := context.WithTimeout(ctx, maxTask)
	defer cancel()
	if err := t.ready(task, m); err != nil {
		return err
	}
	resetPeak(m.server)
	before := processUsage(m.server)
	begin := time.Now()
	err := task.run(ctx, m)
	took := time.Since(begin)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	after := processUsage(m.server)
	r.add(took, usage{peak: after.peak, cpu: after.cpu - before.cpu})
	return nil
}

// ready brings the disk and the caches to where a task begins.
func (t *track) ready(task task, m *mounted) error {
	if task.cold && m.restart != nil {
		if err := m.restart(); err != nil {
			return err
		}
	}
	unix.Sync()
	if task.fresh && !t.quick {
		// For five seconds ext4 does not give away the inodes of removed files again, and looks at all
		// of them for each new file. What others have removed is not on our bill.
		time.Sleep(6 * time.Second)
	}
	if task.cold {
		return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
	}
	return nil
}

// print makes a table for each task that was done, wanted or only needed by one that is.
func (t *track) print() error {
	for n, task := range t.tasks {
		var results []result
		for i, r := range t.results[n] {
			if r.name = t.mountings[i].name; len(r.times) > 0 {
				results = append(results, r)
			}
		}
		if len(results) == 0 {
			continue
		}
		if err := printTable(os.Stdout, task.title, results); err != nil {
			return err
		}
	}
	return nil
}

// leave unmounts, and ends the server.
func (m *mounted) leave() {
	if m.end != nil {
		m.end()
	}
	for _, mountpoint := range m.unmount {
		if isMountpoint(mountpoint) {
			unix.Unmount(mountpoint, unix.MNT_DETACH) // its server is killed in any case
		}
	}
}

// isMountpoint says whether something is mounted on a folder.
func isMountpoint(path string) bool {
	var here, above unix.Stat_t
	if err := unix.Stat(path, &here); err != nil {
		return errors.Is(err, unix.ENOTCONN) // its server has died
	}
	return unix.Stat(filepath.Dir(path), &above) == nil && here.Dev != above.Dev
}
