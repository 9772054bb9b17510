package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"archivecache/internal/repotest"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

// The tests here are about the order of events: their workspaces commit and follow when they are told to.

// A desk is a workspace and what is done in it.
type desk struct {
	*testing.T
	*Workspace
	said []string
}

func sit(t *testing.T, dir string) *desk {
	t.Helper()
	r, err := repo.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	d := &desk{T: t}
	d.Workspace, err = open(t.Context(), r, Options{
		Command: "mount", Timeout: 2 * time.Second,
		Log: func(format string, args ...any) { d.said = append(d.said, fmt.Sprintf(format, args...)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) at(at string) *Node {
	d.Helper()
	n := d.Top()
	for _, name := range strings.Split(at, "/") {
		kid, err := n.Lookup(d.Context(), name)
		if err != nil {
			d.Fatalf("%s: %s: %v", at, name, err)
		}
		n = kid
	}
	return n
}

func (d *desk) dirOf(at string) (*Node, string) {
	d.Helper()
	return d.at(filepath.Dir(at)), filepath.Base(at)
}

// write writes a file, which need not be there.
func (d *desk) write(at, text string) {
	d.Helper()
	h := d.open(at)
	defer h.Close()
	d.put(h, text)
}

func (d *desk) open(at string) *Handle {
	d.Helper()
	n, name := d.dirOf(at)
	_, h, err := n.Create(d.Context(), name, 0o644)
	if errors.Is(err, syscall.EEXIST) {
		h, err = d.at(at).Open(d.Context(), true)
	}
	if err != nil {
		d.Fatalf("%s: %v", at, err)
	}
	return h
}

func (d *desk) put(h *Handle, text string) {
	d.Helper()
	size := int64(len(text))
	_, err := h.WriteAt(d.Context(), []byte(text), 0)
	if err = errors.Join(err, h.Node().SetAttr(d.Context(), Setting{Size: &size})); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) mkdir(at string) {
	d.Helper()
	n, name := d.dirOf(at)
	if _, err := n.Mkdir(d.Context(), name, 0o755); err != nil {
		d.Fatalf("%s: %v", at, err)
	}
}

func (d *desk) rename(from, to string) {
	d.Helper()
	n, name := d.dirOf(from)
	other, toName := d.dirOf(to)
	if err := n.Rename(d.Context(), name, other, toName, false); err != nil {
		d.Fatalf("%s to %s: %v", from, to, err)
	}
}

func (d *desk) remove(at string, dir bool) {
	d.Helper()
	n, name := d.dirOf(at)
	if err := n.Remove(d.Context(), name, dir); err != nil {
		d.Fatalf("%s: %v", at, err)
	}
}

func (d *desk) commit() {
	d.Helper()
	if err := d.Commit(d.Context()); err != nil {
		d.Fatal(err)
	}
}

// want checks what a file has; "" is that there is none.
func (d *desk) want(at, text string) {
	d.Helper()
	if got := d.text(at); got != text {
		d.Errorf("%s has %.60q, and should have %.60q; said: %q", at, got, text, d.said)
	}
}

func (d *desk) text(at string) string {
	n := d.Top()
	for _, name := range strings.Split(at, "/") {
		kid, err := n.Lookup(d.Context(), name)
		if err != nil {
			return ""
		}
		n = kid
	}
	h, err := n.Open(d.Context(), false)
	if err != nil {
		return "error: " + err.Error()
	}
	defer h.Close()
	b := make([]byte, n.Attr().Size)
	if _, err := h.ReadAt(d.Context(), b, 0); err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

// crash returns a workspace on a copy of the repository as it is, as after kill -9. Cut is called with
// the copy first.
func (d *desk) crash(cut func(folder string)) *desk {
	d.Helper()
	dir := filepath.Join(d.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", d.Dir(), dir).CombinedOutput(); err != nil {
		d.Fatalf("%v: %s", err, out)
	}
	if cut != nil {
		cut(filepath.Join(dir, workspacesFolder, d.id))
	}
	return sit(d.T, dir)
}

// each runs a test in an owned and in a shared directory.
func each(t *testing.T, fn func(t *testing.T, a, b *desk, in string)) {
	for _, in := range []string{"root/mine", "root/forum"} {
		t.Run(filepath.Base(in), func(t *testing.T) {
			dir := repotest.New(t)
			a, b := sit(t, dir), sit(t, dir)
			if in == "root/mine" {
				a.mkdir(in)
				a.commit()
			}
			b.poll()
			fn(t, a, b, in)
		})
	}
}

// TestBothMakeADirectory has two workspaces make one directory: the files of both are there.
func TestBothMakeADirectory(t *testing.T) {
	each(t, func(t *testing.T, a, b *desk, in string) {
		a.mkdir(in + "/d")
		a.write(in+"/d/of-a", "a")
		b.mkdir(in + "/d")
		b.write(in+"/d/of-b", "b")
		b.commit()
		a.poll()
		a.commit()
		b.poll()
		for _, d := range []*desk{a, b} {
			d.want(in+"/d/of-a", "a")
			d.want(in+"/d/of-b", "b")
		}
	})
}

// TestRenamedMeanwhile renames a directory, or removes it, while somebody else commits into it: that
// stays where it is.
func TestRenamedMeanwhile(t *testing.T) {
	for _, polled := range []bool{true, false} {
		for _, renamed := range []bool{true, false} {
			each(t, func(t *testing.T, a, b *desk, in string) {
				a.mkdir(in + "/d")
				a.write(in+"/d/f", "old")
				a.commit()
				b.poll()
				if renamed {
					a.rename(in+"/d", in+"/e")
				} else {
					a.remove(in+"/d/f", false)
					a.remove(in+"/d", true)
				}
				b.write(in+"/d/x", "of b")
				b.commit()
				if polled {
					a.poll()
				}
				a.commit()
				b.poll()
				for _, d := range []*desk{a, b} {
					d.want(in+"/d/x", "of b")
					d.want(in+"/d/f", "")
					if renamed {
						d.want(in+"/e/f", "old")
					}
				}
			})
		}
	}
}

// TestOwnCommitsAreNotOthers renames a directory while what was written into it is being committed.
func TestOwnCommitsAreNotOthers(t *testing.T) {
	each(t, func(t *testing.T, a, b *desk, in string) {
		a.mkdir(in + "/d")
		a.write(in+"/d/f", "old")
		a.commit()
		a.write(in+"/d/f", "new")
		a.write(in+"/d/g", "more")
		g, err := a.take(true)
		if err != nil {
			t.Fatal(err)
		}
		a.rename(in+"/d", in+"/e")
		if _, err := a.store(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		a.commit()
		b.poll()
		for _, d := range []*desk{a, b} {
			d.want(in+"/e/f", "new")
			d.want(in+"/e/g", "more")
			d.want(in+"/d/f", "")
			d.want(in+"/d/g", "")
		}
	})
}

// TestDamagedFileStopsNobody loses the first block of a file that others change: everything else is
// followed, and what they commit is not undone.
func TestDamagedFileStopsNobody(t *testing.T) {
	dir := repotest.New(t)
	a, b := sit(t, dir), sit(t, dir)
	for _, name := range []string{"big", "other", "mine"} {
		a.write("root/forum/"+name, strings.Repeat(name, 10))
	}
	a.commit()
	b.poll()
	b.write("root/forum/big", strings.Repeat("0123456789abcdef", 200_000))
	b.write("root/forum/other", "new")
	b.commit()
	a.blocks.Getter = without{a.blocks.Getter, b.at("root/forum/big").entry.Cid.KeyString()}
	a.write("root/forum/mine", "of a")
	a.commit()
	a.want("root/forum/other", "new")
	b.poll()
	b.write("root/forum/mine", "of b")
	b.commit()
	a.write("root/forum/more", "more")
	a.commit()
	b.poll()
	b.want("root/forum/mine", "of b")
	a.want("root/forum/mine", "of b")
	if _, err := a.at("root/forum").Lookup(t.Context(), "big"); !errors.Is(err, syscall.EIO) {
		t.Errorf("the damaged file: %v", err)
	}
}

// TestRefusedFile has somebody else make a directory where a file is written: what was written is kept,
// and nothing more is taken.
func TestRefusedFile(t *testing.T) {
	dir := repotest.New(t)
	a, b := sit(t, dir), sit(t, dir)
	h := a.open("root/forum/f")
	a.put(h, "first")
	b.mkdir("root/forum/f")
	b.write("root/forum/f/x", "x")
	b.commit()
	a.commit()
	kept, err := filepath.Glob(filepath.Join(dir, workspacesFolder, refusedFolder, "*", "f"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept: %v, %v; said %q", kept, err, a.said)
	}
	if text, err := os.ReadFile(kept[0]); err != nil || string(text) != "first" {
		t.Errorf("kept is %q, %v", text, err)
	}
	if _, err := h.WriteAt(t.Context(), []byte("second"), 0); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("a write after that: %v", err)
	}
	if err := h.Sync(); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("a sync after that: %v", err)
	}
	a.want("root/forum/f/x", "x")
}

// TestFollowedWhileSynced has somebody else commit a file while it is synced.
func TestFollowedWhileSynced(t *testing.T) {
	dir := repotest.New(t)
	a, b := sit(t, dir), sit(t, dir)
	h := a.open("root/forum/f")
	a.put(h, "v1")
	a.commit()
	b.poll()
	f := h.file
	f.mu.Lock()
	f.snapshots++ // as sync does
	f.mu.Unlock()
	b.write("root/forum/f", "v2")
	b.commit()
	a.poll()
	f.release()
	a.want("root/forum/f", "v2")
	h.Close()
	a.want("root/forum/f", "v2")
}

// TestExecutableMeanwhile commits between the steps of a chmod.
func TestExecutableMeanwhile(t *testing.T) {
	dir := repotest.New(t)
	a := sit(t, dir)
	a.write("root/forum/f", "#!/bin/sh")
	a.commit()
	mode := uint32(0o755)
	if err := a.at("root/forum/f").SetAttr(t.Context(), Setting{Mode: &mode}); err != nil {
		t.Fatal(err)
	}
	a.commit()
	b := sit(t, dir)
	if info, err := b.stat(t.Context(), b.at("root/forum/f").entry); err != nil || !info.Executable {
		t.Errorf("what is committed is executable: %v, %v", info.Executable, err)
	}
}

// TestRenamedWhileWritten commits while a file that was renamed is being written: it is somewhere.
func TestRenamedWhileWritten(t *testing.T) {
	dir := repotest.New(t)
	a := sit(t, dir)
	a.write("root/forum/log", "lines")
	a.commit()
	h := a.open("root/forum/log")
	defer h.Close()
	a.put(h, "lines and")
	a.rename("root/forum/log", "root/forum/log.1")
	a.put(h, "lines and more")
	a.committing.Lock()
	err := a.Workspace.commit(t.Context(), false)
	a.committing.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	b := sit(t, dir)
	b.want("root/forum/log", "")
	b.want("root/forum/log.1", "lines and more")
}

// TestPowerLoss cuts the journal to what was synced: a file that was replaced is the old one, or the
// new one.
func TestPowerLoss(t *testing.T) {
	dir := repotest.New(t)
	a := sit(t, dir)
	for _, name := range []string{"config", "config.new"} {
		a.write("root/forum/"+name, name)
		if err := a.at("root/forum/" + name).Sync(); err != nil {
			t.Fatal(err)
		}
	}
	a.rename("root/forum/config.new", "root/forum/config")
	a.write("root/forum/another", "takes a local file")
	j := a.journal.Load()
	b := a.crash(func(folder string) {
		if err := os.Truncate(filepath.Join(folder, filepath.Base(j.file.Name())), j.synced); err != nil {
			t.Fatal(err)
		}
	})
	if got := b.text("root/forum/config"); got != "config" && got != "config.new" {
		t.Errorf("config has %q", got)
	}
}

// TestModesOfRenamed expects modes and times below a renamed directory after a crash.
func TestModesOfRenamed(t *testing.T) {
	dir := repotest.New(t)
	a := sit(t, dir)
	a.mkdir("root/forum/d")
	a.write("root/forum/d/secret", "s")
	mode, at := uint32(0o600), time.Unix(1_000_000_000, 0)
	if err := a.at("root/forum/d/secret").SetAttr(t.Context(), Setting{Mode: &mode, Mtime: &at}); err != nil {
		t.Fatal(err)
	}
	a.commit()
	a.rename("root/forum/d", "root/forum/e")
	b := a.crash(nil)
	if attr := b.at("root/forum/e/secret").Attr(); attr.Mode != 0o600 || !attr.Mtime.Equal(at) {
		t.Errorf("after the crash: %o, %v", attr.Mode, attr.Mtime)
	}
}

// TestHolesAreNotHashed recovers a file of a TiB, which is a hole but for a few bytes.
func TestHolesAreNotHashed(t *testing.T) {
	dir := repotest.New(t)
	a := sit(t, dir)
	a.write("root/forum/f", "start")
	size := int64(1) << 40
	if err := a.at("root/forum/f").SetAttr(t.Context(), Setting{Size: &size}); err != nil {
		t.Fatal(err)
	}
	b := a.crash(nil)
	if got := b.at("root/forum/f").Attr().Size; got != size {
		t.Errorf("%d bytes", got)
	}
}

// TestClosed writes to a workspace that is being closed: nothing is acknowledged that is not kept.
func TestClosed(t *testing.T) {
	dir := repotest.New(t)
	a := sit(t, dir)
	h := a.open("root/forum/f")
	a.put(h, "first")
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt(t.Context(), []byte("second"), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("a write after that: %v", err)
	}
	sit(t, dir).want("root/forum/f", "first")
}

// TestFailedWrite has a write fail halfway: nothing of what it added is there, now, committed, or after
// a crash.
func TestFailedWrite(t *testing.T) {
	if os.Getenv("ARCHIVECACHE_TEST_LIMITED") == "" {
		cmd := exec.Command("bash", "-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" -test.run '^TestFailedWrite$'", os.Args[0])
		cmd.Env = append(os.Environ(), "ARCHIVECACHE_TEST_LIMITED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := repotest.New(t)
	a := sit(t, dir)
	h := a.open("root/forum/f")
	a.put(h, "first")
	junk := slices.Repeat([]byte("x"), 900_000)
	if _, err := h.WriteAt(t.Context(), junk, 400_000); err == nil {
		t.Fatal("a write beyond the limit is acknowledged")
	}
	a.want("root/forum/f", "first")
	a.crash(nil).want("root/forum/f", "first")
	if _, err := h.WriteAt(t.Context(), []byte("end"), 500_000); err != nil {
		t.Fatal(err)
	}
	want := "first" + strings.Repeat("\x00", 500_000-len("first")) + "end"
	a.want("root/forum/f", want)
	a.commit()
	a.want("root/forum/f", want)
}

// without is a Getter that has lost a block.
type without struct {
	store.Getter
	key string
}

func (w without) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if c.KeyString() == w.key {
		return nil, &store.MissingError{Cid: c}
	}
	return w.Getter.Get(ctx, c)
}

// TestDeepRename moves what nobody has looked into to where its names do not fit.
func TestDeepRename(t *testing.T) {
	dir := repotest.New(t)
	a := sit(t, dir)
	deep := func(from string, levels int) string {
		n := a.at(from)
		for range levels {
			var err error
			if n, err = n.Mkdir(t.Context(), "d", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		at, _ := n.Path()
		return at
	}
	a.mkdir("root/forum/x")
	a.write(deep("root/forum/x", path.MaxDepth-4)+"/f", "deep")
	a.mkdir("root/forum/y")
	bottom := deep("root/forum/y", 10)
	a.commit()
	b := sit(t, dir)
	err := b.at("root/forum").Rename(t.Context(), "x", b.at(bottom), "x", false)
	if !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("a rename to where it does not fit: %v", err)
	}
	b.rename("root/forum/x", "root/x")
	b.commit()
	b.want("root/x/"+strings.Repeat("d/", path.MaxDepth-4)+"f", "deep")
}
