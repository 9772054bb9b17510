package cmd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestTogether has two mounts and four commands at a time work on one repository, for as long as the
// variable says, else for a short while. In the end all agree, everything that was acknowledged is
// there, and the log has no gap.
func TestTogether(t *testing.T) {
	if !hasFUSE() {
		t.Skip("no FUSE here")
	}
	lasting := 15 * time.Second
	if text := os.Getenv("ARCHIVECACHE_TOGETHER"); text != "" {
		var err error
		if lasting, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	g := &together{home: h, want: map[string]string{}}
	for i := range 2 {
		g.mounts = append(g.mounts, h.mountOn("a", fmt.Sprintf("m%d", i)))
	}
	for _, dir := range []string{"mine", "forum/ours"} {
		if err := os.MkdirAll(g.mounts[0].path("root/"+dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g.await(func() error { _, err := os.Stat(g.mounts[1].path("root/forum/ours")); return err })
	before := h.now("a")
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for i := range 4 {
		mount := &worker{g, fmt.Sprintf("m%d", i), g.mounts[i%2].path(""), newRandom(i)}
		command := &worker{g, fmt.Sprintf("c%d", i), "", newRandom(10 + i)}
		group.Go(func() error { return mount.work(ctx) })
		group.Go(func() error { return command.work(ctx) })
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, g.mounts[0].log(), g.mounts[1].log())
	}
	g.agree()
	for _, m := range g.mounts {
		m.unmount()
	}
	g.finish(before)
}

func newRandom(i int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i)))
}

// together is what those who work together share.
type together struct {
	*home
	mounts []*mounting

	mu   sync.Mutex
	want map[string]string // by path in the tree
	ops  int

	baton sync.Mutex // held by who changes the file of that name
	turns int
	last  string // who was the last
}

// set notes what somebody was told is there; "" is nothing.
func (g *together) set(path, content string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ops++
	if delete(g.want, path); content != "" {
		g.want[path] = content
	}
}

// patience is how long the tests wait for what should be seen within a second.
const patience = 20 * time.Second

// await waits until something is so.
func (g *together) await(so func() error) {
	g.Helper()
	if err := eventually(so); err != nil {
		g.Fatal(err)
	}
}

func eventually(so func() error) error {
	var err error
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(20 * time.Millisecond) {
		if err = so(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("not within %v: %w", patience, err)
}

// A worker changes files of its own in a mount, or by commands, and the one that goes round.
type worker struct {
	*together
	name   string
	mount  string // "" works by commands
	random *rand.Rand
}

func (w *worker) work(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := w.step(n); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

func (w *worker) step(n int) error {
	dir := []string{"root/mine", "root/forum/ours", "root/forum/ours/" + w.name}[w.random.IntN(3)]
	path := fmt.Sprintf("%s/%s-%d", dir, w.name, w.random.IntN(6))
	switch w.random.IntN(12) {
	case 0, 1:
		return w.remove(path)
	case 2:
		return w.pass()
	case 3:
		return w.look()
	}
	content := strings.Repeat(fmt.Sprintf("%s wrote %d\n", w.name, n), 1+w.random.IntN(400))
	return w.write(path, content)
}

func (w *worker) at(path string) string { return filepath.Join(w.mount, path) }

func (w *worker) write(path, content string) error {
	var err error
	if w.mount == "" {
		err = w.command("add", content, "-", path)
	} else if err = os.MkdirAll(filepath.Dir(w.at(path)), 0o755); err == nil {
		err = os.WriteFile(w.at(path), []byte(content), 0o644)
	}
	if err == nil {
		w.set(path, content)
	}
	return err
}

func (w *worker) command(name, input string, args ...string) error {
	cmd, said := w.home.command(name, append([]string{"-repo", "a"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, said)
	}
	return nil
}

func (w *worker) remove(path string) error {
	w.mu.Lock()
	_, there := w.want[path]
	w.mu.Unlock()
	if !there {
		return nil
	}
	var err error
	if w.mount == "" {
		err = w.command("delete", "", path)
	} else {
		err = os.Remove(w.at(path))
	}
	if err == nil {
		w.set(path, "")
	}
	return err
}

// pass adds a line to a file that all change in turn: each has to see what the one before has
// written, wherever that was.
func (w *worker) pass() error {
	w.baton.Lock()
	defer w.baton.Unlock()
	const path = "root/mine/baton"
	want := strings.Repeat("x\n", w.turns)
	if w.turns > 0 {
		err := eventually(func() error {
			got, err := w.read(path)
			if err == nil && got != want {
				err = fmt.Errorf("%s: %d bytes, and not %d", path, len(got), len(want))
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%w; written by %s; %s", err, w.last, w.whoSees(path))
		}
	}
	w.turns++
	w.last = w.name
	return w.write(path, want+"x\n")
}

// whoSees tells how long a file is for each.
func (g *together) whoSees(path string) string {
	text := fmt.Sprintf("%d bytes in the tree", len(g.run("cat", "-repo", "a", path))+1)
	for _, m := range g.mounts {
		b, err := os.ReadFile(m.path(path))
		text += fmt.Sprintf(", %d in %s (%v)", len(b), m.at, err)
	}
	return text
}

func (w *worker) read(path string) (string, error) {
	if w.mount != "" {
		b, err := os.ReadFile(w.at(path))
		return string(b), err
	}
	cmd, said := w.home.command("cat", "-repo", "a", path)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cat %s: %w: %s", path, err, said)
	}
	return out.String(), nil
}

// look expects to see within a while what somebody else has written, or something newer.
func (w *worker) look() error {
	w.mu.Lock()
	var path, content string
	for path, content = range w.want {
		break
	}
	w.mu.Unlock()
	if path == "" {
		return nil
	}
	return eventually(func() error {
		got, err := w.read(path)
		w.mu.Lock()
		now, there := w.want[path]
		w.mu.Unlock()
		switch {
		case err == nil && (got == now || got == content):
			return nil
		case !there && errors.Is(err, fs.ErrNotExist), !there && err != nil && w.mount == "":
			return nil
		case err == nil:
			return fmt.Errorf("%s: %d bytes, and not %d", path, len(got), len(now))
		}
		return err
	})
}

// agree waits until both mounts, and what export takes out of the tree, are what was acknowledged.
func (g *together) agree() {
	g.Helper()
	for _, m := range g.mounts {
		g.await(func() error { return g.compare(m.path("root")) })
	}
}

// compare compares the files in a folder with what root has to show.
func (g *together) compare(dir string) error {
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(filepath.Dir(dir), name)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(name)
		found[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		return err
	}
	for path := range maps.Keys(g.want) {
		if found[path] != g.want[path] {
			return fmt.Errorf("%s: %s has %.40q, and should have %.40q", dir, path, found[path], g.want[path])
		}
		delete(found, path)
	}
	for path := range found {
		return fmt.Errorf("%s: %s is there, and should not be", dir, path)
	}
	return nil
}

// finish looks at the tree when nothing is mounted any more.
func (g *together) finish(before moment) {
	g.Helper()
	g.await(func() error {
		os.RemoveAll(filepath.Join(g.dir, "root"))
		g.run("export", "-repo", "a", "root", "root")
		return g.compare(filepath.Join(g.dir, "root"))
	})
	g.await(func() error {
		left, err := os.ReadDir(filepath.Join(g.dir, "a/workspaces"))
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d workspaces are left", len(left))
		}
		return err
	})
	g.checkLog(before.id)
	g.run("fsck", "-repo", "a")
	g.Logf("%d files written and removed, %d turns, %d files in the end", g.ops, g.turns, len(g.want))
}

// checkLog expects each entry to go on from where the one before ended.
func (g *together) checkLog(first int64) {
	g.Helper()
	type entry struct {
		ID           int64
		Head, Before string
	}
	var newer entry
	entries := 0
	for line := range strings.Lines(g.run("log", "-repo", "a", "-json")) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			g.Fatal(err)
		}
		if newer.ID != 0 && (e.ID != newer.ID-1 || e.Head != newer.Before) {
			g.Errorf("entry %d goes on from %s, and entry %d ended with %s", newer.ID, newer.Before, e.ID, e.Head)
		}
		newer = e
		entries++
	}
	if newer.ID != 1 || int64(entries) <= first {
		g.Errorf("%d entries, down to number %d", entries, newer.ID)
	}
}
