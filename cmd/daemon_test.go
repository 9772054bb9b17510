package cmd_test

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"archivecache/internal/kubotest"
)

// TestKillMigrate kills migrate-store at random moments, there and back. The repository is sound
// each time, and the next migrate-store goes on.
func TestKillMigrate(t *testing.T) {
	api := kubotest.Daemon(t, kubotest.Offline).API
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	h.fillLarge("src", 0)
	h.run("add", "-repo", "a", "-keep", "src", "root/docs")
	limit := most(func() {
		h.run("migrate-store", "-repo", "a", "-api", api, "kubo")
	})
	h.run("migrate-store", "-repo", "a", "embedded")
	for i := range 12 {
		to := []string{"kubo", "embedded"}[i%2]
		h.fillLarge("src", i)
		h.run("add", "-repo", "a", "src", "root/docs")
		if !h.kill(limit, "migrate-store", "-repo", "a", "-api", api, to) {
			h.run("fsck", "-repo", "a")
			h.finish("migrate-store", "-repo", "a", "-api", api, to)
		}
		h.run("fsck", "-repo", "a")
	}
	h.run("export", "-repo", "a", "root/docs", "out")
	h.same("src", "out")
}

// finish runs a command that was killed once more. That it had done all when it was killed is no
// failure.
func (h *home) finish(name string, args ...string) {
	h.Helper()
	cmd, said := h.command(name, args...)
	if err := cmd.Run(); err != nil && !strings.Contains(said.String(), "there already") {
		h.Fatalf("%s %q: %v\n%s", name, args, err, said)
	}
}

// TestCollectorBesideAll runs the daemon's garbage collector again and again beside adds, merges,
// undos, gc and kills of two people. Nothing is lost that something needs. It takes as long as
// ARCHIVECACHE_COLLECTOR says, 15 s if that is not set.
func TestCollectorBesideAll(t *testing.T) {
	lasts := 15 * time.Second
	if text := os.Getenv("ARCHIVECACHE_COLLECTOR"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	k := kubotest.Daemon(t, kubotest.Offline)
	h := newHome(t)
	for _, name := range []string{"a", "b"} {
		h.run("initialize", "-repo", name, "-store", "kubo", "-api", k.API)
		h.run("new-identity", "-repo", name, "identities/me")
	}
	h.sh("message-read-reference -repo a identities/me | add-friend-from-message -repo b")
	h.sh("message-read-reference -repo b identities/me | add-friend-from-message -repo a")
	end := time.Now().Add(lasts)
	var collector sync.WaitGroup
	collections := 0
	collector.Go(func() {
		for time.Now().Before(end) {
			k.Run("repo", "gc", "--quiet")
			collections++
		}
	})
	rounds := 0
	for ; time.Now().Before(end); rounds++ {
		h.round(rounds)
	}
	collector.Wait()
	t.Logf("%d rounds beside %d collections", rounds, collections)
	if rounds < 2 || collections < 2 {
		t.Fatal("too few to tell anything")
	}
	k.Run("repo", "gc", "--quiet")
	for _, name := range []string{"a", "b"} {
		h.run("fsck", "-repo", name)
		h.run("export", "-repo", name, "root", "out-"+name)
	}
}

// round is what two people do: both write, one is killed while it does, they merge each other, and
// now and then take something back or collect garbage of their own.
func (h *home) round(i int) {
	h.Helper()
	h.fillLarge("src", i)
	h.run("add", "-repo", "a", "src", "root/docs")
	h.kill(300*time.Millisecond, "add", "-repo", "b", "src", "root/others")
	for _, name := range []string{"a", "b"} {
		h.run("new-node", "-repo", name, "node", "identities/me")
	}
	h.sh("message-read-reference -repo a node | add-node-from-message -repo b")
	h.sh("message-read-reference -repo b node | add-node-from-message -repo a")
	h.kill(300*time.Millisecond, "merge-all", "-repo", "a")
	h.run("merge-all", "-repo", "a")
	h.run("merge-all", "-repo", "b")
	switch i % 4 {
	case 1:
		h.run("undo", "-repo", "b")
	case 3:
		h.run("forget", "-repo", "a", "-keep", "3")
		h.run("gc", "-repo", "a")
	}
}
