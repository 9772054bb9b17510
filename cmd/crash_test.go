package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kills is how often each of the three commands is killed; together 200 times and some.
const kills = 68

// A home is a folder in which commands run.
type home struct {
	*testing.T
	dir string
}

func newHome(t *testing.T) *home { return &home{t, t.TempDir()} }

func (h *home) command(name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(filepath.Join(bin, name), args...)
	said := new(bytes.Buffer)
	cmd.Dir, cmd.Stderr = h.dir, said
	return cmd, said
}

// run runs a command that has to succeed, and returns what it prints.
func (h *home) run(name string, args ...string) string {
	h.Helper()
	cmd, said := h.command(name, args...)
	out, err := cmd.Output()
	if err != nil {
		h.Fatalf("%s %q: %v\n%s", name, args, err, said)
	}
	return strings.TrimSpace(string(out))
}

// sh runs a pipeline that has to succeed.
func (h *home) sh(script string) string {
	h.Helper()
	return strings.TrimSpace(shell(h.T, append(os.Environ(), "HOME="+h.dir), script))
}

// put writes a file of the system.
func (h *home) put(name, text string) {
	h.Helper()
	file := filepath.Join(h.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		h.Fatal(err)
	}
}

// A moment is what a repository says of itself.
type moment struct {
	root, head string
	id         int64
	command    string
}

// now reads the newest commit, and checks that info says the same root.
func (h *home) now(repo string) moment {
	h.Helper()
	var line struct {
		ID                  int64
		Command, Root, Head string
	}
	if err := json.Unmarshal([]byte(h.run("log", "-repo", repo, "-json", "-limit", "1")), &line); err != nil {
		h.Fatal(err)
	}
	var info struct{ Cid string }
	if err := json.Unmarshal([]byte(h.run("info", "-repo", repo, "-json", "root")), &info); err != nil {
		h.Fatal(err)
	}
	if info.Cid != line.Root {
		h.Fatalf("%s: info says root %s, and the log %s", repo, info.Cid, line.Root)
	}
	return moment{line.Root, line.Head, line.ID, line.Command}
}

// kill starts a command, kills it after a random part of the time that it needs, and reports
// whether it had ended with success.
func (h *home) kill(most time.Duration, name string, args ...string) (acknowledged bool) {
	h.Helper()
	cmd, said := h.command(name, args...)
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	time.Sleep(rand.N(most))
	cmd.Process.Kill()
	err := cmd.Wait()
	if err != nil && !strings.Contains(err.Error(), "killed") {
		h.Fatalf("%s: %v\n%s", name, err, said)
	}
	return err == nil
}

// checkAfter checks that a killed command has happened or not, and that what it said is so.
func (h *home) checkAfter(before, after moment, command string, acknowledged bool) (happened bool) {
	h.Helper()
	switch {
	case after == before && acknowledged:
		h.Fatalf("%s ended with success, and nothing has changed", command)
	case after == before:
		return false
	case after.id != before.id+1 || after.command != command:
		h.Fatalf("from commit %d, the killed %s led to commit %d, %s", before.id, command, after.id, after.command)
	}
	return true
}

// most returns how long a command may take when it is killed at a random moment, from how long it
// took once.
func most(run func()) time.Duration {
	start := time.Now()
	run()
	return time.Since(start) * 5 / 4
}

// TestKillAdd kills add 68 times. What it adds is such that the root after it can be foretold.
func TestKillAdd(t *testing.T) {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	large := strings.Repeat("a line of a file that is large enough for segment files\n", 60_000)
	fill := func(i int) {
		h.put("src/large", fmt.Sprint(i)+large)
		for n := range 20 {
			h.put(fmt.Sprintf("src/d%d/small", n), fmt.Sprintf("small %d of %d", n, i))
		}
	}
	add := []string{"-repo", "a", "src", "root/docs"}
	fill(0)
	limit := most(func() { h.run("add", add...) })
	happened := 0
	for i := range kills {
		fill(i + 1)
		before := h.now("a")
		acknowledged := h.kill(limit, "add", add...)
		after := h.now("a")
		done := h.checkAfter(before, after, "add", acknowledged)
		h.run("add", add...)
		complete := h.now("a")
		if done {
			happened++
			if complete != after {
				t.Fatalf("the killed add came to root %s; again it comes to %s", after.root, complete.root)
			}
		}
		if i%20 == 0 {
			h.run("rehash", "-repo", "a", "root")
		}
	}
	t.Logf("%d of %d had happened", happened, kills)
	h.run("export", "-repo", "a", "root/docs", "out")
	h.sh("diff -r src out")
	h.run("rehash", "-repo", "a", "root")
}

// TestKillMerge kills merge while it fetches from a server and commits.
func TestKillMerge(t *testing.T) {
	h := newHome(t)
	for _, who := range []string{"a", "b"} {
		h.run("initialize", "-repo", who)
		h.run("new-identity", "-repo", who, "identities/me")
	}
	h.sh("message-read-reference -repo a identities/me | add-friend-from-message -repo b")
	url := h.serve("a")
	offer := func(i int) string {
		for n := range 10 {
			h.put(fmt.Sprintf("src/d%d/f", n), fmt.Sprintf("file %d of %d", n, i))
		}
		h.run("add", "-repo", "a", "src", "root/docs")
		h.run("new-node", "-repo", "a", "-address", url, "node", "identities/me")
		return h.sh("message-read-reference -repo a node | add-node-from-message -repo b")
	}
	node := offer(0)
	merge := []string{"-repo", "b", "root", node + "/root"}
	limit := most(func() { h.run("merge", merge...) })
	happened := 0
	for i := range kills {
		offer(i + 1)
		before := h.now("b")
		acknowledged := h.kill(limit, "merge", merge...)
		if h.checkAfter(before, h.now("b"), "merge", acknowledged) {
			happened++
		}
		h.run("merge", merge...)
		if a, b := h.now("a"), h.now("b"); a.root != b.root {
			t.Fatalf("after the killed merge and another one, root is %s, and it should be %s", b.root, a.root)
		}
		if i%20 == 0 {
			h.run("rehash", "-repo", "b", "root")
		}
	}
	t.Logf("%d of %d had happened", happened, kills)
	h.run("export", "-repo", "b", "root/docs", "out")
	h.sh("diff -r src out")
	h.run("verify", "-repo", "b", "root")
}

// serve runs serve until the test ends and returns its address.
func (h *home) serve(repo string) string {
	h.Helper()
	cmd, _ := h.command("serve", "-repo", repo, "-listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var url string
	if _, err := fmt.Fscanln(out, &url); err != nil {
		h.Fatal(err)
	}
	return url
}

// TestKillNewNode kills new-node. Signatures have a time in them, so the root after it cannot be
// foretold; but the sequence can.
func TestKillNewNode(t *testing.T) {
	h := newHome(t)
	for _, who := range []string{"a", "b"} {
		h.run("initialize", "-repo", who)
		h.run("new-identity", "-repo", who, "identities/me")
	}
	h.sh("message-read-reference -repo a identities/me | add-friend-from-message -repo b")
	publish := []string{"-repo", "a", "node", "identities/me"}
	limit := most(func() { h.run("new-node", publish...) })
	sequence := uint64(1)
	happened := 0
	for i := range kills {
		h.put("words", fmt.Sprint("word ", i))
		h.run("add", "-repo", "a", "words", "root/docs/words")
		before := h.now("a")
		acknowledged := h.kill(limit, "new-node", publish...)
		if h.checkAfter(before, h.now("a"), "new-node", acknowledged) {
			happened++
			sequence++
			if waits := h.run("status", "-repo", "a"); waits != "" {
				t.Fatalf("the killed new-node was committed, and status says %s", waits)
			}
		} else {
			h.run("new-node", publish...)
			sequence++
		}
		if got := h.sequence("a", "node"); got != sequence {
			t.Fatalf("the node has sequence %d, and it should be %d", got, sequence)
		}
		if i%20 == 0 {
			h.run("rehash", "-repo", "a", "root")
			h.sh("message-read-reference -repo a node | add-node-from-message -repo b; export-car -repo a node | import-car -repo b; merge-all -repo b")
		}
	}
	t.Logf("%d of %d had happened", happened, kills)
	h.sh("message-read-reference -repo a node | add-node-from-message -repo b; export-car -repo a node | import-car -repo b; merge-all -repo b")
	if a, b := h.now("a"), h.now("b"); a.root != b.root {
		t.Fatalf("the friend has root %s, and not %s", b.root, a.root)
	}
}

func (h *home) sequence(repo, path string) uint64 {
	h.Helper()
	var info struct{ Sequence uint64 }
	if err := json.Unmarshal([]byte(h.run("info", "-repo", repo, "-json", path)), &info); err != nil {
		h.Fatal(err)
	}
	return info.Sequence
}
