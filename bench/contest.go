package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A job is the part of a contender that is timed. It returns what the kernel says of its processes.
type job func() (usage, error)

// usage is what processes used; the zero usage is not known.
type usage struct {
	peak int64         // the largest resident set of one of them, in bytes
	cpu  time.Duration // of all together
}

// A contender is one way to do what a contest is about.
type contender struct {
	name string
	// prepare makes everything ready in an empty folder and returns what is timed. What it starts is
	// killed when ctx ends.
	prepare func(ctx context.Context, dir string) (job, error)
	// cid, if it is not nil, returns the CID of what was made in that folder. It has to be the
	// same for all.
	cid func(ctx context.Context, dir string) (string, error)
	// once keeps a slow one to a single run.
	once bool
	aim  aim
}

// A contest is a question with several contenders, ours first.
type contest struct {
	title      string
	contenders []contender
}

// A result is what the runs of one contender took.
type result struct {
	contender
	times []time.Duration
	cpus  []time.Duration
	peak  int64 // the largest, in bytes
}

func (r *result) add(took time.Duration, used usage) {
	r.times = append(r.times, took)
	if used.cpu > 0 {
		r.cpus = append(r.cpus, used.cpu)
	}
	r.peak = max(r.peak, used.peak)
}

func (r *result) median() time.Duration { return median(r.times) }

// median returns the middle of some times, or the mean of the two in the middle.
func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// hold runs a contest and returns the results in the order of the contenders.
func (b *bench) hold(ctx context.Context, c contest) ([]result, error) {
	results := make([]result, len(c.contenders))
	var cid string
	for round := range b.runs {
		for i, who := range c.contenders {
			if round > 0 && who.once {
				continue
			}
			results[i].contender = who
			made, err := b.turn(ctx, who, &results[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", c.title, who.name, err)
			}
			if made != "" && cid != "" && made != cid {
				return nil, fmt.Errorf("%s: %s made %s, another %s", c.title, who.name, made, cid)
			}
			cid = max(cid, made)
		}
	}
	return results, nil
}

// turn runs a contender once, in a folder of its own.
func (b *bench) turn(ctx context.Context, who contender, r *result) (cid string, err error) {
	dir, err := os.MkdirTemp(b.dir, "turn-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) // what stays is removed in the end
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what prepare has started
	run, err := who.prepare(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("prepare: %w", err)
	}
	syscall.Sync() // what others have written is not on our bill
	begin := time.Now()
	used, err := run()
	if err != nil {
		return "", err
	}
	r.add(time.Since(begin), used)
	if who.cid == nil {
		return "", nil
	}
	return who.cid(ctx, dir)
}

// commands is the job that runs commands one after another. The kernel counts the memory of this
// process, from which they are forked, as theirs, so it must stay smaller than they are.
func commands(all ...*exec.Cmd) job {
	return func() (used usage, err error) {
		for _, cmd := range all {
			if err := runCommand(cmd); err != nil {
				return used, err
			}
			used.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
				used.peak = max(used.peak, int64(r.Maxrss)<<10)
			}
		}
		return used, nil
	}
}

// runCommand runs a command; its messages are part of the error.
func runCommand(cmd *exec.Cmd) error {
	var stderr bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, stderr.Bytes())
	}
	return nil
}

// ours returns a call of one of our commands.
func (b *bench) ours(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(b.bin, name), args...)
}

// tool returns a call of another program, or nil if that is not there.
func (b *bench) tool(ctx context.Context, name string, args ...string) *exec.Cmd {
	path, ok := b.tools[name]
	if !ok {
		return nil
	}
	return exec.CommandContext(ctx, path, args...)
}

// present leaves out the contenders that need a program that is not there; a name begins with
// that of the program.
func (b *bench) present(all []contender, needs map[string]string) []contender {
	return slices.DeleteFunc(all, func(c contender) bool {
		need, ok := needs[c.name]
		return ok && b.tools[need] == ""
	})
}
