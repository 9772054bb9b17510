package sim

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
)

// A world is a simulation that runs.
type world struct {
	Config
	rng      *rand.Rand
	source   *rand.ChaCha8 // in place of crypto/rand
	heap     *heap
	people   []*person
	onTheWay map[int][]message // by the round in which they arrive
	root     cid.Cid           // of the root with which all begin
	begun    cid.Cid           // its state
	peak     int               // the largest number of young blocks

	number    map[reference.Slot]int // slots for which somebody has signed something
	beginning []*reference.Reference // by number; nil for what came later
	newest    map[int]ledgerEntry    // what honest people have signed last
	published int

	known  sync.Map // signature -> *reference.Reference: one copy for all
	judged sync.Map // [2]string of signatures -> judgement
}

// A ledgerEntry is what an honest person has signed last for a slot.
type ledgerEntry struct {
	author    *person
	reference *reference.Reference
}

func newWorld(c Config) *world {
	seed := func(use string) (s [32]byte) {
		binary.BigEndian.PutUint64(s[:], c.Seed)
		copy(s[8:], use)
		return s
	}
	return &world{
		Config: c, rng: rand.New(rand.NewChaCha8(seed("events"))), source: rand.NewChaCha8(seed("nonces")),
		heap: newHeap(), onTheWay: map[int][]message{}, number: map[reference.Slot]int{}, newest: map[int]ledgerEntry{},
	}
}

// chance makes crypto/rand follow from the seed, until the function that it returns is called.
func (w *world) chance() func() {
	old := cryptorand.Reader
	cryptorand.Reader = w.source
	return func() { cryptorand.Reader = old }
}

// begin makes the people, their first layers and the root in which all of these are.
func (w *world) begin(ctx context.Context) error {
	overlay := store.NewOverlay(w.heap)
	empty, _ := unixfs.EmptyDir()
	if err := overlay.Put(ctx, empty); err != nil {
		return err
	}
	if err := w.found(ctx, overlay); err != nil {
		return err
	}
	for _, b := range overlay.Pending() {
		if err := w.heap.put(b, w.heap.first); err != nil {
			return err
		}
	}
	w.connect()
	w.assign()
	for _, p := range w.people {
		p.state, p.desk = w.begun, newDesk(w.heap, p)
	}
	return nil
}

// found writes the root with which all begin.
func (w *world) found(ctx context.Context, overlay *store.Overlay) error {
	base, err := tree.NewRoot(overlay, []reference.Founding{forum}).Commit(ctx)
	if err != nil {
		return err
	}
	all := state.Open(overlay, cid.Undef)
	for i := range w.People {
		if err := w.join(ctx, overlay, base, all, i); err != nil {
			return err
		}
	}
	if w.begun, err = all.Flush(ctx, overlay); err != nil {
		return err
	}
	root, err := w.rootOf(ctx, overlay, base, w.begun, cid.Undef)
	if err == nil {
		w.root = root.Cid()
	}
	return err
}

// join makes one person, whose first references go into all.
func (w *world) join(ctx context.Context, overlay *store.Overlay, base cid.Cid, all *state.State, i int) error {
	p := &person{
		signer: newSigner(w.Seed, i), world: w, index: i, marks: map[int]*reference.Reference{}, forks: map[int]bool{},
		seen: map[cid.Cid]*reference.Reference{}, have: map[fingerprint]struct{}{}, outcomes: map[string]int{},
	}
	w.people = append(w.people, p)
	if err := overlay.Put(ctx, p.document.Block()); err != nil {
		return err
	}
	root, err := tree.OpenRoot(ctx, overlay, base)
	if err != nil {
		return err
	}
	if err := w.putFile(ctx, overlay, root, p, w.topic(i)+fmt.Sprintf("/first-%d.txt", i), "hello"); err != nil {
		return err
	}
	if w.rng.Float64() < w.Owned {
		p.owned = fmt.Sprintf("root/home-%d", i)
		if err := w.putFile(ctx, overlay, root, p, p.owned+"/about.txt", "about me"); err != nil {
			return err
		}
	}
	refs, err := root.Sign(ctx, p, unmarked, 0, nil)
	if err != nil {
		return err
	}
	for _, r := range refs {
		if err := all.Set(ctx, r.Slot(), state.Value{Reference: r}); err != nil { // rootOf verifies all
			return err
		}
		w.register(r.Slot())
		w.beginning[w.number[r.Slot()]] = r
		w.newest[w.number[r.Slot()]] = ledgerEntry{p, r}
	}
	return nil
}

// register gives a slot a number.
func (w *world) register(slot reference.Slot) int {
	n, ok := w.number[slot]
	if !ok {
		n = len(w.beginning)
		w.number[slot] = n
		w.beginning = append(w.beginning, nil)
	}
	return n
}

// assign says who cheats, and how.
func (w *world) assign() {
	kinds := w.Kinds
	if len(kinds) == 0 {
		kinds = Kinds
	}
	order := w.rng.Perm(w.People)
	n := min(int(w.Cheats*float64(w.People)+0.5), w.People-2)
	for i, index := range order[:n] {
		w.people[index].kind = kinds[i%len(kinds)]
	}
	for number, e := range w.newest {
		if e.author.kind != Honest {
			delete(w.newest, number)
		}
	}
}

// unmarked are the marks of somebody who has not recorded anything yet.
func unmarked(context.Context, reference.Slot) (state.Mark, error) { return state.Mark{}, nil }

// rootOf returns the root base after a merge of the state st, with its view.
func (w *world) rootOf(ctx context.Context, blocks store.Blocks, base, st, proofs cid.Cid) (*tree.Root, error) {
	root, err := tree.OpenRoot(ctx, blocks, base)
	if err != nil {
		return nil, err
	}
	record, err := putRecord(ctx, blocks, st)
	if err != nil {
		return nil, err
	}
	rules := state.Rules{Accepts: func(cid.Cid) bool { return true }, Mark: unmarked, Blocks: blocks}
	if _, err = root.Merge(ctx, rules, record, state.OpenProofs(blocks, proofs)); err != nil {
		return nil, err
	}
	if _, err = root.Commit(ctx); err == nil && !root.StateCid().Equals(st) {
		err = fmt.Errorf("the state %s, merged anew, is %s", st, root.StateCid())
	}
	return root, err
}

// each calls fn for all people, several at a time.
func (w *world) each(fn func(*person) error) error {
	var g errgroup.Group
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(w.people) {
					return nil
				}
				if err := fn(w.people[i]); err != nil {
					return fmt.Errorf("person %d: %w", i, err)
				}
			}
		})
	}
	return g.Wait()
}

// keep takes over what people have written in a round.
func (w *world) keep() {
	for _, p := range w.people {
		p.desk.keep()
	}
}

// shared returns the one copy of a reference, which was verified, that all people hold.
func (w *world) shared(r *reference.Reference) *reference.Reference {
	same, _ := w.known.LoadOrStore(string(r.Signature), r)
	return same.(*reference.Reference)
}
