package cmd_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"archivecache/internal/kubotest"
)

// TestStoresOfTwo walks through the README with two people whose data are in different places: each
// in a daemon of their own, which are connected, and then one in a daemon and the other in a folder.
func TestStoresOfTwo(t *testing.T) {
	one, two := kubotest.Daemon(t), kubotest.Daemon(t)
	kubotest.Connect(one, two)
	for name, stores := range map[string][2]string{
		"by bitswap":            {one.API, two.API},
		"from daemon to folder": {one.API, ""},
		"from folder to daemon": {"", two.API},
	} {
		t.Run(name, func(t *testing.T) { walkWith(t, stores, name != "by bitswap") })
	}
}

func walkWith(t *testing.T, stores [2]string, byHTTP bool) {
	h := newHome(t)
	for i, who := range []string{"alice", "bob"} {
		if stores[i] == "" {
			h.run("initialize", "-repo", who)
		} else {
			h.run("initialize", "-repo", who, "-store", "kubo", "-api", stores[i])
		}
		h.run("new-identity", "-repo", who, "identities/me")
	}
	h.put("notes/large.bin", strings.Repeat(t.Name(), 200_000))
	for i := range 400 {
		h.put(fmt.Sprintf("notes/%d/%d.txt", i%7, i), fmt.Sprint(t.Name(), i))
	}
	h.run("add", "-repo", "alice", "notes", "root/notes")
	h.sh("echo 'hello all' | add -repo alice - root/forum/hello.txt")
	h.sh("echo 'hello you' | add -repo bob - root/forum/hello.txt")
	address := map[string][]string{}
	if byHTTP {
		for _, who := range []string{"alice", "bob"} {
			address[who] = []string{"-address", h.serve(who)}
		}
	}
	exchange := func() {
		for _, pair := range [][2]string{{"alice", "bob"}, {"bob", "alice"}} {
			from, to := pair[0], pair[1]
			h.run("new-node", append(append([]string{"-repo", from}, address[from]...), "node", "identities/me")...)
			h.sh(fmt.Sprintf("message-read-reference -repo %s identities/me | base64 | add-friend-from-message -repo %s", from, to))
			h.sh(fmt.Sprintf("message-read-reference -repo %s node | base64 | add-node-from-message -repo %s", from, to))
			h.run("merge-all", "-repo", to)
		}
	}
	exchange()
	exchange()
	h.run("export", "-repo", "bob", "root/notes", "notes-of-alice")
	h.same("notes", "notes-of-alice")
	if got := h.sh("list -repo alice root/forum | wc -l; conflicts -repo bob | wc -l"); got != "2\n2" {
		t.Errorf("in the forum: %q", got)
	}
	h.sh("resolve -repo bob -take hello.txt root/forum/hello.txt")
	h.put("notes/large.bin", strings.Repeat(t.Name(), 200_001))
	h.run("add", "-repo", "alice", "notes", "root/notes")
	exchange()
	exchange()
	for _, who := range []string{"alice", "bob"} {
		h.run("fsck", "-repo", who)
		if got := h.sh("list -repo " + who + " root/forum"); got != "hello.txt" {
			t.Errorf("%s sees %q", who, got)
		}
	}
	if a, b := h.cid("alice", "root"), h.cid("bob", "root"); a != b {
		t.Errorf("the roots are %s and %s", a, b)
	}
}

// TestPlainKubo reads with ipfs, from the daemon and by its gateway, what stands in a repository that
// has it for its store.
func TestPlainKubo(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	h := newHome(t)
	h.run("initialize", "-repo", "a", "-store", "kubo", "-api", k.API)
	h.run("new-identity", "-repo", "a", "identities/me")
	h.put("src/a.txt", "alpha")
	h.put("src/two words/größe.bin", strings.Repeat("beta", 1_000_000))
	for i := range 3000 { // enough for a sharded directory
		h.put(fmt.Sprintf("src/many/%s-%d", strings.Repeat("long", 20), i), fmt.Sprint(i))
	}
	h.run("add", "-repo", "a", "src", "root/docs")
	h.sh("echo hello | add -repo a - root/forum/hello")
	h.run("new-node", "-repo", "a", "node", "identities/me")
	k.Run("repo", "gc", "--quiet")
	view := h.sh(`info -repo a -json root | sed 's/.*"content":"\([^"]*\)".*/\1/'`)
	if got := strings.Fields(k.Run("ls", "--size=false", view+"/docs")); len(got) != 7 || got[0] != h.cid("a", "root/docs/a.txt") || got[1] != "a.txt" || got[3] != "many/" {
		t.Errorf("ipfs ls: %q", got)
	}
	if got := strings.Count(k.Run("ls", "--size=false", view+"/docs/many"), "\n"); got != 2999 {
		t.Errorf("ipfs ls: %d names", got+1)
	}
	k.Run("get", "-o", filepath.Join(h.dir, "got"), view+"/docs")
	h.same("src", "got")
	if got := k.Run("cat", view+"/forum/hello"); got != "hello" {
		t.Errorf("ipfs cat: %q", got)
	}
	page := h.sh(fmt.Sprintf("curl -sf '%s/ipfs/%s/docs/two%%20words/gr%%C3%%B6%%C3%%9Fe.bin' | cmp - 'src/two words/größe.bin'; curl -sf %s/ipfs/%s/docs/", k.Gateway, view, k.Gateway, view))
	if !strings.Contains(page, "two words") {
		t.Errorf("the gateway shows %.300s", page)
	}
	node := h.cid("a", "node")
	if refs := k.Run("refs", "-r", "--offline", node); !strings.Contains(refs, h.cid("a", "root/docs")) {
		t.Error("docs do not hang from the node")
	}
}
