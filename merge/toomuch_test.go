package merge_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"archivecache/dagcbor"
	"archivecache/exchange"
	"archivecache/merge"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// slots writes a state with a good reference and n slots of an author with something in them that
// is none, and returns its root. Author is given a number.
func (v *victim) slots(good *reference.Reference, n int, author func(int) cid.Cid) cid.Cid {
	v.t.Helper()
	ctx := v.t.Context()
	m := merkle.NewMap(v.blocks, merkle.Split(reference.DirectoryKeySize), cid.Undef)
	data, err := dagcbor.Marshal(state.Value{Reference: good})
	v.must(err)
	v.must(m.Set(ctx, good.Slot().Key(), data))
	junk, err := dagcbor.Marshal(map[string]any{"x": 1})
	v.must(err)
	for i := 0; n > 0; i++ {
		slot := reference.Slot{Directory: store.Sum(cid.DagCBOR, fmt.Append(nil, i)), Author: author(i)}
		if bytes.Compare(slot.Directory.Bytes(), good.Slot().Directory.Bytes()) < 0 {
			continue // the lowest directory ids count
		}
		v.must(m.Set(ctx, slot.Key(), junk))
		n--
	}
	c, err := m.Flush(ctx, v.blocks)
	v.must(err)
	return c
}

func (v *victim) count(outcome state.Outcome) int {
	n := 0
	for _, c := range v.report.Changes {
		if c.Outcome == outcome {
			n++
		}
	}
	return n
}

// TestSlotsOfStrangers sends a state in which nearly all slots are of authors who are not accepted.
// They are not decoded, and a bounded number of them is told of, so that a million takes no memory.
func TestSlotsOfStrangers(t *testing.T) {
	v := newVictim(t)
	v.sendState(v.slots(v.layer("root/good", v.directory("good"), nil), 50_000, func(i int) cid.Cid {
		return store.Sum(cid.DagCBOR, fmt.Append(nil, "stranger ", i))
	}))
	got, err := v.merge()
	v.must(err)
	if got["root/good"] != state.New || !v.shows("root/good") {
		t.Errorf("the good one is %s", got["root/good"])
	}
	if n := v.count(state.Unknown); n != state.MaxUnknown || len(v.report.Changes) != n+1 {
		t.Errorf("%d strangers are told of in %d lines, want %d", n, len(v.report.Changes), state.MaxUnknown)
	}
}

// TestSlotsOfAFriend is the same with slots of an accepted author.
func TestSlotsOfAFriend(t *testing.T) {
	v := newVictim(t)
	const slots = 3 * state.MaxDirectories
	v.sendState(v.slots(v.layer("root/good", v.directory("good"), nil), slots, func(int) cid.Cid { return v.mallory.ID() }))
	got, err := v.merge()
	v.must(err)
	if got["root/good"] != state.New || !v.shows("root/good") {
		t.Errorf("the good one is %s", got["root/good"])
	}
	if n := v.count(state.RefusedForm); v.count(state.OverQuota) != 1 || n > 2*state.MaxDirectories {
		t.Errorf("%d over the quota, %d refused", v.count(state.OverQuota), n)
	}
}

// unfolding returns a directory of so many blocks that unfolds to 2^levels files.
func (v *victim) unfolding(levels int) cid.Cid {
	dir := v.directory("leaf")
	for range levels {
		dir = v.twice(dir)
	}
	return dir
}

func (v *victim) twice(dir cid.Cid) cid.Cid {
	d, err := unixfs.OpenDir(v.t.Context(), v.blocks, dir)
	v.must(err)
	a, b := d.Entry(), d.Entry()
	a.Name, b.Name = "a", "b"
	e, err := unixfs.Build(v.t.Context(), v.blocks, []unixfs.Entry{a, b})
	v.must(err)
	return e.Cid
}

// marked returns a tree of marks with one record.
func (v *victim) marked(name string, record map[string]any) cid.Cid {
	m := merkle.NewMap(v.blocks, merkle.Whole, cid.Undef)
	data, err := dagcbor.Marshal(record)
	v.must(err)
	v.must(m.Set(v.t.Context(), []byte(name), data))
	c, err := m.Flush(v.t.Context(), v.blocks)
	v.must(err)
	return c
}

// TestTooMuchInOneDirectory sends layers that are more than one author may have in a directory,
// beside good ones; then the same again, as changes of directories that were merged.
func TestTooMuchInOneDirectory(t *testing.T) {
	v := newVictim(t)
	marks := v.marked("f", map[string]any{"met": true})
	for range 39 {
		below := dagcbor.Link{Cid: marks}
		m := merkle.NewMap(v.blocks, merkle.Whole, cid.Undef)
		for _, name := range []string{"a", "b"} {
			data, err := dagcbor.Marshal(map[string]any{"below": below})
			v.must(err)
			v.must(m.Set(t.Context(), []byte(name), data))
		}
		var err error
		marks, err = m.Flush(t.Context(), v.blocks)
		v.must(err)
	}
	var hides []any
	for range shared.MaxMarks + 1 {
		hides = append(hides, map[string]any{"version": bytes.Repeat([]byte{1}, 32)})
	}
	deep := v.directory("deep")
	for range 10_000 {
		e := v.entry("d", deep)
		d, err := unixfs.Build(t.Context(), v.blocks, []unixfs.Entry{e})
		v.must(err)
		deep = d.Cid
	}
	bad := map[string][2]cid.Cid{
		"root/unfolds": {v.unfolding(40)}, "root/marks-unfold": {v.directory("f"), marks},
		"root/marks": {v.directory("f"), v.marked("f", map[string]any{"hides": hides})}, "root/deep": {deep},
	}
	good := []*reference.Reference{v.layer("root/good", v.directory("good"), nil), v.owned("root/own", v.unfolding(40))}
	refs, before := good, good
	for at, parts := range bad {
		refs = append(refs, v.layerOf(at, parts, nil))
	}
	v.send(refs...)
	v.expectTooMuch(bad)
	for at := range bad {
		before = append(before, v.layer(at, v.directory("small"), nil))
	}
	w := newVictimOf(t, v)
	w.send(before...)
	_, err := w.merge()
	w.must(err)
	refs = good
	for _, r := range before[len(good):] {
		refs = append(refs, w.layerOf(r.Path, bad[r.Path], r))
	}
	w.send(refs...)
	w.expectTooMuch(bad)
	for at := range bad {
		if !w.shows(at + "/f") {
			t.Errorf("%s: what was there before is gone", at)
		}
	}
}

func (v *victim) expectTooMuch(bad map[string][2]cid.Cid) {
	v.t.Helper()
	begin := time.Now()
	got, err := v.merge()
	v.must(err)
	for at := range bad {
		want := state.OverQuota
		if at == "root/deep" {
			want = state.RefusedForm
		}
		if got[at] != want {
			v.t.Errorf("%s: %s, want %s", at, got[at], want)
		}
	}
	if !v.shows("root/good/f") || !v.shows("root/own/a/b/a") {
		v.t.Error("the good directories are not shown")
	}
	if took := time.Since(begin); took > 30*time.Second {
		v.t.Errorf("it took %v", took)
	}
}

func (v *victim) entry(name string, dir cid.Cid) unixfs.Entry {
	d, err := unixfs.OpenDir(v.t.Context(), v.blocks, dir)
	v.must(err)
	e := d.Entry()
	e.Name = name
	return e
}

// newVictimOf returns another victim of the same attacker.
func newVictimOf(t *testing.T, v *victim) *victim {
	w := newVictim(t)
	w.befriend(v.mallory)
	w.mallory = v.mallory
	for _, b := range v.blocks.Pending() {
		w.must(w.blocks.Put(t.Context(), b))
	}
	return w
}

func (v *victim) layerOf(at string, parts [2]cid.Cid, previous *reference.Reference) *reference.Reference {
	r := &reference.Reference{
		Policy: reference.SharedPolicy, Path: at, Content: dagcbor.LinkTo(parts[0]), Marks: dagcbor.LinkTo(parts[1]),
		Directory: &reference.Founding{Policy: reference.SharedPolicy, Path: at},
	}
	v.must(r.Continue(v.t.Context(), v.blocks, previous))
	v.sign(r)
	return r
}

func (v *victim) owned(at string, content cid.Cid) *reference.Reference {
	r := &reference.Reference{
		Policy: reference.OwnedPolicy, Path: at, Content: dagcbor.LinkTo(content),
		Directory: &reference.Founding{Policy: reference.OwnedPolicy, Path: at, Owner: dagcbor.LinkTo(v.mallory.ID())},
	}
	v.must(r.Continue(v.t.Context(), v.blocks, nil))
	v.sign(r)
	return r
}

// TestBlocksNeverCome names servers that accept and never answer, and that send a byte at a time.
func TestBlocksNeverCome(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"trickle": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write([]byte("x"))
				http.NewResponseController(w).Flush()
				time.Sleep(50 * time.Millisecond)
			}
		},
	} {
		var asked atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			answer(w, r)
		}))
		v := newVictim(t)
		v.prepare = func(node *reference.Reference) { node.Addresses = []string{srv.URL} }
		v.send(
			v.layer("root/good", v.directory("good"), nil),
			v.layer("root/missing", store.Sum(cid.DagProtobuf, []byte("nobody has it")), nil),
		)
		begin := time.Now()
		got, err := v.mergeWith(merge.Options{Fetch: exchange.Options{BlockTimeout: 500 * time.Millisecond, Stall: time.Second}})
		v.must(err)
		if got["root/good"] != state.New || got["root/missing"] != state.Incomplete || !v.shows("root/good") {
			t.Errorf("%s: %v", name, got)
		}
		if took := time.Since(begin); took > 15*time.Second || asked.Load() == 0 {
			t.Errorf("%s: asked %d times, and given up after %v", name, asked.Load(), took)
		}
		srv.CloseClientConnections()
		srv.Close()
	}
}

// TestBudgetOfBytes lets a merge fetch less than a large directory has.
func TestBudgetOfBytes(t *testing.T) {
	v := newVictim(t)
	var entries []unixfs.Entry
	leaf := store.NewBlock(cid.Raw, []byte("1"))
	v.must(v.blocks.Put(t.Context(), leaf))
	for i := range 20_000 {
		entries = append(entries, unixfs.Entry{Name: fmt.Sprintf("name %d", i), Cid: leaf.Cid, Tsize: 1})
	}
	elsewhere := store.NewOverlay(store.NewMemory())
	big, err := unixfs.Build(t.Context(), elsewhere, entries)
	v.must(err)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, b := range elsewhere.Pending() {
			if bytes.Contains([]byte(r.URL.Path), []byte(b.Cid.String())) {
				w.Header().Set("Content-Type", "application/vnd.ipld.raw")
				w.Write(b.Data)
				return
			}
		}
		http.NotFound(w, r)
	}))
	defer srv.Close()
	v.prepare = func(node *reference.Reference) { node.Addresses = []string{srv.URL} }
	v.send(v.layer("root/good", v.directory("good"), nil), v.layer("root/big", big.Cid, nil))
	got, err := v.mergeWith(merge.Options{MaxBytes: 100 << 10})
	v.must(err)
	if got["root/good"] != state.New || got["root/big"] != state.RefusedForm || v.shows("root/big") {
		t.Errorf("%v", got)
	}
	for _, c := range v.report.Changes {
		if c.Outcome == state.RefusedForm && !errors.Is(c.Err, exchange.ErrBudget) {
			t.Errorf("refused because %v", c.Err)
		}
	}
	if n := v.report.Fetched.Bytes; n > 1<<20 {
		t.Errorf("%d bytes were fetched", n)
	}
}

// TestProofsAndFriendsOfAnAttacker sends nodes whose proofs and friends are junk by the thousand.
func TestProofsAndFriendsOfAnAttacker(t *testing.T) {
	v := newVictim(t)
	junk, err := dagcbor.Marshal(map[string]any{})
	v.must(err)
	proofs := merkle.NewMap(v.blocks, merkle.Split(reference.DirectoryKeySize), cid.Undef)
	seen := merkle.NewMap(v.blocks, merkle.Whole, cid.Undef)
	for i := range 20_000 {
		author := store.Sum(cid.DagCBOR, fmt.Append(nil, i))
		v.must(proofs.Set(t.Context(), reference.NodeSlot(author).Key(), junk))
		v.must(seen.Set(t.Context(), author.Bytes(), junk))
	}
	proofsCid, err := proofs.Flush(t.Context(), v.blocks)
	v.must(err)
	seenCid, err := seen.Flush(t.Context(), v.blocks)
	v.must(err)
	v.prepare = func(node *reference.Reference) {
		node.Proofs, node.Seen = dagcbor.LinkTo(proofsCid), dagcbor.LinkTo(seenCid)
	}
	v.send(v.layer("root/good", v.directory("good"), nil))
	got, err := v.merge()
	v.must(err)
	if got["root/good"] != state.New || len(v.report.Changes) != 1 || len(v.report.Behind) != 0 {
		t.Errorf("%v, %d changes, %d behind", got, len(v.report.Changes), len(v.report.Behind))
	}
}
