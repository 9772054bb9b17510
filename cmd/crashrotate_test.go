package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestKillRotate kills rotate-identity. However far it came, the identity can sign with the key
// that counts, and rotate again; and a friend who has seen every node never sees a fork.
func TestKillRotate(t *testing.T) {
	h := newHome(t)
	for _, who := range []string{"a", "b"} {
		h.run("initialize", "-repo", who)
		h.run("new-identity", "-repo", who, "identities/me")
	}
	h.sh("message-read-reference -repo a identities/me | add-friend-from-message -repo b; echo 0 | add -repo a - root/docs/n")
	h.run("new-node", "-repo", "a", "node", "identities/me")
	rotate := []string{"-repo", "a", "node", "identities/me"}
	epoch, happened := h.epoch("a"), 0
	limit := most(func() { h.run("rotate-identity", rotate...) })
	epoch++
	for range kills / 2 {
		before := h.now("a")
		acknowledged := h.kill(limit, "rotate-identity", rotate...)
		if h.checkAfter(before, h.now("a"), "rotate-identity", acknowledged) {
			happened++
			epoch++
		}
		if got := h.epoch("a"); got != epoch {
			t.Fatalf("the identity is in epoch %d, and it should be in %d", got, epoch)
		}
		h.put("words", "word "+before.head)
		h.run("add", "-repo", "a", "words", "root/docs/n")
		h.run("new-node", "-repo", "a", "node", "identities/me")
		h.sh("message-read-reference -repo a node | add-node-from-message -repo b; export-car -repo a node | import-car -repo b; merge-all -repo b")
		if a, b := h.now("a"), h.now("b"); a.root != b.root {
			t.Fatalf("after epoch %d the friend has root %s, and not %s", epoch, b.root, a.root)
		}
	}
	t.Logf("%d of %d had happened", happened, kills/2)
	h.run("rotate-identity", rotate...)
	h.run("verify", "-repo", "a", "root")
	if left, err := filepath.Glob(filepath.Join(h.dir, "a", "keys", "*")); err != nil || len(left) == 0 {
		t.Fatalf("keys: %v, %v", left, err)
	}
}

// TestKillRotateAway kills rotate-identity with the keys in files of their own. The same command
// finishes what was begun, by one rotation; then the folder has the key that counts, and only the
// file the next one.
func TestKillRotateAway(t *testing.T) {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "-next", "0.next", "identities/me")
	rotate := func(n int) []string {
		return []string{"-repo", "a", "-next", fmt.Sprint(n, ".next"), "-next-out", fmt.Sprint(n+1, ".next"), "node", "identities/me"}
	}
	limit := most(func() { h.run("rotate-identity", rotate(0)...) })
	again, committed := 0, 0
	for n := 1; n <= kills/2; n++ {
		h.kill(limit, "rotate-identity", rotate(n)...)
		if h.epoch("a") == n+1 {
			committed++
		}
		if h.epoch("a") == n || h.sh("grep -c ^key a/keys/*.key") != "1" {
			h.run("rotate-identity", rotate(n)...)
			again++
		}
		if got := h.epoch("a"); got != n+1 {
			t.Fatalf("epoch %d, and it should be %d", got, n+1)
		}
		if got, want := h.sh("grep -h ^key a/keys/*.key | cut -d ' ' -f 2"), fmt.Sprint(n+1); got != want {
			t.Fatalf("the folder has the keys of epochs %q, and it should be %s", got, want)
		}
		if got, want := h.sh(fmt.Sprint("grep -h ^key ", n+1, ".next | cut -d ' ' -f 2")), fmt.Sprint(n+2); got != want {
			t.Fatalf("the file has the keys of epochs %q, and it should be %s", got, want)
		}
	}
	t.Logf("%d of %d had committed, %d were done again", committed, kills/2, again)
}

// epoch returns how often the key of identities/me was rotated.
func (h *home) epoch(repo string) int {
	h.Helper()
	var info struct{ Epoch int }
	if err := json.Unmarshal([]byte(h.run("info", "-repo", repo, "-json", "identities/me")), &info); err != nil {
		h.Fatal(err)
	}
	return info.Epoch
}

// TestRotateAtOnce runs several rotations of one identity at a time: those that lose the race are
// refused or rotate again, and never the same key twice.
func TestRotateAtOnce(t *testing.T) {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	var all sync.WaitGroup
	for range 6 {
		cmd, _ := h.command("rotate-identity", "-repo", "a", "node", "identities/me")
		all.Go(func() { _ = cmd.Run() })
	}
	all.Wait()
	epoch := h.epoch("a")
	if epoch < 1 || epoch > 6 {
		t.Fatalf("epoch %d after 6 rotations at once", epoch)
	}
	h.run("new-node", "-repo", "a", "node", "identities/me")
	h.run("rotate-identity", "-repo", "a", "node", "identities/me")
	if got := h.epoch("a"); got != epoch+1 {
		t.Errorf("epoch %d, and it should be %d", got, epoch+1)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "a", "keys")); err != nil {
		t.Error(err)
	}
}
