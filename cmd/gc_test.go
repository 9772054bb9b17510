package cmd_test

import (
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
)

// gcKills is how often gc, and add beside gc, are killed.
const gcKills = 30

// fillLarge writes a folder whose files end in a segment file, and others in the database.
func (h *home) fillLarge(dir string, i int) {
	h.Helper()
	for n := range 6 {
		text := fmt.Sprintf("a line of file %d, version %d\n", n, i-i%(n+1))
		h.put(fmt.Sprintf("%s/large%d", dir, n), strings.Repeat(text, 4000))
	}
	for n := range 20 {
		h.put(fmt.Sprintf("%s/d%d/small", dir, n), fmt.Sprintf("small %d of %d", n, i))
	}
}

// TestKillGC kills gc at random moments, between adds. Whatever it had done, everything is there,
// and the last one leaves nothing behind.
func TestKillGC(t *testing.T) {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	next := func(i int) {
		h.fillLarge("src", i)
		h.run("add", "-repo", "a", "src", "root/docs")
		h.run("forget", "-repo", "a", "-keep", "2")
	}
	next(0)
	next(1)
	next(2)
	limit := most(func() { h.run("gc", "-repo", "a") })
	ended := 0
	for i := range gcKills {
		next(3 + i)
		if h.kill(limit, "gc", "-repo", "a") {
			ended++
		}
		if i%5 == 0 {
			h.run("fsck", "-repo", "a")
		}
	}
	t.Logf("%d of %d had ended", ended, gcKills)
	h.run("fsck", "-repo", "a")
	h.run("gc", "-repo", "a")
	if again := h.run("gc", "-repo", "a", "-json"); !strings.Contains(again, `"blocks":0,"bytes":0,"file_bytes":0`) {
		t.Errorf("after a gc, another one drops %s", again)
	}
	h.run("fsck", "-repo", "a")
	h.run("export", "-repo", "a", "root/docs", "out")
	h.sh("diff -r src out")
	h.run("undo", "-repo", "a")
	h.run("rehash", "-repo", "a", "root")
}

// TestKillAddBesideGC kills add while one gc after another runs. What add acknowledged is there, and
// so is everything before.
func TestKillAddBesideGC(t *testing.T) {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	h.fillLarge("src", 0)
	limit := most(func() { h.run("add", "-repo", "a", "src", "root/docs") }) * 2
	var stop atomic.Bool
	rounds := 0
	var group errgroup.Group
	group.Go(func() error {
		for ; !stop.Load(); rounds++ {
			for _, args := range [][]string{{"gc", "-repo", "a"}, {"forget", "-repo", "a", "-keep", "3"}} {
				cmd, said := h.command(args[0], args[1:]...)
				if err := cmd.Run(); err != nil {
					return fmt.Errorf("%q: %w: %s", args, err, said)
				}
			}
		}
		return nil
	})
	happened := 0
	for i := range gcKills {
		h.fillLarge("src", i+1)
		before := h.now("a")
		acknowledged := h.kill(limit, "add", "-repo", "a", "src", "root/docs")
		if h.checkAfter(before, h.now("a"), "add", acknowledged) {
			happened++
		}
		if i%5 == 0 {
			h.run("rehash", "-repo", "a", "root")
		}
	}
	h.run("add", "-repo", "a", "src", "root/docs")
	stop.Store(true)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d adds had happened, beside %d rounds of gc", happened, gcKills, rounds)
	h.run("fsck", "-repo", "a")
	h.run("export", "-repo", "a", "root/docs", "out")
	h.sh("diff -r src out")
}

// TestManyBesideGC has processes add, and take CARs in and merge them, while others collect garbage
// at the same time. Nothing fails, and nothing is lost.
func TestManyBesideGC(t *testing.T) {
	h := newHome(t)
	for _, who := range []string{"a", "b"} {
		h.run("initialize", "-repo", who)
		h.run("new-identity", "-repo", who, "identities/me")
	}
	h.sh("message-read-reference -repo b identities/me | add-friend-from-message -repo a")
	for p := range 3 {
		h.fillLarge(fmt.Sprint("src", p), p)
	}
	var writers, collectors errgroup.Group
	var stop atomic.Bool
	run := func(name string, args ...string) error {
		cmd, said := h.command(name, args...)
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s %q: %w: %s", name, args, err, said)
		}
		return nil
	}
	for p := range 3 {
		writers.Go(func() error {
			for i := range 8 {
				at := fmt.Sprintf("root/docs/p%d/i%d", p, i%2)
				if err := run("add", "-repo", "a", fmt.Sprint("src", p), at); err != nil {
					return err
				}
				if i%2 == 1 {
					if err := run("delete", "-repo", "a", at); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	writers.Go(func() error {
		for i := range 6 {
			for _, script := range []string{
				fmt.Sprintf("mkdir -p his; head -c %d /dev/urandom > his/f%d; add -repo b his root/his", 100_000*(i+1), i),
				"new-node -repo b node identities/me; export-car -repo b node | import-car -repo a > roots",
				"message-read-reference -repo b node | add-node-from-message -repo a > at; merge-all -repo a",
			} {
				cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
				cmd.Dir = h.dir
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("%s: %w: %s", script, err, out)
				}
			}
		}
		return nil
	})
	for range 2 {
		collectors.Go(func() error {
			for !stop.Load() {
				if err := run("gc", "-repo", "a"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := writers.Wait()
	stop.Store(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := collectors.Wait(); err != nil {
		t.Fatal(err)
	}
	h.run("fsck", "-repo", "a")
	for p := range 3 {
		h.run("export", "-repo", "a", fmt.Sprintf("root/docs/p%d/i0", p), fmt.Sprint("out", p))
		h.sh(fmt.Sprintf("diff -r src%d out%d", p, p))
	}
	h.run("export", "-repo", "a", "root/his", "outhis")
	h.sh("diff -r his outhis")
}
