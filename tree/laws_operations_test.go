package tree_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"
	"archivecache/unixfs"

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

var (
	lawPaths = []string{
		"root/forum/a", "root/forum/d", "root/forum/b.txt", "root/forum/d/a", "root/forum/a", "root/forum/d/b.txt",
		"root/forum/d/e/a", "root/team/wiki/a", "root/go", "root/go/tools/a", "root/team/go",
	}
	// lawRefusals are the reasons for which an edit may be refused.
	lawRefusals = []error{
		tree.ErrNotFound, tree.ErrNotDirectory, tree.ErrIsDirectory, tree.ErrForbidden, tree.ErrNotOwner, tree.ErrForked,
		shared.ErrNotFound, shared.ErrIsFile, shared.ErrIsDirectory, path.ErrInvalid,
	}
	lawTrees = [][]string{{"a=1"}, {"a=1", "d/a=2"}, {"b.txt=3", "d/b.txt=1", "d/e/a=2"}, {"e/"}, {}}
)

// place draws a path: one that p sees or above it, or any.
func (p *actor) place(label string) path.Path {
	if p.draw(2, "seen") == 0 {
		return p.there(label)
	}
	return path.MustParse(lawPaths[p.draw(len(lawPaths), label)])
}

// there draws a path that p sees, or above it.
func (p *actor) there(label string) path.Path {
	seen := p.seen()
	names := strings.Split(seen[p.draw(len(seen), label)], "/")
	up := min(p.draw(5, "up")/2, len(names)-3)
	return path.MustParse(strings.Join(names[:len(names)-max(up, 0)], "/"))
}

// content draws the content of a file: often one that nobody else writes.
func (p *actor) content() unixfs.Entry {
	text := rapid.SampledFrom([]string{"", "", "1", "2"}).Draw(p.t, "content")
	if text == "" {
		text = fmt.Sprint("step ", p.steps)
	}
	return p.file(text)
}

func (s *schedule) file(text string) unixfs.Entry {
	b := store.NewBlock(cid.Raw, []byte(text))
	s.must(s.blocks.Put(s.ctx, b))
	return unixfs.Entry{Cid: b.Cid, Tsize: uint64(len(b.Data))}
}

// folder returns a directory with files, given as path=content; a path that ends in a slash is an
// empty directory.
func (s *schedule) folder(files []string) unixfs.Entry {
	below := map[string][]string{}
	var entries []unixfs.Entry
	for _, f := range files {
		name, text, _ := strings.Cut(f, "=")
		if first, rest, deep := strings.Cut(name, "/"); deep {
			below[first] = append(below[first], strings.TrimPrefix(f, first+"/"))
			if rest == "" {
				below[first] = nil
			}
			continue
		}
		e := s.file(text)
		e.Name = name
		entries = append(entries, e)
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		e := s.folder(below[name])
		e.Name = name
		entries = append(entries, e)
	}
	e, err := unixfs.Build(s.ctx, s.blocks, entries)
	s.must(err)
	return e
}

// edit does something to what stands at the given paths, or is refused and changes nothing. What
// nobody sees any more is removed by it, and stood at those paths.
func (p *actor) edit(op func() error, at ...path.Path) {
	root, before := p.root.Cid(), p.files()
	if err := op(); err != nil {
		if !slices.ContainsFunc(lawRefusals, func(r error) bool { return errors.Is(err, r) }) {
			p.t.Fatalf("%v: refused for a strange reason: %v", at, err)
		}
		lawCounts.of("refused edits").Add(1)
		p.open(root)
		return
	}
	p.commit(root)
	after := p.files()
	p.removed(before, after)
	for f, paths := range before {
		if after[f] != nil {
			continue
		}
		meant := slices.ContainsFunc(paths, func(was string) bool {
			return slices.ContainsFunc(at, func(a path.Path) bool {
				_, below := path.MustParse(was).Below(a)
				return below
			})
		})
		if !meant {
			p.t.Fatalf("an edit of %v has made %v vanish", at, paths)
		}
	}
}

func (p *actor) writeFile() {
	at, e := p.place("at"), p.content()
	p.put(at, e)
}

// put writes a file, which is there then.
func (p *actor) put(at path.Path, e unixfs.Entry) {
	p.edit(func() error {
		err := p.root.Put(p.ctx, p.id, at, e, true)
		if err != nil {
			return err
		}
		if _, err := p.root.Commit(p.ctx); err != nil {
			return err
		}
		shown, err := p.root.Lookup(p.ctx, at)
		if err != nil || !shown.Cid.Equals(e.Cid) {
			p.t.Fatalf("%s was written to %s, and there is %s, %v", e.Cid, at, shown.Cid, err)
		}
		return nil
	}, at)
}

func (p *actor) writeFolder() {
	at, e := p.place("at"), p.folder(rapid.SampledFrom(lawTrees).Draw(p.t, "files"))
	keep := rapid.Bool().Draw(p.t, "keep")
	p.edit(func() error { return p.root.Put(p.ctx, p.id, at, e, keep) }, at)
}

func (p *actor) deleteAny() {
	at := p.there("at")
	p.edit(func() error { return p.root.Delete(p.ctx, p.id, at) }, at)
}

func (p *actor) rename() {
	from, to := p.there("from"), p.place("to")
	p.edit(func() error { return p.root.Move(p.ctx, p.id, from, to) }, from)
}

func (p *actor) copyAny() {
	from, to := p.there("from"), p.place("to")
	p.edit(func() error { return p.root.Copy(p.ctx, p.id, from, to) })
}

// swapKind puts a file where a directory was, or a directory where a file was, in one commit.
func (p *actor) swapKind() {
	at, e := p.there("at"), p.content()
	p.edit(func() error {
		old, err := p.root.Lookup(p.ctx, at)
		if err != nil {
			return err
		}
		if old.Cid.Type() == cid.Raw {
			e = p.folder(lawTrees[1])
		}
		if err := p.root.Delete(p.ctx, p.id, at); err != nil {
			return err
		}
		if _, err := p.root.Commit(p.ctx); err != nil {
			return err
		}
		if _, err := p.root.Lookup(p.ctx, at); err == nil {
			return nil // another version has the name now, and nobody means that one
		}
		return p.root.Put(p.ctx, p.id, at, e, true)
	}, at)
}

// conflictNames returns the paths with a conflict name that p sees.
func (p *actor) conflictNames() []string {
	return slices.DeleteFunc(p.seen(), func(s string) bool { return !strings.Contains(s, "~") })
}

// takeConflictName writes a file to a conflict name that somebody else sees, and p perhaps not.
func (p *actor) takeConflictName() {
	names := p.drawActor("who sees it").conflictNames()
	if len(names) == 0 {
		p.writeFile()
		return
	}
	p.put(path.MustParse(names[p.draw(len(names), "conflict")]), p.content())
}

// editConflict writes to, deletes or renames what is shown under a conflict name.
func (p *actor) editConflict() {
	names := p.conflictNames()
	if len(names) == 0 {
		p.writeFile()
		return
	}
	lawCounts.of("edits of conflict names").Add(1)
	at, e := path.MustParse(names[p.draw(len(names), "conflict")]), p.content()
	switch p.draw(3, "edit") {
	case 0:
		p.put(at, e)
	case 1:
		p.edit(func() error { return p.root.Delete(p.ctx, p.id, at) }, at)
	case 2:
		to := p.place("to")
		p.edit(func() error { return p.root.Move(p.ctx, p.id, at, to) }, at)
	}
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
	p.must(ref.Sign(p))
	p.record([]*reference.Reference{ref}, map[reference.Slot]*reference.Reference{slot: parent})
	if parent != nil {
		for _, c := range p.list(parent.Content.Target()) {
			p.gone[lawFile{slot.Directory, "", c}] = true
		}
	}
}
