package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// changed is how many files differ when a merge is measured.
const changed = 100

// maxMerge is how long the process of a merge with so many changes should take, whatever stands
// there besides.
const maxMerge = 50 * time.Millisecond

// A shape is how the files of a tree lie.
type shape struct {
	name  func(i int) string
	where string
	flat  bool // all in one folder
}

var (
	nested = shape{nestedName, "in nested folders of 100", false}
	single = shape{wideName, "in a single folder", true}
)

// merges compares merging a few changes into trees of different size and shape.
func (b *bench) merges(ctx context.Context) error {
	sizes := []int{10_000}
	switch {
	case b.quick:
		sizes = []int{1_000, 5_000}
	case b.full:
		sizes = []int{10_000, 100_000, 1_000_000}
	}
	for _, s := range []shape{nested, single} {
		var own []*result
		for _, size := range sizes {
			r, err := b.mergeOne(ctx, size, s)
			if err != nil {
				return err
			}
			if r != nil {
				own = append(own, r)
			}
		}
		if len(own) > 1 {
			first, last := own[0], own[len(own)-1]
			factor := ratio(last.median(), first.median())
			fmt.Printf("A merge %s takes %.2f times as long (%.2f times the CPU) where %s files stand as where %s stand; aim: within 2: %s.\n\n",
				s.where, factor, ratio(median(last.cpus), median(first.cpus)), thousands(sizes[len(own)-1]), thousands(sizes[0]), verdict(factor <= 2))
		}
	}
	return nil
}

// wide adds a million files in one folder.
func (b *bench) wide(ctx context.Context) error {
	files := 1_000_000
	switch {
	case b.quick:
		files = 5_000
	case !b.full:
		return nil
	}
	title := "add: " + thousands(files) + " tiny files in a single folder"
	if !b.wanted(title) {
		return nil
	}
	source := b.path("wide")
	if err := makeTexts(source, wideName, upTo(files), 0); err != nil {
		return err
	}
	ours := b.addOurs(source)
	ours.once = true
	_, err := b.report(ctx, os.Stdout, contest{title, []contender{ours}})
	return err
}

// gitAtMillion is how many times as long as ours git should take to merge into a folder of a
// million files.
const gitAtMillion = 40

func (b *bench) mergeOne(ctx context.Context, files int, s shape) (*result, error) {
	title := fmt.Sprintf("merge: %d changed files of %s %s", changed, thousands(files), s.where)
	if !b.wanted(title) {
		return nil, nil
	}
	dir, err := os.MkdirTemp(b.dir, "merge-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // what stays is removed in the end
	p := people{bench: b, dir: dir, files: files, name: s.name, flat: s.flat}
	ours, err := p.ours(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", title, err)
	}
	if err := printTable(os.Stdout, fmt.Sprintf("before that: %s files %s, and %d of them changed", thousands(files), s.where, changed), p.steps); err != nil {
		return nil, err
	}
	contenders := []contender{ours}
	if b.tools["git"] != "" {
		git, err := p.git(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", title, err)
		}
		if files >= 1_000_000 && s.flat {
			git.aim.ratio = gitAtMillion
		}
		contenders = append(contenders, git)
	}
	return b.report(ctx, os.Stdout, contest{title, contenders})
}

// people are two that share a tree: a has changed some files of it, and b is about to merge that.
type people struct {
	*bench
	dir   string
	files int
	name  func(int) string
	flat  bool     // all files stand in one folder
	place []string // options of initialize for the one who merges
	steps []result // of what is done once to make them
}

func (p *people) path(name string) string { return filepath.Join(p.dir, name) }

// ours makes both repositories, with all blocks at b, and returns b's merge.
func (p *people) ours(ctx context.Context) (contender, error) {
	a, b := p.path("a"), p.path("b")
	at, err := p.befriend(ctx, a, b)
	if err != nil {
		return contender{}, err
	}
	before, delta := p.path("before"), p.path("delta")
	if err := makeTexts(before, p.name, upTo(p.files), 0); err != nil {
		return contender{}, err
	}
	if err := p.publish(ctx, a, b, before); err != nil {
		return contender{}, err
	}
	if err := p.step("first merge", commands(p.bench.ours(ctx, "merge", "-repo", b, "root", at))); err != nil {
		return contender{}, err
	}
	if err := os.RemoveAll(before); err != nil {
		return contender{}, err
	}
	if err := makeTexts(delta, p.name, spread(changed, p.files), 1); err != nil {
		return contender{}, err
	}
	return contender{
		name: "archivecache merge",
		aim:  aim{below: maxMerge, memory: maxMemory},
		prepare: func(ctx context.Context, dir string) (job, error) {
			copied := filepath.Join(dir, "b")
			err := runCommand(p.tool(ctx, "cp", "-r", b, copied))
			return commands(p.bench.ours(ctx, "merge", "-repo", copied, "root", at)), err
		},
	}, p.publish(ctx, a, b, delta)
}

// befriend makes two repositories, lets b accept a, and returns where b finds a's node.
func (p *people) befriend(ctx context.Context, a, b string) (at string, err error) {
	if err := p.newRepo(ctx, a); err != nil {
		return "", err
	}
	if err := p.newRepo(ctx, b, p.place...); err != nil {
		return "", err
	}
	identity, err := p.cidOf(ctx, a, "identities/me")
	if err != nil {
		return "", err
	}
	return "nodes/" + identity + "/root", p.send(ctx, a, b, "identities/me", "add-friend-from-message")
}

// send sends a message from a to b.
func (p *people) send(ctx context.Context, a, b, path, taker string) error {
	return pipe(p.bench.ours(ctx, "message-read-reference", "-repo", a, path), p.bench.ours(ctx, taker, "-repo", b))
}

// publish adds a folder at a, signs it, and brings the node and all blocks to b.
func (p *people) publish(ctx context.Context, a, b, folder string) error {
	if err := p.step("add", commands(p.bench.ours(ctx, "add", "-repo", a, "-keep", folder, "root/data"))); err != nil {
		return err
	}
	if err := runCommand(p.bench.ours(ctx, "new-node", "-repo", a, "node", "identities/me")); err != nil {
		return err
	}
	if err := p.send(ctx, a, b, "node", "add-node-from-message"); err != nil {
		return err
	}
	car, err := os.Create(p.path("car"))
	if err != nil {
		return err
	}
	defer car.Close() // what it has is in b then
	exporting, importing := p.bench.ours(ctx, "export-car", "-repo", a, "node"), p.bench.ours(ctx, "import-car", "-repo", b)
	exporting.Stdout, importing.Stdin = car, car
	if err := p.step("export-car", commands(exporting)); err != nil {
		return err
	}
	if _, err := car.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return p.step("import-car", commands(importing))
}

// step does a job once and keeps what it used.
func (p *people) step(name string, do job) error {
	r := result{contender: contender{name: name, aim: aim{memory: maxMemory}}}
	begin := time.Now()
	used, err := do()
	r.add(time.Since(begin), used)
	p.steps = append(p.steps, r)
	return err
}

// pipe runs two commands, the second on what the first one prints.
func pipe(from, to *exec.Cmd) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	from.Stdout, to.Stdin = w, r
	done := make(chan error, 1)
	go func() {
		done <- runCommand(from)
		w.Close()
	}()
	err = runCommand(to)
	r.Close()
	if fromErr := <-done; fromErr != nil {
		return fromErr
	}
	return err
}
