package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// check holds the end of a run against what is promised, and completes r.
func (w *world) check(ctx context.Context, r *Result) error {
	root, err := w.roots(ctx)
	if err != nil {
		return err
	}
	r.Root, r.RootText = root.Cid(), root.Cid().String()
	if err := w.checkSlots(ctx, root, r); err != nil {
		return err
	}
	return w.checkFiles(ctx, root, r)
}

// roots computes the root of every honest person, which is done once for each state, and for some
// again from nothing, and returns the one root that all have.
func (w *world) roots(ctx context.Context) (*tree.Root, error) {
	byState := map[cid.Cid]*tree.Root{}
	var one *tree.Root
	sample := w.Sample
	for _, p := range w.people {
		if p.kind != Honest {
			continue
		}
		if byState[p.state] == nil {
			root, err := w.rootOf(ctx, store.NewOverlay(w.heap), w.root, p.state, p.proofs)
			if err != nil {
				return nil, fmt.Errorf("the root of person %d: %w", p.index, err)
			}
			byState[p.state] = root
		}
		if one == nil {
			one = byState[p.state]
		}
		if got := byState[p.state].Cid(); !got.Equals(one.Cid()) {
			return nil, fmt.Errorf("person %d has the root %s, others have %s", p.index, got, one.Cid())
		}
		if sample--; sample >= 0 {
			if err := w.fromNothing(ctx, p, one.Cid()); err != nil {
				return nil, err
			}
		}
	}
	return one, nil
}

// fromNothing lets somebody who knows nothing merge what a person has.
func (w *world) fromNothing(ctx context.Context, p *person, want cid.Cid) error {
	overlay := store.NewOverlay(w.heap)
	base, err := tree.NewRoot(overlay, []reference.Founding{forum}).Commit(ctx)
	if err != nil {
		return err
	}
	root, err := w.rootOf(ctx, overlay, base, p.state, p.proofs)
	if err != nil {
		return fmt.Errorf("from nothing: %w", err)
	}
	if !root.Cid().Equals(want) {
		return fmt.Errorf("person %d has the root %s, which from nothing is %s", p.index, want, root.Cid())
	}
	return nil
}

// checkSlots checks that the root has the newest reference of every honest person, that they have
// no forks, and that the forks of cheats are there.
func (w *world) checkSlots(ctx context.Context, root *tree.Root, r *Result) error {
	for number, newest := range w.newest {
		held, err := root.State().Get(ctx, newest.reference.Slot())
		switch {
		case err != nil:
			return err
		case held.Fork != nil:
			return fmt.Errorf("slot %d of person %d, who is honest, is forked", number, newest.author.index)
		case held.Reference == nil || string(held.Reference.Signature) != string(newest.reference.Signature):
			return fmt.Errorf("%s of person %d is not the newest one", newest.reference.Path, newest.author.index)
		}
	}
	forked := map[cid.Cid]bool{}
	err := root.State().Each(ctx, func(slot reference.Slot, v state.Value) error {
		if v.Fork != nil {
			forked[slot.Author] = true
		} else if _, known := w.number[slot]; !known {
			return fmt.Errorf("%s of %s was never signed", v.Reference.Path, slot.Author)
		}
		return nil
	})
	for _, p := range w.people {
		if p.kind.Forks() && !forked[p.id] {
			err = errors.Join(err, fmt.Errorf("person %d has forked a history (%s), and nobody knows", p.index, p.kind))
		}
		if p.kind == Honest && len(forked) != len(p.forks) {
			err = errors.Join(err, fmt.Errorf("person %d knows of %d forks, of %d", p.index, len(p.forks), len(forked)))
		}
	}
	r.Forked = len(forked)
	return err
}

// checkFiles checks that every file that honest people have published is shown, or hidden by a
// mark.
func (w *world) checkFiles(ctx context.Context, root *tree.Root, r *Result) error {
	blocks := store.NewOverlay(w.heap)
	again, err := w.rootOf(ctx, blocks, w.root, root.StateCid(), w.someone().proofs)
	if err != nil {
		return err
	}
	dirs, err := again.Directories(ctx)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if d.Shared() {
			err = w.checkShared(ctx, blocks, d, r)
		} else {
			err = w.checkOwned(d, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.Shown, err)
		}
	}
	for _, newest := range w.newest {
		id := newest.reference.Slot().Directory
		if !containsDirectory(dirs, id) {
			return fmt.Errorf("%s of person %d is not shown", newest.reference.Path, newest.author.index)
		}
	}
	return nil
}

func containsDirectory(dirs []*tree.Directory, id cid.Cid) bool {
	return slices.ContainsFunc(dirs, func(d *tree.Directory) bool { return d.ID.Equals(id) })
}

func (w *world) checkOwned(d *tree.Directory, r *Result) error {
	newest, honest := w.newest[w.number[reference.Slot{Directory: d.ID, Author: d.Owner()}]]
	switch {
	case !honest:
		return nil
	case d.Shown.IsTop():
		return errors.New("it has no place")
	case !d.Content.Equals(newest.reference.Content.Target()):
		return errors.New("it does not show what its owner has published")
	}
	r.Visible++
	return nil
}

// A place is a file in a directory, under whatever name.
type place struct {
	at      string
	content cid.Cid
}

func (w *world) checkShared(ctx context.Context, blocks store.Blocks, d *tree.Directory, r *Result) error {
	hidden, err := hiddenIn(ctx, blocks, d)
	if err != nil {
		return err
	}
	visible := map[place]bool{}
	err = eachFile(ctx, blocks, d.Content, "", func(at, _ string, content cid.Cid) { visible[place{at, content}] = true })
	for _, p := range w.people {
		newest, ok := w.newest[w.number[reference.Slot{Directory: d.ID, Author: p.id}]]
		if !ok || newest.author != p {
			continue
		}
		var lost error
		read := eachFile(ctx, blocks, newest.reference.Content.Target(), "", func(at, name string, content cid.Cid) {
			switch {
			case hidden[version{p.id, at + name}]:
				r.Hidden++
			case visible[place{at, content}]:
				r.Visible++
			default:
				lost = fmt.Errorf("%s%s of person %d is lost", at, name, p.index)
			}
		})
		err = errors.Join(err, read, lost)
	}
	return err
}

// A version is what an author has at a path.
type version struct {
	author cid.Cid
	path   string
}

// hiddenIn returns what marks hide in a shared directory.
func hiddenIn(ctx context.Context, blocks store.Blocks, d *tree.Directory) (map[version]bool, error) {
	all := shared.Directory{ID: d.ID}
	for _, part := range d.Parts {
		all.Layers = append(all.Layers, part.Layer())
	}
	hidden := map[version]bool{}
	return hidden, shared.Hidden(ctx, blocks, all, func(h shared.HiddenVersion) error {
		hidden[version{h.Author, h.Path}] = true
		return nil
	})
}

// eachFile calls fn for every file below dir, which stands at the path at; an undefined dir is
// empty.
func eachFile(ctx context.Context, blocks store.Getter, dir cid.Cid, at string, fn func(at, name string, content cid.Cid)) error {
	if !dir.Defined() {
		return nil
	}
	d, err := unixfs.OpenDir(ctx, blocks, dir)
	if err != nil {
		return err
	}
	return d.Each(ctx, func(e unixfs.Entry) error {
		if e.Cid.Type() == cid.Raw { // the files here are small
			fn(at, e.Name, e.Cid)
			return nil
		}
		return eachFile(ctx, blocks, e.Cid, at+e.Name+"/", fn)
	})
}
