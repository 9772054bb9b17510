package tree_test

import (
	"errors"
	"testing"

	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// TestUndoNeverForks signs, goes back to the root of before, and signs something else.
func TestUndoNeverForks(t *testing.T) {
	people := newPeople(t, 2)
	a, b := people[0], people[1]
	a.must(a.put("root/own/f", "1"))
	a.sign()
	b.merge(a)
	a.must(a.put("root/own/f", "2"))
	before := a.root.Cid()
	a.sign()
	b.merge(a)
	var err error
	a.root, err = tree.OpenRoot(t.Context(), a.blocks, before)
	a.must(err)
	a.must(a.put("root/own/f", "3"))
	refs := a.sign()
	if len(refs) != 1 || refs[0].Sequence != 3 {
		t.Fatalf("signed %+v, want sequence 3", refs)
	}
	if changes := b.merge(a); len(changes) != 1 || changes[0].Outcome != state.Newer {
		t.Errorf("merged as %+v", changes)
	}
	b.shows("own/f=3")
}

// TestSignWithoutWhatTheRotationNames signs with a new key where what the rotation names is not
// in the root, as when its content was missing in a merge after an undo.
func TestSignWithoutWhatTheRotationNames(t *testing.T) {
	people := newPeople(t, 2)
	a, b := people[0], people[1]
	a.must(a.put("root/forum/f", "1"))
	last := a.sign()
	b.merge(a)
	rotation, err := a.Signer.Rotate(t.Context(), a.blocks, last...)
	a.must(err)
	rules := state.Rules{Accepts: func(cid.Cid) bool { return true }, Mark: a.mark, Blocks: a.blocks}
	_, err = tree.Offer(t.Context(), a.root, rules, rotation)
	a.must(err)
	a.must(a.root.TakeBack(t.Context(), last[0].Slot(), nil))
	a.commit()
	a.must(a.put("root/forum/f", "3"))
	refs := a.sign()
	if len(refs) != 1 || refs[0].Epoch != 1 {
		t.Fatalf("signed %+v, want one of epoch 1", refs)
	}
	for _, c := range b.merge(a) {
		if !c.Outcome.Changes() {
			t.Errorf("merged as %+v", c)
		}
	}
	b.shows("forum/f=3")
}

// TestFork merges two histories of one identity: the directory is shown without content,
// everywhere, and the third person believes it by the proof.
func TestFork(t *testing.T) {
	people := newPeople(t, 4)
	a, b, c := people[0], people[1], people[2]
	twin := *a
	twin.marks = map[reference.Slot]state.Mark{}
	var err error
	twin.root, err = tree.OpenRoot(t.Context(), a.blocks, a.root.Cid())
	a.must(err)
	a.must(a.put("root/own/f", "1"))
	a.sign()
	twin.must(twin.put("root/own/f", "2"))
	twin.must(twin.put("root/forum/f", "of the twin"))
	twin.sign()
	b.merge(a)
	b.merge(&twin)
	b.shows("forum/f=of the twin", "own/=")
	c.merge(b)
	c.merge(&twin)
	c.merge(a)
	if !c.root.Cid().Equals(b.root.Cid()) {
		t.Errorf("%v and %v", c.list(), b.list())
	}
	a.merge(b)
	if err := a.put("root/own/f", "3"); !errors.Is(err, tree.ErrForked) {
		t.Errorf("an edit of what is forked: %v", err)
	}
	a.shows("forum/f=of the twin", "own/=")
}

// TestDraftsAndTrust checks what is published while there are drafts, and what is left when an
// author is not trusted any more.
func TestDraftsAndTrust(t *testing.T) {
	people := newPeople(t, 2)
	a, b := people[0], people[1]
	empty := a.root.Cid()
	a.must(a.put("root/forum/f", "1"))
	if !a.published().Equals(empty) {
		t.Error("a draft is published")
	}
	a.must(a.delete("root/forum/f"))
	a.must(a.put("root/own/f", "1"))
	a.sign()
	signed := a.root.Cid()
	a.must(a.put("root/own/f", "2"))
	if !a.published().Equals(signed) {
		t.Error("a draft on top of what is signed is published")
	}
	a.must(a.put("root/own/f", "1"))
	if !a.root.Cid().Equals(signed) {
		t.Error("a draft that was taken back is left")
	}
	b.merge(a)
	b.shows("own/f=1")
	n, err := b.root.Restrict(t.Context(), func(author cid.Cid) bool { return !author.Equals(a.ID()) })
	b.must(err)
	b.commit()
	if n == 0 {
		t.Error("nothing was restricted")
	}
	b.shows()
}
