//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestMountTasks does the tasks in a folder, as in the native file system.
func TestMountTasks(t *testing.T) {
	m := &mounted{dir: t.TempDir()}
	for _, g := range []group{largeFileTasks(2, 100), smallFileTasks(20)} {
		if err := g.prepare(); err != nil {
			t.Fatal(err)
		}
		for _, task := range g.tasks {
			if err := task.run(t.Context(), m); err != nil {
				t.Errorf("%s: %v", task.title, err)
			}
		}
	}
}

// TestMountTasksNotice has them fail in a file system that loses something.
func TestMountTasksNotice(t *testing.T) {
	m := &mounted{dir: t.TempDir()}
	large, small := largeFileTasks(2, 1_000), smallFileTasks(20)
	for _, g := range []group{large, small} {
		if err := g.prepare(); err != nil {
			t.Fatal(err)
		}
		if err := g.tasks[0].run(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(m.dir, "large")
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(make([]byte, mebibyte), data[mebibyte:]...), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := large.tasks[2].run(t.Context(), m); err == nil {
		t.Error("half of the file is lost, and reading does not notice")
	}
	if err := os.Truncate(file, 5); err != nil {
		t.Fatal(err)
	}
	if err := large.tasks[1].run(t.Context(), m); err == nil {
		t.Error("the file is cut, and reading does not notice")
	}
	if err := os.Truncate(filepath.Join(m.dir, "small", "file-00007"), 5); err != nil {
		t.Fatal(err)
	}
	if err := small.tasks[1].run(t.Context(), m); err == nil {
		t.Error("a small file is cut, and stat does not notice")
	}
}

func TestMountTaskEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := &mounted{dir: t.TempDir()}
	for _, g := range []group{largeFileTasks(2, 100), smallFileTasks(20)} {
		if err := g.prepare(); err != nil {
			t.Fatal(err)
		}
		if err := g.tasks[0].run(ctx, m); err == nil {
			t.Errorf("%s: it goes on", g.tasks[0].title)
		}
	}
}

func TestProcessUsage(t *testing.T) {
	used := processUsage(os.Getpid())
	if used.peak < mebibyte || used.peak > 64<<30 {
		t.Errorf("a peak of %d bytes", used.peak)
	}
	if none := processUsage(0); none != (usage{}) {
		t.Errorf("no process: %+v", none)
	}
}

func TestIsMountpoint(t *testing.T) {
	if !isMountpoint("/proc") || isMountpoint(t.TempDir()) {
		t.Error("/proc is one, and a new folder is not")
	}
}
