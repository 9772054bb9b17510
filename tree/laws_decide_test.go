package tree_test

import (
	"maps"
	"slices"
	"strings"

	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"pgregory.net/rapid"
)

// sides returns the conflicts in the shared directories that p sees, by their plain paths.
func (p *actor) sides() map[string][]shared.Conflict {
	all := map[string][]shared.Conflict{}
	for _, d := range p.directories() {
		if !d.Shared() {
			continue
		}
		p.must(p.root.Conflicts(p.ctx, d, func(c shared.Conflict) error {
			c.Path = d.Shown.String() + "/" + c.Path
			plain := d.Shown.String() + "/" + c.Plain
			all[plain] = append(all[plain], c)
			return nil
		}))
	}
	return all
}

// resolve decides about a conflict that p sees, which is none then.
func (p *actor) resolve() {
	all := p.sides()
	if len(all) == 0 {
		p.writeFile()
		return
	}
	plains := slices.Sorted(maps.Keys(all))
	plain := plains[p.draw(len(plains), "conflict")]
	sides := all[plain]
	decision, called := p.decision(sides), path.MustParse(sides[p.draw(len(sides), "called by")].Path)
	var files []path.Path
	for _, s := range sides {
		if s.ID != nil { // a directory with something in it stays
			files = append(files, path.MustParse(s.Path))
		}
	}
	p.edit(func() error {
		if err := p.root.Resolve(p.ctx, p.id, called, decision); err != nil {
			return err
		}
		if _, err := p.root.Commit(p.ctx); err != nil {
			return err
		}
		if left := p.sides()[plain]; left != nil {
			p.t.Fatalf("the conflict about %s is resolved, and there is still %v", plain, left)
		}
		lawCounts.of("resolved").Add(1)
		return nil
	}, files...)
}

// decision draws what becomes of a conflict: one side is taken, or another file, or some are kept.
func (p *actor) decision(sides []shared.Conflict) tree.Decision {
	switch p.draw(3, "decision") {
	case 0:
		return tree.Decision{Take: sides[p.draw(len(sides), "side")].Path}
	case 1:
		file := p.content()
		return tree.Decision{File: &file}
	}
	var keep []tree.Keep
	for i, s := range sides {
		name := s.Path[strings.LastIndexByte(s.Path, '/')+1:]
		switch {
		case s.ID == nil || i > 0 && p.draw(3, "replace") == 0:
			continue
		case p.draw(3, "rename") == 0:
			name += "x"
		}
		keep = append(keep, tree.Keep{Side: s.Path, As: name})
	}
	return tree.Decision{Keep: keep}
}

// hidden returns what is hidden from p, by the paths at which it was.
func (p *actor) hidden() map[string][]shared.HiddenVersion {
	all := map[string][]shared.HiddenVersion{}
	for _, d := range p.directories() {
		if !d.Shared() {
			continue
		}
		now := shared.Directory{ID: d.ID}
		for _, part := range d.Parts {
			now.Layers = append(now.Layers, part.Layer())
		}
		p.must(shared.Hidden(p.ctx, p.blocks, now, func(h shared.HiddenVersion) error {
			at := d.Shown.String() + "/" + h.Path
			all[at] = append(all[at], h)
			return nil
		}))
	}
	return all
}

// restore shows again what is hidden: one version, or all below a directory.
func (p *actor) restore() {
	all := p.hidden()
	if len(all) == 0 {
		p.writeFile()
		return
	}
	paths := slices.Sorted(maps.Keys(all))
	name := paths[p.draw(len(paths), "hidden")]
	at, versions := path.MustParse(name), all[name]
	if p.draw(4, "a directory") == 0 {
		names := at.Names()
		up, err := path.Path{}.Join(names[:2+p.draw(len(names)-2, "names")]...)
		p.must(err)
		p.edit(func() error { return p.restoreAt(up, tree.Restoring{}) })
		return
	}
	slices.SortFunc(versions, func(a, b shared.HiddenVersion) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	v := versions[p.draw(len(versions), "version")]
	what := tree.Restoring{Version: v.ID.String(), Replace: rapid.Bool().Draw(p.t, "replace")}
	p.edit(func() error {
		if err := p.restoreAt(at, what); err != nil {
			return err
		}
		if _, err := p.root.Commit(p.ctx); err != nil {
			return err
		}
		shown, err := p.root.Lookup(p.ctx, at)
		if err != nil || !shown.Cid.Equals(v.Content) && v.Kind != unixfs.Directory {
			p.t.Fatalf("%s was restored at %s, and there is %s, %v", v.Content, at, shown.Cid, err)
		}
		return nil
	}, at)
}

func (p *actor) restoreAt(at path.Path, what tree.Restoring) error {
	report, err := p.root.Restore(p.ctx, p.id, at, what)
	if err == nil && len(report.Paths) > 0 {
		lawCounts.of("restored").Add(1)
	}
	return err
}

// rotate replaces the key of p. All that p has ever signed counts. A cheat does not do it, nor one
// whose key was replaced often.
func (p *actor) rotate() {
	if p == p.schedule.cheat || p.Epoch() > 2 {
		return
	}
	root := p.root.Cid()
	var last []*reference.Reference
	for _, slot := range slices.SortedFunc(maps.Keys(p.ledger), compareSlots) {
		if slot.Author == p.id && slot != reference.RotationSlot(p.id) {
			last = append(last, p.marks[slot].Reference)
		}
	}
	slot := reference.RotationSlot(p.id)
	parents := map[reference.Slot]*reference.Reference{slot: p.marks[slot].Reference}
	ref, err := p.Signer.Rotate(p.ctx, p.blocks, last...)
	p.must(err)
	p.record([]*reference.Reference{ref}, parents)
	_, err = p.offer(ref)
	p.must(err)
	p.commit(root)
	lawCounts.of("rotated").Add(1)
}
