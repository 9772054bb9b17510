package tree_test

import (
	"fmt"
	"maps"

	"archivecache/dagcbor"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// operations are what people do, and how often beside the others; rapid likes the first ones a bit
// more. To have another one, write a method and put it here.
var operations = []struct {
	name   string
	weight int
	do     func(*actor)
}{
	{"write a file", 4, (*actor).writeFile},
	{"meet", 5, (*actor).meet},
	{"delete", 3, (*actor).deleteAny},
	{"edit a conflict name", 3, (*actor).editConflict},
	{"write a folder", 3, (*actor).writeFolder},
	{"merge the newest", 3, (*actor).mergeNewest},
	{"publish", 3, (*actor).publish},
	{"rename", 2, (*actor).rename},
	{"undo", 2, (*actor).undo},
	{"merge any", 2, (*actor).mergeAny},
	{"offer one reference", 2, (*actor).offerOne},
	{"merge with losses", 3, (*actor).mergeLossy},
	{"restore a backup", 4, (*actor).restoreBackup},
	{"a file in place of a directory, or back", 2, (*actor).swapKind},
	{"take a conflict name", 2, (*actor).takeConflictName},
	{"resolve a conflict", 3, (*actor).resolve},
	{"restore", 3, (*actor).restore},
	{"rotate", 1, (*actor).rotate},
	{"copy", 1, (*actor).copyAny},
	{"sign some", 1, (*actor).signSome},
	{"drop", 1, (*actor).drop},
	{"befriend", 1, (*actor).befriend},
	{"partition", 1, (*actor).partition},
	{"claim a place", 1, (*actor).claimPlace},
	{"look closely", 1, (*actor).lookClosely},
}

// actions returns the operations for rapid, each as often as it weighs.
func (s *schedule) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){}
	for n, op := range operations {
		for i := range op.weight {
			all[fmt.Sprintf("%02d.%d %s", n, i, op.name)] = func(*rapid.T) {
				s.steps++
				p := s.drawActor("person")
				if s.draw(4, "open anew") == 0 {
					p.open(p.root.Cid())
				}
				op.do(p)
			}
		}
	}
	return all
}

// sign signs the drafts that only chooses, but those that nothing can be signed for.
func (p *actor) sign(only func(*tree.Draft) bool) {
	parents := map[reference.Slot]*reference.Reference{}
	refs, err := p.root.Sign(p.ctx, p, p.mark, p.steps, func(d *tree.Draft) bool {
		slot := d.Slot()
		held, err := p.root.State().Get(p.ctx, slot)
		p.must(err)
		parents[slot] = p.marks[slot].Reference
		if r := held.Reference; r != nil && r.After(parents[slot]) {
			parents[slot] = r
		}
		return held.Fork == nil && p.marks[slot].ForkedFrom == 0 && only(d)
	})
	p.must(err)
	p.record(refs, parents)
}

func (p *actor) publish() {
	root := p.root.Cid()
	p.sign(func(*tree.Draft) bool { return true })
	p.commit(root)
	p.announce()
}

// announce adds the root of p, without its drafts, to what others can merge.
func (p *actor) announce() {
	without, err := p.root.WithoutDrafts(p.ctx)
	p.must(err)
	all := state.OpenProofs(p.blocks, cid.Undef)
	for _, proof := range p.proofs {
		p.must(all.Add(p.ctx, proof))
	}
	proofs, err := all.Flush(p.ctx, p.blocks)
	p.must(err)
	p.published = append(p.published, publication{p, without.Cid(), proofs})
}

// signSome signs the drafts of shared directories, or of owned ones; the others stay.
func (p *actor) signSome() {
	root, policy := p.root.Cid(), rapid.SampledFrom([]string{reference.SharedPolicy, reference.OwnedPolicy}).Draw(p.t, "policy")
	p.sign(func(d *tree.Draft) bool { return d.Directory.Policy == policy })
	p.commit(root)
	p.announce()
}

// undo goes back to the tree before one of the last commits. Marks stay.
func (p *actor) undo() {
	if len(p.past) == 0 {
		return
	}
	lawCounts.of("undone").Add(1)
	back := 1 + p.draw(min(len(p.past), 3), "commits")
	before := p.own()
	to := p.past[len(p.past)-back]
	p.past = p.past[:len(p.past)-back]
	p.accepts = maps.Clone(to.accepts)
	p.open(to.root)
	p.removed(before, p.own())
}

func (p *actor) befriend() { p.accepts[p.drawActor("friend").id] = true }

func (p *actor) drop() {
	friend := p.drawActor("friend")
	if friend == p || !p.accepts[friend.id] {
		return
	}
	root := p.root.Cid()
	before := maps.Clone(p.accepts)
	delete(p.accepts, friend.id)
	n, err := p.root.Restrict(p.ctx, func(author cid.Cid) bool { return p.accepts[author] })
	p.must(err)
	lawCounts.of("slots of dropped friends").Add(int64(n))
	p.commit(root)
	if len(p.past) > 0 && p.past[len(p.past)-1].root.Equals(root) {
		p.past[len(p.past)-1].accepts = before
	}
}

// partition divides the people in two sides that do not hear of each other, or ends that.
func (p *actor) partition() {
	if p.split != nil {
		p.schedule.split = nil
		return
	}
	p.schedule.split = map[*actor]int{}
	for _, q := range p.actors {
		p.split[q] = p.draw(2, "side")
	}
}

// restoreBackup keeps a backup of everything, or comes back to it without knowing: what is signed
// then does not continue what was signed before. Only the cheat does it.
func (p *actor) restoreBackup() {
	p = p.schedule.cheat
	if p == nil {
		return
	}
	if p.backup == nil || p.draw(3, "keep another") == 0 {
		p.backup = &moment{p.root.Cid(), maps.Clone(p.accepts), maps.Clone(p.marks)}
		return
	}
	p.past = nil
	p.marks, p.accepts = maps.Clone(p.backup.marks), maps.Clone(p.backup.accepts)
	before := p.own()
	p.open(p.backup.root)
	p.removed(before, nil)
}

// claimPlace signs an owned directory at a place that may be another's. Only the cheat does it.
// It is not in any root, and comes as a single reference.
func (p *actor) claimPlace() {
	p = p.schedule.cheat
	if p == nil {
		return
	}
	at := rapid.SampledFrom([]string{"root/forum", "root/forum/d", "root/go", "root/team", "root/team/wiki"}).Draw(p.t, "place")
	founding := reference.Founding{Policy: reference.OwnedPolicy, Owner: dagcbor.LinkTo(p.id), Path: "root/claim"}
	e := p.folder([]string{fmt.Sprint("claim=", p.steps)})
	ref := &reference.Reference{
		Policy: founding.Policy, Directory: &founding, Path: at, Content: dagcbor.LinkTo(e.Cid), Time: p.steps,
	}
	slot := ref.Slot()
	if p.marks[slot].ForkedFrom > 0 {
		return
	}
	parent := p.marks[slot].Reference
	p.must(ref.Continue(p.ctx, p.blocks, parent))
	p.must(ref.Sign(p, p.Signer.Chain))
	p.record([]*reference.Reference{ref}, map[reference.Slot]*reference.Reference{slot: parent})
}
