package unixfs_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// oracleBuild returns what boxo makes of entries that are added one by one.
func oracleBuild(t fataler, entries []unixfs.Entry) unixfs.Entry {
	t.Helper()
	dir := newOracleDir(t, newOracle())
	for _, e := range entries {
		if err := dir.AddChild(ctx, e.Name, claim{cid: e.Cid, size: e.Tsize}); err != nil {
			t.Fatal(err)
		}
	}
	n, err := dir.GetNode()
	if err != nil {
		t.Fatal(err)
	}
	size, err := n.Size()
	if err != nil {
		t.Fatal(err)
	}
	return unixfs.Entry{Cid: n.Cid(), Tsize: size}
}

func makeEntries(n int, name string) []unixfs.Entry {
	entries := make([]unixfs.Entry, n)
	for i := range entries {
		entries[i] = unixfs.Entry{Name: fmt.Sprintf(name, i), Cid: leafCid(i), Tsize: uint64(i) * 1000}
	}
	return entries
}

// switchAt returns how many entries of makeEntries fit into one block.
func switchAt(t testing.TB, name string) int {
	t.Helper()
	low, high := 0, 10000
	for low < high {
		mid := (low + high + 1) / 2
		m := newMemory()
		if e := build(t, m, makeEntries(mid, name)); len(m.blocks[e.Cid.KeyString()]) <= unixfs.MaxDirectory && m.puts == 1 {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}

func build(t testing.TB, m *memory, entries []unixfs.Entry) unixfs.Entry {
	t.Helper()
	e, err := unixfs.Build(ctx, m, entries)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestDirectoryCids(t *testing.T) {
	const name = "file number %d with a name"
	at := switchAt(t, name)
	for _, n := range []int{0, 1, 2, 1000, at - 1, at, at + 1, 2 * at, 20000} {
		entries := makeEntries(n, name)
		rand.Shuffle(n, func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		m := newMemory()
		got := build(t, m, entries)
		if want := oracleBuild(t, entries); got != want {
			t.Errorf("%d entries: %v, want %v", n, got, want)
		}
		d, err := unixfs.OpenDir(ctx, m, got.Cid)
		if err != nil {
			t.Fatal(err)
		}
		if d.Sharded() != (n > at) {
			t.Errorf("%d entries: sharded is %t", n, d.Sharded())
		}
		checkEntries(t, d, entries)
	}
}

func checkEntries(t *testing.T, d *unixfs.Dir, want []unixfs.Entry) {
	t.Helper()
	want = slices.SortedFunc(slices.Values(want), func(a, b unixfs.Entry) int { return strings.Compare(a.Name, b.Name) })
	got, err := d.List(ctx, len(want))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("List of %d entries differs", len(want))
	}
	for _, e := range want[:min(len(want), 50)] {
		if found, err := d.Lookup(ctx, e.Name); err != nil || found != e {
			t.Errorf("Lookup(%q) = %v, %v", e.Name, found, err)
		}
	}
	if _, err := d.Lookup(ctx, "not there"); !errors.Is(err, unixfs.ErrNoEntry) {
		t.Errorf("Lookup of a missing name: %v", err)
	}
	if len(want) > 1 {
		if _, err := d.List(ctx, len(want)-1); err == nil {
			t.Error("List over its limit went well")
		}
	}
	stop := errors.New("stop")
	if len(want) > 0 {
		if err := d.Each(ctx, func(unixfs.Entry) error { return stop }); err != stop {
			t.Errorf("Each = %v", err)
		}
	}
}

func TestEmptyDir(t *testing.T) {
	b, e := unixfs.EmptyDir()
	if want := oracleBuild(t, nil); e != want || !e.Cid.Equals(b.Cid) {
		t.Errorf("EmptyDir = %v, want %v", e, want)
	}
}

// model is a directory as a map.
type model map[string]unixfs.Entry

func (m model) entries() []unixfs.Entry { return slices.Collect(maps.Values(m)) }

// TestEditProperty edits at random and around the switch; the result has to be what
// boxo builds from nothing, and Diff has to tell exactly what changed.
func TestEditProperty(t *testing.T) {
	const name = "%040d some longer name so that there need not be so many"
	at := switchAt(t, name)
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom([]int{0, 3, at - 2, at - 1, at, at + 1, at + 3}).Draw(t, "start")
		m, have := newMemory(), model{}
		for _, e := range makeEntries(start, name) {
			have[e.Name] = e
		}
		dir, err := unixfs.Build(ctx, m, have.entries())
		if err != nil {
			t.Fatal(err)
		}
		for step := range rapid.IntRange(1, 4).Draw(t, "steps") {
			changes := drawChanges(t, have, name, at, step)
			want := maps.Clone(have)
			for _, c := range changes {
				if c.Cid.Defined() {
					want[c.Name] = c
				} else {
					delete(want, c.Name)
				}
			}
			edited, err := unixfs.Edit(ctx, m, dir.Cid, changes)
			if err != nil {
				t.Fatal(err)
			}
			if scratch := oracleBuild(t, want.entries()); edited != scratch {
				t.Fatalf("%d entries after %d changes: %v, from nothing %v", len(want), len(changes), edited, scratch)
			}
			checkDiff(t, m, dir.Cid, edited.Cid, have, want)
			checkDiffNew(t, m, dir.Cid, edited.Cid, have, want)
			few := model{}
			for _, c := range changes {
				if c.Cid.Defined() {
					few[c.Name] = c
				}
			}
			small, err := unixfs.Build(ctx, m, few.entries())
			if err != nil {
				t.Fatal(err)
			}
			checkDiffNew(t, m, dir.Cid, small.Cid, have, few)
			dir, have = edited, want
		}
	})
}

// drawChanges sets, replaces and removes a few entries, among them some that are not there.
func drawChanges(t *rapid.T, have model, name string, at, step int) []unixfs.Entry {
	numbers := rapid.SliceOfNDistinct(rapid.OneOf(
		rapid.IntRange(0, 5), rapid.IntRange(at-5, at+5)), 0, 8, rapid.ID[int]).Draw(t, "numbers")
	var changes []unixfs.Entry
	for _, i := range numbers {
		e := unixfs.Entry{Name: fmt.Sprintf(name, i)}
		switch rapid.SampledFrom([]string{"set", "same", "remove"}).Draw(t, "change") {
		case "set":
			e.Cid, e.Tsize = leafCid(i+step*100000), rapid.Uint64Range(0, 1<<40).Draw(t, "size")
		case "same":
			e = have[e.Name]
			e.Name = fmt.Sprintf(name, i)
		}
		changes = append(changes, e)
	}
	return changes
}

func checkDiff(t *rapid.T, m *memory, a, b cid.Cid, old, updated model) {
	seen := model{}
	err := unixfs.Diff(ctx, m, a, b, func(name string, o, u *unixfs.Entry) error {
		if _, ok := seen[name]; ok {
			t.Errorf("Diff tells %q twice", name)
		}
		seen[name] = unixfs.Entry{}
		was, had := old[name]
		is, has := updated[name]
		if had != (o != nil) || has != (u != nil) || had && *o != was || has && *u != is {
			t.Errorf("Diff of %q = %v, %v, want %v, %v", name, o, u, was, is)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range old {
		if _, ok := seen[name]; !ok && updated[name] != e {
			t.Errorf("Diff misses %q", name)
		}
	}
	for name := range updated {
		if _, had := old[name]; !had && seen[name] != (unixfs.Entry{}) {
			t.Errorf("Diff misses new %q", name)
		}
	}
}

// checkDiffNew compares DiffNew with what differs of updated.
func checkDiffNew(t *rapid.T, m *memory, a, b cid.Cid, old, updated model) {
	want := model{}
	for name, e := range updated {
		if old[name] != e {
			want[name] = e
		}
	}
	got := model{}
	err := unixfs.DiffNew(ctx, m, a, b, func(name string, o, u *unixfs.Entry) error {
		if _, ok := got[name]; ok || u == nil {
			t.Fatalf("DiffNew tells of %q twice, or without an entry", name)
		}
		got[name] = *u
		if was, had := old[name]; had != (o != nil) || had && *o != was {
			t.Errorf("DiffNew of %q: old is %v, want %v", name, o, was)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("DiffNew tells of %v, want %v", got, want)
	}
}

// TestEditGrowsAndShrinks goes far beyond the switch and back to nothing.
func TestEditGrowsAndShrinks(t *testing.T) {
	m := newMemory()
	all := makeEntries(12000, "some file %d")
	empty, dir := unixfs.EmptyDir()
	m.Put(ctx, empty)
	for n := 0; n < len(all); n += 3000 {
		dir = edit(t, m, dir, all[n:n+3000])
		if want := build(t, newMemory(), all[:n+3000]); dir != want {
			t.Fatalf("grown to %d: %v, want %v", n+3000, dir, want)
		}
	}
	for n := len(all); n > 0; n -= 1000 {
		gone := slices.Clone(all[n-1000 : n])
		for i := range gone {
			gone[i].Cid = cid.Undef
		}
		dir = edit(t, m, dir, gone)
		if want := build(t, newMemory(), all[:n-1000]); dir != want {
			t.Fatalf("shrunk to %d: %v, want %v", n-1000, dir, want)
		}
	}
}

func edit(t testing.TB, m *memory, dir unixfs.Entry, changes []unixfs.Entry) unixfs.Entry {
	t.Helper()
	e, err := unixfs.Edit(ctx, m, dir.Cid, changes)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestCost counts blocks: an edit and a comparison touch what changes.
func TestCost(t *testing.T) {
	m := newMemory()
	dir := build(t, m, makeEntries(100000, "file %d"))
	m.reset()
	changed := edit(t, m, dir, []unixfs.Entry{{Name: "file 5", Cid: leafCid(-1)}, {Name: "new", Cid: leafCid(-2)}})
	if m.gets > 8 || m.puts > 8 {
		t.Errorf("two changes read %d blocks and wrote %d", m.gets, m.puts)
	}
	m.reset()
	removed := edit(t, m, changed, []unixfs.Entry{{Name: "new"}})
	if m.gets > 80 {
		t.Errorf("one removal read %d blocks", m.gets)
	}
	if again := edit(t, m, removed, []unixfs.Entry{{Name: "new"}}); again != removed {
		t.Errorf("removing again: %v, want %v", again, removed)
	}
	m.reset()
	count := 0
	err := unixfs.Diff(ctx, m, dir.Cid, changed.Cid, func(string, *unixfs.Entry, *unixfs.Entry) error { count++; return nil })
	if err != nil || count != 2 || m.gets > 16 {
		t.Errorf("Diff: %v, %d differences, %d blocks read", err, count, m.gets)
	}
}

func TestRefusedEntries(t *testing.T) {
	m := newMemory()
	empty, dir := unixfs.EmptyDir()
	m.Put(ctx, empty)
	good := leafCid(1)
	sha512, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: 0x13, MhLength: -1}.Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for reason, entries := range map[string][]unixfs.Entry{
		"no name":    {{Name: "", Cid: good}},
		"dot":        {{Name: ".", Cid: good}},
		"dots":       {{Name: "..", Cid: good}},
		"slash":      {{Name: "a/b", Cid: good}},
		"zero":       {{Name: "a\x00", Cid: good}},
		"long":       {{Name: strings.Repeat("n", 256), Cid: good}},
		"twice":      {{Name: "a", Cid: good}, {Name: "b", Cid: good}, {Name: "a", Cid: good}},
		"other hash": {{Name: "a", Cid: sha512}},
	} {
		if _, err := unixfs.Build(ctx, m, entries); err == nil {
			t.Errorf("Build with %s went well", reason)
		}
		if _, err := unixfs.Edit(ctx, m, dir.Cid, entries); err == nil {
			t.Errorf("Edit with %s went well", reason)
		}
	}
	if _, err := unixfs.Build(ctx, m, []unixfs.Entry{{Name: "a"}}); err == nil {
		t.Error("Build without a CID went well")
	}
	file, _ := unixfs.AddFile(ctx, m, content(5), unixfs.Attr{})
	if _, err := unixfs.Edit(ctx, m, file.Cid, nil); !errors.Is(err, unixfs.ErrNotDirectory) {
		t.Errorf("Edit of a file: %v", err)
	}
}

// hostileDir writes a directory node by hand.
func hostileDir(m *memory, n *unixfs.Node) unixfs.Link {
	b := store.NewBlock(cid.DagProtobuf, n.Encode())
	m.Put(ctx, b)
	return unixfs.NewLink("", b.Cid, uint64(len(b.Data)))
}

// TestMisplacedShards moves and repeats shards that are right elsewhere.
func TestMisplacedShards(t *testing.T) {
	m := newMemory()
	dir := build(t, m, makeEntries(20000, "entry %d"))
	root, err := unixfs.DecodeNode(m.blocks[dir.Cid.KeyString()])
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(reason string, change func(n *unixfs.Node)) {
		n := *root
		n.Links = slices.Clone(root.Links)
		change(&n)
		l := hostileDir(m, &n)
		d, err := unixfs.OpenDir(ctx, m, l.Cid())
		if err == nil {
			_, err = d.List(ctx, 0)
		}
		if !errors.Is(err, unixfs.ErrMalformed) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	swap := func(n *unixfs.Node, i int, l unixfs.Link) {
		n.Links[i] = unixfs.NewLink(n.Links[i].Name, l.Cid(), l.Tsize)
	}
	refuse("a shard repeated", func(n *unixfs.Node) { swap(n, 0, n.Links[1]) })
	refuse("the directory in itself", func(n *unixfs.Node) { swap(n, 0, unixfs.NewLink("", dir.Cid, 1)) })
	refuse("an entry in a wrong slot", func(n *unixfs.Node) { n.Links[3].Name += "entry 1" })
	refuse("a missing shard", func(n *unixfs.Node) { swap(n, 0, unixfs.NewLink("", store.Sum(cid.DagProtobuf, nil), 1)) })
	refuse("a raw shard", func(n *unixfs.Node) { swap(n, 0, unixfs.NewLink("", leafCid(1), 1)) })
	empty, _ := unixfs.EmptyDir()
	m.Put(ctx, empty)
	refuse("a plain directory as shard", func(n *unixfs.Node) { swap(n, 0, unixfs.NewLink("", empty.Cid, 1)) })
	void := hostileDir(m, &unixfs.Node{Kind: unixfs.HAMTShard})
	refuse("an empty shard", func(n *unixfs.Node) { swap(n, 0, void) })
	refuse("shards without end", func(n *unixfs.Node) {
		l := void
		for range 10 {
			l = hostileDir(m, &unixfs.Node{Kind: unixfs.HAMTShard, Data: []byte{1}, Links: []unixfs.Link{unixfs.NewLink("00", l.Cid(), 1)}})
		}
		swap(n, 0, l)
	})
}

func BenchmarkEdit200k(b *testing.B) {
	m := newMemory()
	dir := build(b, m, makeEntries(200000, "file %d"))
	for name, change := range map[string]func(i int) unixfs.Entry{
		"set": func(i int) unixfs.Entry {
			return unixfs.Entry{Name: fmt.Sprintf("file %d", i*1999), Cid: leafCid(-i - 1)}
		},
		"add":    func(i int) unixfs.Entry { return unixfs.Entry{Name: fmt.Sprintf("new %d", i), Cid: leafCid(i)} },
		"remove": func(i int) unixfs.Entry { return unixfs.Entry{Name: fmt.Sprintf("file %d", i*1999)} },
	} {
		changes := make([]unixfs.Entry, 100)
		for i := range changes {
			changes[i] = change(i)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				edit(b, m, dir, changes)
			}
		})
	}
}

func BenchmarkBuild200k(b *testing.B) {
	entries := makeEntries(200000, "file %d")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unixfs.Build(ctx, nowhere{}, entries); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode1000(b *testing.B) {
	m := newMemory()
	data := m.blocks[build(b, m, makeEntries(1000, "file %d")).Cid.KeyString()]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unixfs.DecodeNode(data); err != nil {
			b.Fatal(err)
		}
	}
}
