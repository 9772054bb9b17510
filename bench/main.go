// Bench measures the commands of this module beside cp, git, kubo and restic, and prints one
// table for each question.
//
// Usage:
//
//	go run ./bench [-quick | -full] [-n RUNS] [-only WORD] [-dir DIR]
//
// It builds the commands, makes the data sets in a temporary folder, and removes it in the end.
// In each table the contenders take turns (A B C, A B C...), each time on a fresh target, and
// what is shown are medians; a contender that takes very long runs once. A ratio is the time of a
// row by the time of the first row, ours. Times are those of whole processes, from start to exit,
// until everything is on the disk: where a tool does not sync what it wrote, `sync -f` on its
// target is part of its time. Ours and restic sync by themselves. The source is in the page cache
// for everybody.
//
// CPU is the processor time of a process and all its threads, in and for it. Peak memory is what
// the kernel reports as the largest resident set of the process (of the largest, where several
// run after another). Other work on the machine moves all times: trust ratios.
//
// Where a kubo daemon is at work, CPU and memory are those of the commands alone; a daemon is new for
// each run, with the profiles test and unixfs-v1-2025, and does not sync what it writes.
//
// File systems, whose tables begin with "mount", are compared in at most three rounds; CPU and memory are those of
// the process that serves one, and nothing is synced but where the title says it. Where something is
// cold, that process is a new one, but for kubo's, and the caches of the kernel have been dropped before, on the whole machine.
//
// Nothing here fails because something is slow; it fails when something does not work, or when
// the CID of what we added is not the one that kubo gives it.
//
//	-quick   small data sets, one run each: a smoke test
//	-full    also a hundred thousand and a million files, in a daemon too, and a thousand friends
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"archivecache/internal/kubotest"
)

// A bench is what all measurements share.
type bench struct {
	dir   string // for data sets and targets
	bin   string // our commands
	runs  int
	quick bool
	full  bool
	only  string
	tools map[string]string // paths of other programs; those that are missing are not there
	notes []string          // why some are missing
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	b := &bench{tools: map[string]string{}}
	flag.BoolVar(&b.quick, "quick", false, "small data sets, one run each")
	flag.BoolVar(&b.full, "full", false, "also a million files, and a thousand friends")
	flag.IntVar(&b.runs, "n", 5, "`RUNS` of each contender")
	flag.StringVar(&b.only, "only", "", "only tables whose title has this `WORD`")
	parent := flag.String("dir", os.TempDir(), "the `DIR` in which to work: the disk that is measured")
	flag.Parse()
	if flag.Arg(0) == friendsCommand {
		return friendsMain(ctx, flag.Args()[1:])
	}
	if flag.Arg(0) == loopbackCommand {
		return loopbackMain(flag.Args()[1:])
	}
	if b.quick {
		b.runs = 1
	}
	if flag.NArg() > 0 || b.runs < 1 || b.quick && b.full {
		flag.Usage()
		return errors.New("wrong command line")
	}
	if b.dir, err = os.MkdirTemp(*parent, "archivecache-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	return b.measure(ctx)
}

// prepare builds what is ours and looks for what is not.
func (b *bench) prepare(ctx context.Context) error {
	b.bin = filepath.Join(b.dir, "bin")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.bin+string(filepath.Separator),
		"archivecache/cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the commands: %w\n%s", err, out)
	}
	for _, name := range []string{"cp", "sync", "git", "restic"} {
		path, err := exec.LookPath(name)
		if err != nil {
			b.notes = append(b.notes, name+" is not installed: left out.")
			continue
		}
		b.tools[name] = path
	}
	ipfs, err := kubotest.Build()
	if err != nil {
		b.notes = append(b.notes, fmt.Sprintf("kubo: %v: left out.", err))
		return nil
	}
	b.tools["ipfs"] = ipfs
	return nil
}

// measure prints all tables.
func (b *bench) measure(ctx context.Context) error {
	for _, part := range []func(context.Context) error{b.startUp, b.addSmall, b.addLarge, b.merges, b.mergeAll, b.verify, b.wide, b.daemons, b.mounts} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	for _, note := range b.notes {
		fmt.Println("Note:", note)
	}
	return nil
}

// wanted says whether a table is to be made.
func (b *bench) wanted(title string) bool { return strings.Contains(title, b.only) }

// path returns a path in the folder of the bench.
func (b *bench) path(names ...string) string {
	return filepath.Join(append([]string{b.dir}, names...)...)
}
