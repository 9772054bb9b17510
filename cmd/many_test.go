package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestManyAtOnce has eight processes at a time set 100 values each, one process a value.
func TestManyAtOnce(t *testing.T) {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	before := h.now("a")
	var group errgroup.Group
	for p := range 8 {
		group.Go(func() error {
			for v := range 100 {
				cmd, said := h.command("set-value", "-repo", "a", fmt.Sprintf("scratch/p%d/v%d", p, v), fmt.Sprint(v))
				if err := cmd.Run(); err != nil {
					return fmt.Errorf("process %d, value %d: %w: %s", p, v, err, said)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var values map[string]map[string]int
	if err := json.Unmarshal([]byte(h.run("get-data", "-repo", "a", "scratch")), &values); err != nil {
		t.Fatal(err)
	}
	for p := range 8 {
		for v := range 100 {
			if got, ok := values[fmt.Sprintf("p%d", p)][fmt.Sprintf("v%d", v)]; !ok || got != v {
				t.Errorf("value %d of process %d is %d, %t", v, p, got, ok)
			}
		}
	}
	if after := h.now("a"); after.id != before.id+800 {
		t.Errorf("%d entries more in the log, and not 800", after.id-before.id)
	}
	if lines := strings.Count(h.run("log", "-repo", "a", "-json"), `"command":"set-value"`); lines != 800 {
		t.Errorf("the log has set-value %d times", lines)
	}
}

// TestFullDisk limits the size of files, at several sizes, so that writing fails early, in the
// middle, and late. (A file system that is full fails alike.) The command says so, nothing has
// changed, and the next one works.
func TestFullDisk(t *testing.T) {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	for n := range 300 {
		h.put(fmt.Sprintf("src/f%d", n), strings.Repeat(fmt.Sprintf("%d ", n), 100+40*(n%7)))
	}
	h.put("src/large", strings.Repeat("a large file, in several blocks\n", 100_000))
	before := h.now("a")
	failed := 0
	for _, kilobytes := range []int{1, 40, 100, 300, 1000, 2500} {
		cmd := exec.Command("bash", "-c", fmt.Sprintf("ulimit -f %d; exec %s -repo a src root/docs", kilobytes, filepath.Join(bin, "add")))
		cmd.Dir = h.dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		failed++
		if code := cmd.ProcessState.ExitCode(); code != 1 {
			t.Fatalf("with %d KiB: %v\n%s", kilobytes, err, out)
		}
		if text := string(out); !strings.HasPrefix(text, "add: ") || strings.Count(text, "\n") > 3 {
			t.Errorf("with %d KiB it says %s", kilobytes, text)
		}
		if after := h.now("a"); after != before {
			t.Fatalf("with %d KiB it failed, and came from %v to %v", kilobytes, before, after)
		}
		h.run("rehash", "-repo", "a", "root")
	}
	if failed < 4 {
		t.Errorf("it failed with %d sizes only", failed)
	}
	h.run("add", "-repo", "a", "src", "root/docs")
	h.run("rehash", "-repo", "a", "root")
	h.run("export", "-repo", "a", "root/docs", "out")
	h.sh("diff -r src out")
	if err := os.RemoveAll(filepath.Join(h.dir, "out")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", "ulimit -f 100; exec "+filepath.Join(bin, "export")+" -repo a root/docs out")
	cmd.Dir = h.dir
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("export to a full disk: %v\n%s", err, out)
	}
}
