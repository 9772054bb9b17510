package cmd_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// TestStockAge opens what export-identity writes with the age library alone.
func TestStockAge(t *testing.T) {
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	id := h.run("new-identity", "-repo", "a", "identities/me")
	const words = "four words and more"
	cmd, said := h.command("export-identity", "-repo", "a", "identities/me")
	cmd.Env = append(os.Environ(), "ARCHIVECACHE_PASSPHRASE="+words)
	backup, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	scrypt, err := age.NewScryptIdentity(words)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := age.Decrypt(armor.NewReader(bytes.NewReader(backup)), scrypt)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(h.dir, "a", "keys", id+".key"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, key) {
		t.Error("the backup does not hold the key file")
	}
}

// TestSilentServer merges from an address that takes connections and never answers: the merge ends
// within its deadline, names the block, and says whom it asked.
func TestSilentServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	h := newHome(t)
	for _, who := range []string{"a", "b"} {
		h.run("initialize", "-repo", who)
		h.run("new-identity", "-repo", who, "identities/me")
	}
	h.put("src/f", "something")
	h.run("add", "-repo", "a", "src", "root/docs")
	h.run("new-node", "-repo", "a", "-address", "http://"+ln.Addr().String(), "node", "identities/me")
	h.sh("message-read-reference -repo a identities/me | add-friend-from-message -repo b")
	node := h.sh("message-read-reference -repo a node | add-node-from-message -repo b")
	before := h.now("b")
	for _, args := range [][]string{{"merge", "-repo", "b", "-timeout", "1s", "root", node + "/root"}, {"merge-all", "-repo", "b", "-timeout", "1s"}} {
		start := time.Now()
		cmd, said := h.command(args[0], args[1:]...)
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%q: %v", args, err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%q took %v", args, took)
		}
		for _, word := range []string{ln.Addr().String(), "baf"} {
			if !strings.Contains(said.String(), word) {
				t.Errorf("%q does not say %s: %s", args, word, said)
			}
		}
	}
	if after := h.now("b"); after != before {
		t.Errorf("the repository went from %v to %v", before, after)
	}
}

// TestInterrupted stops a merge that waits, as from the keyboard.
func TestInterrupted(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	h := newHome(t)
	h.run("initialize", "-repo", "a")
	h.run("new-identity", "-repo", "a", "identities/me")
	cmd := exec.Command(filepath.Join(bin, "add"), "-repo", "a", "-", "root/docs/x")
	cmd.Dir = h.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	before := h.now("a")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "half a file"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	cmd.Process.Signal(os.Interrupt)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		cmd.Process.Kill()
		t.Fatal("it does not end")
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("status %d", code)
	}
	if after := h.now("a"); after != before {
		t.Errorf("the repository went from %v to %v", before, after)
	}
}
