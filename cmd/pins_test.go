package cmd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"archivecache/internal/kubotest"
)

// TestThreeMachines publishes into a cluster of three machines with two replicas. When the one that
// added everything is gone, new people merge and export all of it: one with a daemon of their own,
// which finds it in the IPFS network, and one from a gateway.
func TestThreeMachines(t *testing.T) {
	daemons := []*kubotest.Kubo{kubotest.Daemon(t), kubotest.Daemon(t), kubotest.Daemon(t)}
	peers := kubotest.Cluster(t, daemons...)
	h := newHome(t)
	h.run("initialize", "-repo", "a", "-store", "kubo", "-api", daemons[0].API)
	h.run("new-identity", "-repo", "a", "identities/me")
	h.put("src/a.txt", "alpha")
	h.put("src/sub/four chunks.bin", strings.Repeat("beta", 1_000_000))
	for i := range 300 {
		h.put(fmt.Sprintf("src/many/%d", i), fmt.Sprint(i))
	}
	h.run("add", "-repo", "a", "src", "root/docs")
	h.sh("echo hello | add -repo a - root/forum/hello")
	h.run("new-node", "-repo", "a", "node", "identities/me")
	h.run("add-pinning-service", "-repo", "a", "-cluster", "-replicas", "2", "ours", peers[0].API)
	h.wantPinned("a", "ours", 1, 2)
	for i := range 2 { // the older node is let go
		h.put("src/a.txt", fmt.Sprint("alpha ", i))
		h.run("add", "-repo", "a", "src", "root/docs")
		h.run("new-node", "-repo", "a", "node", "identities/me")
		h.wantPinned("a", "ours", uint64(2+i), 2)
	}
	peers[0].Stop()
	daemons[0].Kill()

	own := kubotest.Daemon(t)
	kubotest.Connect(own, daemons[1])
	kubotest.Connect(own, daemons[2])
	h.run("initialize", "-repo", "b", "-store", "kubo", "-api", own.API)
	h.run("initialize", "-repo", "c")
	for _, who := range []string{"b", "c"} {
		h.run("new-identity", "-repo", who, "identities/me")
		h.sh("message-read-reference -repo a identities/me | add-friend-from-message -repo " + who)
		h.sh("message-read-reference -repo a node | add-node-from-message -repo " + who)
		h.run("merge-all", "-repo", who, "-gateway", daemons[1].Gateway)
		h.run("fsck", "-repo", who)
		h.run("export", "-repo", who, "root/docs", "out-"+who)
		h.same("src", "out-"+who)
		if got := h.sh("cat -repo " + who + " root/forum/hello"); got != "hello" {
			t.Errorf("%s reads %q", who, got)
		}
	}
	if a, b, c := h.cid("a", "root"), h.cid("b", "root"), h.cid("c", "root"); a != b || a != c {
		t.Errorf("roots: %s, %s, %s", a, b, c)
	}

	// Without the daemon nothing is published, and what is kept where nobody can say.
	if out, status := h.fails("new-node", "-repo", "a", "node", "identities/me"); status != 1 || !strings.Contains(out, "not reachable") {
		t.Errorf("new-node without the daemon: status %d, %s", status, out)
	}
	if out, status := h.fails("pins", "-repo", "a"); status != 3 || !strings.Contains(out, "not reachable") {
		t.Errorf("pins without the cluster: status %d, %s", status, out)
	}
}

// pinLine is a line of pins -json.
type pinLine struct {
	Service  string
	Sequence uint64
	Pinned   int
	Enough   bool
	Places   []struct{ Name, State, Why string }
	Others   []string
	Error    string
}

// wantPinned checks that a service keeps a node at so many places, and no other.
func (h *home) wantPinned(repo, service string, sequence uint64, places int) {
	h.Helper()
	var got pinLine
	out := h.run("pins", "-repo", repo, "-json")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		h.Fatalf("pins: %v: %s", err, out)
	}
	if got.Service != service || got.Sequence != sequence || got.Pinned != places || !got.Enough || len(got.Others) > 0 || got.Error != "" {
		h.Errorf("pins: %s; want node %d at %d places", out, sequence, places)
	}
}

// fails runs a command that has to fail, and returns what it says and its status.
func (h *home) fails(name string, args ...string) (said string, status int) {
	h.Helper()
	cmd, stderr := h.command(name, args...)
	stdout, err := cmd.Output()
	if err == nil {
		h.Errorf("%s %q: it should have failed", name, args)
	}
	return string(stdout) + stderr.String(), cmd.ProcessState.ExitCode()
}

// TestPinningService keeps what is published at a service with the Pinning Service API, and with a
// copy of the repository that publishes, too.
func TestPinningService(t *testing.T) {
	k := kubotest.Daemon(t)
	peer := kubotest.Cluster(t, k)[0]
	h := newHome(t)
	if said, status := h.fails("initialize", "-repo", "x", "-store", "kubo", "-api", peer.Proxy); status != 1 || !strings.Contains(said, "the IPFS proxy of a cluster") {
		t.Errorf("the proxy as the store: status %d, %s", status, said)
	}
	h.run("initialize", "-repo", "a", "-store", "kubo", "-api", k.API)
	h.run("new-identity", "-repo", "a", "identities/me")
	h.put("token", "word\n")
	h.run("add-pinning-service", "-repo", "a", "-token-file", "token", "psa", peer.Service)
	if got := h.sh("stat -c %a a/tokens a/tokens/psa; head a/tokens/psa"); got != "700\n600\nword" {
		t.Errorf("the token: %q", got)
	}
	h.sh("echo one | add -repo a - root/docs/f")
	h.run("new-node", "-repo", "a", "node", "identities/me")
	h.wantPinned("a", "psa", 1, 1)
	first := h.cid("a", "node")
	h.sh("echo two | add -repo a - root/docs/f")
	h.run("new-node", "-repo", "a", "node", "identities/me")
	h.wantPinned("a", "psa", 2, 1)
	if pins := k.Run("pin", "ls", "--type=recursive", "-q"); strings.Contains(pins, first) {
		t.Error("the first node is still pinned")
	}

	// An older copy of the folder asks for what it knows, and takes away nothing newer.
	h.sh("echo three | add -repo a - root/docs/f")
	h.sh("cp -r a old")
	h.run("new-node", "-repo", "a", "node", "identities/me")
	h.run("pins", "-repo", "old", "-recover")
	for _, node := range []string{h.cid("a", "node"), h.cid("old", "node")} {
		if pins := k.Run("pin", "ls", "--type=recursive", "-q"); !strings.Contains(pins, node) {
			t.Errorf("node %s is not pinned any more", node)
		}
	}
	h.run("pins", "-repo", "a", "-recover") // it knows which is older
	h.wantPinned("a", "psa", 3, 1)

	// What the service has lost is asked for again.
	peer.Stop()
	if said, status := h.fails("new-node", "-repo", "a", "node", "identities/me"); status != 3 || !strings.Contains(said, "not reachable") {
		t.Errorf("new-node without the service: status %d, %s", status, said)
	}
	if got := h.sh("info -repo a node | grep sequence"); got != "sequence   4" {
		t.Errorf("it is published all the same: %q", got)
	}
	h.run("remove-pinning-service", "-repo", "a", "psa")
	if got := h.sh("ls a/tokens; pins -repo a"); got != "" {
		t.Errorf("after removing it: %q", got)
	}
}
