package cmd_test

import (
	"strings"
	"testing"

	"archivecache/internal/kubotest"
)

// TestMisbehavingDaemon has the daemon that is the store misbehave under commands that read and write.
// Each says what is wrong and what to do, and changes nothing; when the daemon is well again, all is
// there, and the same command does what it should.
func TestMisbehavingDaemon(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	var now kubotest.Switch
	h := newHome(t)
	h.run("initialize", "-repo", "a", "-store", "kubo", "-api", kubotest.Faulty(t, k, now.Fault))
	h.run("new-identity", "-repo", "a", "identities/me")
	h.fillLarge("src", 0)
	h.put("src/small", "small")
	h.run("add", "-repo", "a", "src", "root/docs")
	add, cat := []string{"add", "-repo", "a", "more", "root/more"}, []string{"cat", "-repo", "a", "root/docs/small"}
	for name, c := range map[string]struct {
		fault   kubotest.Fault
		command []string
		says    []string
	}{
		"wrong bytes":           {kubotest.WrongBytes("block/get"), cat, []string{"do not match the hash"}},
		"too many bytes":        {kubotest.Longer(4<<20, "block/get"), cat, []string{"too long"}},
		"half an answer":        {kubotest.CutAnswer(2, "block/get"), cat, []string{"not reachable", "the connection was cut"}},
		"no bytes, and says so": {kubotest.Error500("the datastore is broken", "block/get"), cat, []string{"the datastore is broken"}},
		"bad gateway":           {kubotest.Status(502), cat, []string{"not the RPC API of kubo", "hint: name the address of the RPC API"}},
		"forbidden":             {kubotest.Status(403), add, []string{"access denied", "hint: the daemon's configuration"}},
		"disk full":             {kubotest.DiskFull(), add, []string{"the disk of kubo is full", "hint: make room for the daemon"}},
		"import says no":        {kubotest.Error500("the datastore is broken", "dag/import"), add, []string{"the datastore is broken"}},
		"import cut half-way":   {kubotest.CutRequest(1<<20, "dag/import"), add, []string{"not reachable"}},
		"import says nothing":   {kubotest.Answer("application/json", "{}\n", "dag/import"), add, []string{"says nothing known"}},
		"late failure":          {kubotest.Trailer("the datastore is broken", "dag/import"), add, []string{"the datastore is broken"}},
		"pin says no":           {kubotest.Error500("pinning is broken", "pin/add"), add, []string{"pinning is broken"}},
		"another version":       {kubotest.Version("0.39.0"), add, []string{"this kubo is too old", "hint: use kubo"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &home{T: t, dir: h.dir}
			h.fillLarge("more", len(name))
			before := h.now("a")
			now.Set(c.fault)
			said, status := h.fails(c.command[0], c.command[1:]...)
			now.Set(nil)
			if status != 1 {
				t.Errorf("status %d", status)
			}
			for _, words := range append(c.says, "IPFS daemon at /ip4/127.0.0.1/tcp/") {
				if !strings.Contains(said, words) {
					t.Errorf("it does not say %q: %s", words, said)
				}
			}
			if after := h.now("a"); after != before {
				t.Errorf("the repository went from %v to %v", before, after)
			}
		})
	}
	h.run("fsck", "-repo", "a")
	h.run(add[0], add[1:]...)
	k.Run("repo", "gc", "--quiet")
	h.run("fsck", "-repo", "a")
	for _, name := range []string{"docs", "more"} {
		h.run("export", "-repo", "a", "root/"+name, "out-"+name)
	}
	h.same("src", "out-docs")
	h.same("more", "out-more")
	if h.sh("log -repo a | wc -l") != "4" {
		t.Errorf("the log: %s", h.sh("log -repo a"))
	}

	// One that is gone in the middle of it all.
	k.Kill()
	if said, status := h.fails(cat[0], cat[1:]...); status != 1 || !strings.Contains(said, "IPFS daemon at") {
		t.Errorf("without the daemon: status %d, %s", status, said)
	}
	k.Start()
	if got := h.run(cat[0], cat[1:]...); got != "small" {
		t.Errorf("with it again: %q", got)
	}
}
