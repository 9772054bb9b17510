package tree_test

import (
	"maps"
	"slices"

	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// lookClosely holds what p has now, drafts included, to the computation from nothing and to
// the model of the view.
func (p *actor) lookClosely() {
	again, err := tree.FromNothing(p.ctx, p.root)
	p.must(err)
	if !again.Equals(p.root.Cid()) {
		p.t.Fatalf("step by step %v\nfrom nothing another root", p.list(p.root.View()))
	}
	dirs, err := p.root.Directories(p.ctx)
	p.must(err)
	var plain []lawDirectory
	for _, d := range dirs {
		l := lawDirectory{founding: d.Founding}
		for _, part := range d.Parts {
			layer := part.Layer()
			l.parts = append(l.parts, lawPart{author: part.Author, path: d.Path.String(), files: layer.Files, marks: layer.Marks})
		}
		plain = append(plain, l)
	}
	p.sameView(p.root.View(), plain)
}

// sameView holds a view to the model.
func (s *schedule) sameView(view cid.Cid, dirs []lawDirectory) {
	got, want := s.list(view), s.modelView(dirs)
	if !maps.Equal(got, want) {
		s.t.Fatalf("view  %v\nmodel %v", got, want)
	}
}

// checkJoin joins the states of three publications, of any time, in all orders, and by twos.
func (s *schedule) checkJoin() {
	if len(s.published) == 0 || s.draw(8, "join") > 0 {
		return
	}
	var three []publication
	for range 3 {
		three = append(three, s.published[s.draw(len(s.published), "joined")])
	}
	want := s.joined(three[0], three[1], three[2])
	for _, o := range [][]int{{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {2, 1, 0, 1, 2}} {
		var order []publication
		for _, i := range o {
			order = append(order, three[i])
		}
		if got := s.joined(order...); !got.root.Equals(want.root) {
			s.t.Fatalf("joined in the order %v another state than in order", o)
		}
	}
	if got := s.joined(three[0], s.joined(three[1], three[2])); !got.root.Equals(want.root) {
		s.t.Fatalf("a + (b + c) is not (a + b) + c")
	}
}

// joined returns a root with the join of the states, and the proofs that belong to it.
func (s *schedule) joined(all ...publication) publication {
	p := &actor{schedule: s, marks: map[reference.Slot]state.Mark{}, proofs: map[reference.Slot]*state.Proof{}}
	p.accepts = map[cid.Cid]bool{}
	for id := range s.byID {
		p.accepts[id] = true
	}
	p.root = tree.NewRoot(s.blocks, lawDirectories)
	for _, pub := range all {
		changes, err := p.join(pub, s.blocks)
		s.must(err)
		for _, c := range changes {
			if c.Outcome == state.Forked {
				p.proofs[c.Slot] = c.Proof
			}
		}
		_, err = p.root.Commit(s.ctx)
		s.must(err)
	}
	proofs := state.OpenProofs(s.blocks, cid.Undef)
	for _, proof := range p.proofs {
		s.must(proofs.Add(s.ctx, proof))
	}
	root, err := proofs.Flush(s.ctx, s.blocks)
	s.must(err)
	return publication{root: p.root.Cid(), proofs: root}
}

// finish lets everybody hear everything, each in an order of their own, and checks the laws.
func (s *schedule) finish() {
	s.split = nil
	if s.draw(2, "all are friends") == 0 {
		for _, p := range s.actors {
			for id := range s.byID {
				p.accepts[id] = true
			}
		}
	}
	for _, p := range s.actors { // their own references come back, under their drafts
		p.hearAll(p)
		p.publish()
	}
	fresh := map[string]*actor{}
	for _, p := range s.actors {
		p.hearAll(p.actors...)
		key := p.circle()
		if fresh[key] == nil {
			fresh[key] = s.newcomer(p.accepts)
			s.checkNewcomer(fresh[key])
		}
		p.checkEnd(fresh[key])
	}
}

// circle returns whom p accepts, as a text.
func (p *actor) circle() string {
	text := make([]byte, len(p.actors))
	for i, q := range p.actors {
		text[i] = '-'
		if p.accepts[q.id] {
			text[i] = '+'
		}
	}
	return string(text)
}

// newcomer returns somebody who has accepted those authors from the start, and hears everything
// now.
func (s *schedule) newcomer(accepts map[cid.Cid]bool) *actor {
	p := &actor{
		schedule: s, marks: map[reference.Slot]state.Mark{}, proofs: map[reference.Slot]*state.Proof{}, accepts: accepts,
		root: tree.NewRoot(s.blocks, lawDirectories),
	}
	_, err := p.root.Commit(s.ctx)
	s.must(err)
	p.hearAll(p.actors...)
	return p
}

// checkNewcomer holds p to the model, which knows only what was signed, and to the rule that
// nothing is lost silently.
func (s *schedule) checkNewcomer(p *actor) {
	dirs, held := s.modelState(p.accepts)
	if got := s.describe(p.root.State()); !maps.Equal(got, held) {
		s.t.Fatalf("state %x\nmodel %x", got, held)
	}
	s.sameView(p.root.View(), dirs)
	s.nothingLost(p, dirs)
	again, err := tree.FromNothing(s.ctx, p.root)
	s.must(err)
	if !again.Equals(p.root.Cid()) {
		s.t.Fatalf("step by step another root than from nothing")
	}
	for _, text := range held {
		if text == "fork" {
			lawCounts.of("forks in the end").Add(1)
		}
	}
}

// checkEnd holds p to the newcomer who trusts the same people.
func (p *actor) checkEnd(fresh *actor) {
	without, err := p.root.WithoutDrafts(p.ctx)
	p.must(err)
	if !without.Cid().Equals(fresh.root.Cid()) {
		p.t.Fatalf("%s: from the start %v\nnow %v", p.circle(), p.list(fresh.root.View()), p.list(without.View()))
	}
	root := p.root.Cid()
	if len(p.published) > 0 {
		changes, err := p.join(p.published[p.draw(len(p.published), "once more")], p.blocks)
		p.must(err)
		for _, c := range changes {
			if c.Outcome.Changes() {
				p.t.Fatalf("merged again, and %s", c.Outcome)
			}
		}
		c, err := p.root.Commit(p.ctx)
		p.must(err)
		if !c.Equals(root) {
			p.t.Fatalf("merged again, and another root")
		}
	}
	lawCounts.of("people in the end").Add(1)
}

// nothingLost checks each version that somebody has in a shared directory: its content is shown in
// its directory, or there is a mark on it.
func (s *schedule) nothingLost(p *actor, dirs []lawDirectory) {
	now, err := p.root.Directories(s.ctx)
	s.must(err)
	for _, d := range dirs {
		i := slices.IndexFunc(now, func(n *tree.Directory) bool { return n.ID.Equals(d.founding.ID()) })
		if i < 0 || d.founding.Policy != reference.SharedPolicy {
			continue
		}
		shown := map[string]bool{}
		for at, c := range s.list(now[i].Content) {
			shown[parentOf(at)+c.KeyString()] = true
		}
		m := &sharedModel{schedule: s, id: d.founding.ID(), hidden: map[string]bool{}}
		m.dir("", d.parts, map[string]cid.Cid{})
		lawCounts.of("hidden versions").Add(int64(len(m.hidden)))
		for _, v := range m.all {
			if !v.entry.dir && !m.hidden[string(v.id)] && !shown[v.prefix+v.entry.cid.KeyString()] {
				s.t.Fatalf("%s%s is not shown, and nothing hides it: %v", v.prefix, v.entry.name, s.list(now[i].Content))
			}
		}
	}
}

// parentOf returns the path up to the last name.
func parentOf(at string) string {
	for i := len(at) - 2; i >= 0; i-- {
		if at[i] == '/' {
			return at[:i+1]
		}
	}
	return ""
}
