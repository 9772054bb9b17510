package cmd_test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"archivecache/internal/kubotest"
)

// publisher returns a home with the repository a, which has published the folder src as root/docs,
// and the CID of that.
func publisher(t *testing.T) (h *home, docs string) {
	t.Helper()
	h = newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	h.put("src/a.txt", "alpha")
	h.put("src/sub/four chunks.bin", strings.Repeat("beta", 1_000_000))
	for i := range 300 {
		h.put(fmt.Sprintf("src/many/%d", i), fmt.Sprint(i))
	}
	h.run("add", "-repo", "a", "src", "root/docs")
	h.run("new-node", "-repo", "a", "node", "identities/me")
	return h, h.cid("a", "root/docs")
}

// cid returns the CID of what stands at a path of a repository.
func (h *home) cid(repo, path string) string {
	h.Helper()
	return h.sh("info -repo " + repo + ` -json ` + path + ` | sed 's/.*"cid":"\([^"]*\)".*/\1/'`)
}

// same checks that two folders hold the same.
func (h *home) same(a, b string) {
	h.Helper()
	if out, err := exec.Command("diff", "-r", filepath.Join(h.dir, a), filepath.Join(h.dir, b)).CombinedOutput(); err != nil {
		h.Errorf("%s and %s differ: %v\n%.500s", a, b, err, out)
	}
}

// follower starts an IPFS daemon that asks the server at url who has what, and fetches by HTTP.
func follower(t *testing.T, url string) *kubotest.Kubo {
	t.Helper()
	return kubotest.Daemon(t, kubotest.Config("HTTPRetrieval.Enabled", "true"), kubotest.Config("Provide.Enabled", "false"),
		kubotest.Config("Routing", fmt.Sprintf(`{"Type": "delegated", "DelegatedRouters": [%q]}`, url)))
}

// TestDaemonFetchesFromServe lets a daemon that knows nothing but the address of a serve read and pin
// what that has.
func TestDaemonFetchesFromServe(t *testing.T) {
	h, docs := publisher(t)
	k := follower(t, h.serve("a"))
	if got := k.Run("cat", docs+"/a.txt"); got != "alpha" {
		t.Errorf("cat: %q", got)
	}
	k.Run("pin", "add", docs)
	k.Run("get", "-o", filepath.Join(h.dir, "got"), docs)
	h.same("src", "got")
	node := h.cid("a", "node")
	k.Run("pin", "add", node) // everything hangs from it
	if refs := k.Run("refs", "-r", "--offline", node); !strings.Contains(refs, docs) {
		t.Errorf("of the node there is %s", refs)
	}
}

// TestMergeFromDaemonsGateway merges what stands in a daemon alone.
func TestMergeFromDaemonsGateway(t *testing.T) {
	h, docs := publisher(t)
	k := kubotest.Daemon(t, kubotest.Offline)
	h.sh("export-car -repo a node > a.car")
	k.Run("dag", "import", filepath.Join(h.dir, "a.car"))
	h.run("initialize", "-repo", "b")
	h.run("new-identity", "-repo", "b", "identities/me")
	h.sh("message-read-reference -repo a identities/me | add-friend-from-message -repo b")
	node := h.sh("message-read-reference -repo a node | add-node-from-message -repo b")
	h.run("merge", "-repo", "b", "-gateway", k.Gateway, "root", node+"/root")
	h.run("export", "-repo", "b", "root/docs", "got")
	h.same("src", "got")
	// And what the gateway shows to others is what was published.
	resp, err := http.Get(k.Gateway + "/ipfs/" + docs + "/sub/four%20chunks.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != strings.Repeat("beta", 1_000_000) {
		t.Errorf("%s, %d bytes, %v", resp.Status, len(body), err)
	}
}

// TestCARWithKubo carries files in CARs to and from kubo.
func TestCARWithKubo(t *testing.T) {
	h, docs := publisher(t)
	r := kubotest.NewRepo(t, "unixfs-v1-2025")
	file := func(name string) string { return filepath.Join(h.dir, name) }
	h.sh("export-car -repo a root/docs > docs.car")
	if out := r.Run(t, "dag", "import", "--stats", file("docs.car")); !strings.Contains(out, docs) || !strings.Contains(out, "success") {
		t.Errorf("dag import: %s", out)
	}
	if got, want := r.Run(t, "ls", "--size=false", docs), "a.txt\n"; !strings.Contains(got, "a.txt") || !strings.Contains(got, "sub/") {
		t.Errorf("ls: %s, without %s", got, want)
	}
	if got := r.Run(t, "cat", docs+"/a.txt"); got != "alpha" {
		t.Errorf("cat: %q", got)
	}
	r.Run(t, "get", "-o", file("got"), docs)
	h.same("src", "got")

	h.put("theirs/c.txt", "gamma")
	h.put("theirs/d/large", strings.Repeat("delta", 900_000))
	root := r.Run(t, "add", "-rQ", file("theirs"))
	car, err := r.Command("dag", "export", "--progress=false", root).Output()
	if err != nil {
		t.Fatal(err)
	}
	h.put("theirs.car", string(car))
	h.run("initialize", "-repo", "b")
	if got := h.sh("import-car -repo b < theirs.car"); got != root {
		t.Errorf("import-car: %s, and kubo added %s", got, root)
	}
	h.run("new-identity", "-repo", "b", "identities/me")
	h.run("add", "-repo", "b", "theirs", "root/theirs")
	if got := h.cid("b", "root/theirs"); got != root {
		t.Errorf("add: %s, and kubo added %s", got, root)
	}
	h.run("export", "-repo", "b", "root/theirs", "back")
	h.same("theirs", "back")
	if again := h.sh("export-car -repo b root/theirs | sha256sum; sha256sum < theirs.car"); strings.Fields(again)[0] != strings.Fields(again)[2] {
		t.Errorf("the two CARs of %s differ:\n%s", root, again)
	}
}

// TestNamesWithKubo hands the record of a name to one daemon, and finds the node by another, with which
// it is connected.
func TestNamesWithKubo(t *testing.T) {
	h, _ := publisher(t)
	dht := kubotest.Config("Routing.Type", `"dhtserver"`)
	one, two := kubotest.Daemon(t, dht), kubotest.Daemon(t, dht)
	kubotest.Connect(one, two)
	h.sh("export-car -repo a node > a.car")
	one.Run("dag", "import", filepath.Join(h.dir, "a.car"))
	name := h.run("publish-name", "-repo", "a", "-api", one.API, "node", "identities/me")
	node := h.cid("a", "node")
	if got := two.Run("name", "resolve", name); got != "/ipfs/"+node {
		t.Errorf("kubo resolves %s to %s, and the node is %s", name, got, node)
	}
	h.run("initialize", "-repo", "b")
	h.run("new-identity", "-repo", "b", "identities/me")
	h.sh("message-read-reference -repo a identities/me | add-friend-from-message -repo b")
	at := h.sh("resolve-name -repo b -api " + two.API + " " + name + " | add-node-from-message -repo b")
	h.run("merge", "-repo", "b", "-gateway", two.Gateway, "root", at+"/root")
	h.run("export", "-repo", "b", "root/docs", "got")
	h.same("src", "got")

	// A newer node takes its place, and the gateway of a daemon has the record, too.
	h.run("new-node", "-repo", "a", "node", "identities/me")
	h.run("publish-name", "-repo", "a", "-api", one.API, "node", "identities/me")
	h.sh("export-car -repo a node > a.car")
	one.Run("dag", "import", filepath.Join(h.dir, "a.car"))
	h.sh("resolve-name -repo b -gateway " + one.Gateway + " " + name + " | add-node-from-message -repo b")
	if got, want := h.sh("info -repo b "+at+" | grep sequence"), "sequence   2"; got != want {
		t.Errorf("after the newer node: %q, want %q", got, want)
	}
}

// TestNameInDaemonOffline keeps a record in a daemon without peers, whose gateway gives it.
func TestNameInDaemonOffline(t *testing.T) {
	h, _ := publisher(t)
	k := kubotest.Daemon(t, kubotest.Offline)
	h.sh("export-car -repo a node > a.car")
	k.Run("dag", "import", filepath.Join(h.dir, "a.car"))
	name := h.run("publish-name", "-repo", "a", "-api", k.API, "node", "identities/me")
	if got, want := h.sh("resolve-name -repo none -gateway "+k.Gateway+" "+name+" | message-to-json"), h.sh("message-read-reference -repo a node | message-to-json"); got != want {
		t.Errorf("resolved %s, want %s", got, want)
	}
}

// TestDaemonResolvesFromServe lets a daemon find a name by the routing of serve.
func TestDaemonResolvesFromServe(t *testing.T) {
	h, docs := publisher(t)
	name := h.run("publish-name", "-repo", "a", "-out", "a.ipns", "node", "identities/me")
	k := follower(t, h.serve("a"))
	node := h.cid("a", "node")
	if got := k.Run("name", "resolve", name); got != "/ipfs/"+node {
		t.Errorf("%s, want %s", got, node)
	}
	k.Run("pin", "add", "/ipns/"+name)
	if got := k.Run("cat", "--offline", docs+"/a.txt"); got != "alpha" {
		t.Errorf("%q", got)
	}
}

// TestNameKeyInKubo takes the key of a name into kubo.
func TestNameKeyInKubo(t *testing.T) {
	h, _ := publisher(t)
	name := h.run("publish-name", "-repo", "a", "-out", "a.ipns", "node", "identities/me")
	r := kubotest.NewRepo(t)
	key := h.sh("ls a/names/*.key")
	if got := r.Run(t, "key", "import", "mine", filepath.Join(h.dir, key)); got != name {
		t.Errorf("kubo has %s, and the name is %s", got, name)
	}
	r.Run(t, "name", "inspect", "--verify="+name, filepath.Join(h.dir, "a.ipns"))
}
