package tree_test

import (
	"bytes"
	"context"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"

	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// A schedule is some people with one store who do what rapid draws.
type schedule struct {
	t      *rapid.T
	ctx    context.Context
	blocks lawBlocks
	actors []*actor
	byID   map[cid.Cid]*actor
	cheat  *actor         // nil if all are honest
	split  map[*actor]int // which side of a partition; nil if there is none
	steps  uint64

	published []publication
	ledger    map[reference.Slot][]*signedRef
	gone      map[lawFile]bool // what somebody has removed

	looks    map[cid.Cid]map[lawFile][]string // what roots show
	listings map[cid.Cid][]lawEntry           // of directories
	marked   map[cid.Cid]map[string]lawRecord
}

// A publication is a root that somebody has published.
type publication struct {
	by           *actor
	root, proofs cid.Cid
}

// A signedRef is a reference that somebody has signed, and the one that it continues.
type signedRef struct {
	ref    *reference.Reference
	hash   string
	parent *signedRef
}

// An actor is one of the people. Actors have what persons have, and checks of their own.
type actor struct {
	*schedule
	lawSigner
	root    *tree.Root
	marks   map[reference.Slot]state.Mark
	proofs  map[reference.Slot]*state.Proof
	accepts map[cid.Cid]bool
	past    []moment
	backup  *moment // of a cheat
}

// A moment is what an undo, or a backup, brings back.
type moment struct {
	root    cid.Cid
	accepts map[cid.Cid]bool
	marks   map[reference.Slot]state.Mark // of a backup only
}

// A lawSigner is a signer that remembers its id.
type lawSigner struct {
	*treetest.Signer
	id cid.Cid
}

func (s lawSigner) ID() cid.Cid { return s.id }

// copied returns a signer whose key can rotate without that of s.
func (s lawSigner) copied() lawSigner {
	signer := *s.Signer
	return lawSigner{&signer, s.id}
}

var lawSigners = func() (signers []lawSigner) {
	for i := range 5 {
		s := treetest.NewSigner(byte(i + 1))
		signers = append(signers, lawSigner{s, s.ID()})
	}
	return signers
}()

// lawDirectories are there from the start: one at the top, and one inside of a plain directory.
var lawDirectories = []reference.Founding{forum, treetest.Shared("root/team/wiki")}

func newSchedule(t *rapid.T) *schedule {
	s := &schedule{
		t: t, ctx: context.Background(), blocks: lawBlocks{}, byID: map[cid.Cid]*actor{},
		ledger: map[reference.Slot][]*signedRef{}, gone: map[lawFile]bool{},
		looks: map[cid.Cid]map[lawFile][]string{}, listings: map[cid.Cid][]lawEntry{}, marked: map[cid.Cid]map[string]lawRecord{},
	}
	lawNonces.Store(goroutine(), mathrand.New(mathrand.NewPCG(0, rapid.Uint64().Draw(t, "nonces"))))
	start := tree.NewRoot(s.blocks, lawDirectories)
	empty, err := start.Commit(s.ctx)
	s.must(err)
	for i := range []int{3, 3, 4, 3, 4, 5}[s.draw(6, "people")] {
		p := &actor{
			schedule: s, lawSigner: lawSigners[i].copied(), marks: map[reference.Slot]state.Mark{},
			proofs: map[reference.Slot]*state.Proof{}, accepts: map[cid.Cid]bool{},
		}
		s.must(s.blocks.Put(s.ctx, p.Document.Block()))
		s.actors, s.byID[p.id] = append(s.actors, p), p
		p.open(empty)
	}
	for _, p := range s.actors {
		for _, q := range s.actors {
			p.accepts[q.id] = true
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "cheat") == 2 {
		s.cheat = s.actors[0]
	}
	return s
}

func (s *schedule) close() { lawNonces.Delete(goroutine()) }

func (s *schedule) must(err error) {
	if err != nil {
		s.t.Helper()
		s.t.Fatalf("%v", err)
	}
}

// draw draws a number below n.
func (s *schedule) draw(n int, label string) int { return rapid.IntRange(0, n-1).Draw(s.t, label) }

func (s *schedule) drawActor(label string) *actor { return s.actors[s.draw(len(s.actors), label)] }

func (p *actor) open(root cid.Cid) {
	var err error
	p.root, err = tree.OpenRoot(p.ctx, p.blocks, root)
	p.must(err)
}

func (p *actor) mark(_ context.Context, slot reference.Slot) (state.Mark, error) {
	return p.marks[slot], nil
}

func (p *actor) rules(blocks store.Getter) state.Rules {
	return state.Rules{Accepts: func(author cid.Cid) bool { return p.accepts[author] }, Mark: p.mark, Blocks: blocks}
}

// commit commits, and remembers the moment before for an undo.
func (p *actor) commit(before cid.Cid) {
	c, err := p.root.Commit(p.ctx)
	p.must(err)
	if !c.Equals(before) {
		p.past = append(p.past, moment{root: before, accepts: maps.Clone(p.accepts)})
	}
}

// A lawFile is a content in one folder of a directory, under whatever names.
type lawFile struct {
	directory cid.Cid
	folder    string // within the directory, and with a slash at its end
	content   cid.Cid
}

// files returns what p sees, with the paths of each. Empty directories are left out: they may get
// files.
func (p *actor) files() map[lawFile][]string {
	if seen, ok := p.looks[p.root.Cid()]; ok {
		return seen
	}
	seen := map[lawFile][]string{}
	p.looks[p.root.Cid()] = seen
	for _, d := range p.directories() {
		for at, c := range p.list(d.Content) {
			if f := (lawFile{d.ID, parentOf(at), c}); !c.Equals(emptyDirectory) {
				seen[f] = append(seen[f], d.Shown.String()+"/"+at)
			}
		}
	}
	return seen
}

func (p *actor) directories() []*tree.Directory {
	dirs, err := p.root.Directories(p.ctx)
	p.must(err)
	return dirs
}

// own returns what p has written, with the paths of each.
func (p *actor) own() map[lawFile][]string {
	own := map[lawFile][]string{}
	for _, d := range p.directories() {
		for at, c := range p.list(d.Part(p.id).Layer().Files) {
			f := lawFile{d.ID, parentOf(at), c}
			own[f] = append(own[f], d.Shown.String()+"/"+at)
		}
	}
	return own
}

// removed notes that somebody has removed what is in before more often than in after.
func (s *schedule) removed(before, after map[lawFile][]string) {
	for f, paths := range before {
		s.gone[f] = s.gone[f] || len(after[f]) < len(paths)
	}
}

// seen returns the paths that p sees, and root.
func (p *actor) seen() []string {
	var paths []string
	for at := range p.list(p.root.View()) {
		paths = append(paths, path.Root+"/"+strings.TrimSuffix(at, "/"))
	}
	slices.Sort(paths)
	return paths
}

// record puts what p has signed into the ledger; parents are the references that p knew before.
func (p *actor) record(refs []*reference.Reference, parents map[reference.Slot]*reference.Reference) {
	for _, ref := range refs {
		hash, err := ref.Hash()
		p.must(err)
		slot := ref.Slot()
		signed := &signedRef{ref: ref, hash: string(hash), parent: p.find(parents[slot])}
		if p.find(ref) == nil {
			p.ledger[slot] = append(p.ledger[slot], signed)
		}
		p.marks[slot] = state.Mark{Reference: ref}
		if p == p.schedule.cheat {
			p.overwritten(ref, parents[slot])
		}
	}
}

// overwritten notes what a cheat has removed by signing on top of what is not in the root at all.
func (p *actor) overwritten(ref, parent *reference.Reference) {
	if parent == nil || ref.Policy != reference.OwnedPolicy {
		return
	}
	kept := p.list(ref.Content.Target())
	for at, c := range p.list(parent.Content.Target()) {
		if kept[at] != c {
			p.gone[lawFile{ref.Slot().Directory, parentOf(at), c}] = true
		}
	}
}

// find returns what the ledger has of ref; nil for nil.
func (s *schedule) find(ref *reference.Reference) *signedRef {
	if ref == nil {
		return nil
	}
	for _, known := range s.ledger[ref.Slot()] {
		if bytes.Equal(known.ref.Signature, ref.Signature) {
			return known
		}
	}
	return nil
}

// lawBlocks is a store of one goroutine.
type lawBlocks map[cid.Cid][]byte

func (b lawBlocks) Get(_ context.Context, c cid.Cid) ([]byte, error) {
	if data, ok := b[c]; ok {
		return data, nil
	}
	return nil, &store.MissingError{Cid: c}
}

func (b lawBlocks) Put(_ context.Context, block store.Block) error {
	b[block.Cid] = block.Data
	return nil
}

// lossy is a store that does not give some of its blocks.
type lossy struct {
	store.Getter
	salt byte
}

func (l lossy) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if h := c.Hash(); (h[len(h)-1]^l.salt)&7 == 0 {
		return nil, &store.MissingError{Cid: c}
	}
	return l.Getter.Get(ctx, c)
}
