//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A group is tasks that need each other, and what they need.
type group struct {
	prepare func() error
	tasks   []task
}

// mountTasks are the tasks of the groups of which a table is wanted.
func (b *bench) mountTasks(ctx context.Context) ([]task, error) {
	size, files, reads, tree := 256, 5_000, 10_000, "src"
	if b.quick {
		size, files, reads, tree = 16, 200, 500, "src/net"
	}
	groups := []group{largeFileTasks(size, reads), smallFileTasks(files), b.treeTasks(ctx, tree)}
	if fio, err := exec.LookPath("fio"); err == nil {
		groups = append(groups, fioTasks(fio, size, reads))
	} else {
		b.notes = append(b.notes, "fio is not installed: left out.")
	}
	var all []task
	for _, g := range groups {
		if !slices.ContainsFunc(g.tasks, func(t task) bool { return b.wanted(t.title) }) {
			continue
		}
		if err := g.prepare(); err != nil {
			return nil, err
		}
		all = append(all, g.tasks...)
	}
	return all, nil
}

// largeFileTasks write and read a large file, of which no two blocks are the same.
func largeFileTasks(size, reads int) group {
	var data []byte
	prepare := func() error {
		data = make([]byte, size*mebibyte)
		noise(3).Read(data) // never fails
		return nil
	}
	path := func(m *mounted) string { return filepath.Join(m.dir, "large") }
	return group{prepare, []task{
		{title: fmt.Sprintf("mount: write a file of %d MiB by blocks of 1 MiB, and sync it", size), run: func(ctx context.Context, m *mounted) error {
			return writeBlocks(ctx, path(m), data)
		}},
		{title: "mount: read it by blocks of 1 MiB, cold", cold: true, run: func(ctx context.Context, m *mounted) error {
			return readBlocks(ctx, path(m), len(data))
		}},
		{title: fmt.Sprintf("mount: %s random reads of 4 KiB of it, cold", thousands(reads)), cold: true, run: func(ctx context.Context, m *mounted) error {
			return readRandom(ctx, path(m), data, reads)
		}},
	}}
}

func writeBlocks(ctx context.Context, path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close() // a failure is that of Sync
	for block := range slices.Chunk(data, mebibyte) {
		if _, err := f.Write(block); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return f.Sync()
}

func readBlocks(ctx context.Context, path string, size int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	buf := make([]byte, mebibyte)
	total := 0
	for ctx.Err() == nil {
		n, _ := f.Read(buf) // what is missing is counted
		if n == 0 {
			break
		}
		total += n
	}
	if total != size && ctx.Err() == nil {
		return fmt.Errorf("%d bytes of %d have been read", total, size)
	}
	return ctx.Err()
}

// readRandom also compares what it reads.
func readRandom(ctx context.Context, path string, data []byte, reads int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 4096)
	for range reads {
		at := random.IntN(len(data)/len(buf)) * len(buf)
		if _, err := f.ReadAt(buf, int64(at)); err != nil {
			return err
		}
		if !bytes.Equal(buf, data[at:at+len(buf)]) {
			return fmt.Errorf("at %d there is something else", at)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// smallFileTasks make files in a folder, look at them, and remove them.
func smallFileTasks(count int) group {
	data := make([]byte, 1024)
	each := func(ctx context.Context, m *mounted, do func(path string, i int) error) error {
		for i := range count {
			if err := do(filepath.Join(m.dir, "small", fmt.Sprintf("file-%05d", i)), i); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	}
	return group{func() error { return nil }, []task{
		{title: fmt.Sprintf("mount: make %s files of 1 KiB in a folder", thousands(count)), fresh: true, run: func(ctx context.Context, m *mounted) error {
			if err := os.Mkdir(filepath.Join(m.dir, "small"), 0o777); err != nil {
				return err
			}
			random := noise(4)
			return each(ctx, m, func(path string, _ int) error {
				random.Read(data) // never fails
				return os.WriteFile(path, data, 0o666)
			})
		}},
		{title: "mount: stat each of them, cold", cold: true, run: func(ctx context.Context, m *mounted) error {
			return each(ctx, m, func(path string, _ int) error {
				info, err := os.Lstat(path)
				if err == nil && info.Size() != int64(len(data)) {
					err = fmt.Errorf("%s has %d bytes", path, info.Size())
				}
				return err
			})
		}},
		{title: "mount: remove each of them", run: func(ctx context.Context, m *mounted) error {
			return each(ctx, m, func(path string, _ int) error { return os.Remove(path) })
		}},
	}}
}

// treeTasks unpack the sources of Go, or a part, and go through them.
func (b *bench) treeTasks(ctx context.Context, part string) group {
	archive, files := b.path("tree.tar"), 0
	prepare := func() error {
		root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return fmt.Errorf("go env: %w", err)
		}
		at := strings.TrimSpace(string(root))
		if files, err = lines(exec.CommandContext(ctx, "find", filepath.Join(at, part), "-type", "f")); err != nil {
			return err
		}
		return runCommand(exec.CommandContext(ctx, "tar", "-C", at, "-cf", archive, part))
	}
	found := 0 // lines in which grep finds the words, the same in all
	return group{prepare, []task{
		{title: "mount: untar the sources of Go", fresh: true, run: func(ctx context.Context, m *mounted) error {
			return runCommand(exec.CommandContext(ctx, "tar", "-C", m.dir, "-xf", archive))
		}},
		{title: "mount: find all files in them, cold", cold: true, run: func(ctx context.Context, m *mounted) error {
			n, err := lines(exec.CommandContext(ctx, "find", filepath.Join(m.dir, part), "-type", "f"))
			if err == nil && n != files {
				err = fmt.Errorf("%d files, want %d", n, files)
			}
			return err
		}},
		{title: "mount: grep -r in them, cold", cold: true, run: func(ctx context.Context, m *mounted) error {
			n, err := lines(exec.CommandContext(ctx, "grep", "-rhF", "func (", filepath.Join(m.dir, part)))
			if err == nil && found != 0 && n != found {
				err = fmt.Errorf("%d lines, and %d elsewhere", n, found)
			}
			found = n
			return err
		}},
	}}
}

// lines runs a command and returns how many lines it prints.
func lines(cmd *exec.Cmd) (int, error) {
	var out bytes.Buffer
	cmd.Stdout = &out
	err := runCommand(cmd)
	return bytes.Count(out.Bytes(), []byte("\n")), err
}

// fioTasks are of fio, which does what the loops above do not: write at random, and read by several at once.
func fioTasks(fio string, size, count int) group {
	run := func(ctx context.Context, m *mounted, args ...string) error {
		args = append([]string{"--name=fio", "--directory=" + m.dir, "--filename=fio", "--ioengine=psync", "--bs=4k",
			fmt.Sprintf("--size=%dM", size), "--randseed=1", "--output=" + os.DevNull}, args...)
		return runCommand(exec.CommandContext(ctx, fio, args...))
	}
	return group{func() error { return nil }, []task{
		{title: fmt.Sprintf("mount: fio, %s random writes of 4 KiB to a new file, and a sync", thousands(count)), run: func(ctx context.Context, m *mounted) error {
			return run(ctx, m, "--rw=randwrite", fmt.Sprintf("--number_ios=%d", count), "--fallocate=none", "--end_fsync=1")
		}},
		{title: fmt.Sprintf("mount: fio, %s random reads of 4 KiB by each of four, cold", thousands(count)), cold: true, run: func(ctx context.Context, m *mounted) error {
			return run(ctx, m, "--rw=randread", fmt.Sprintf("--number_ios=%d", count), "--numjobs=4", "--thread", "--invalidate=0")
		}},
	}}
}
