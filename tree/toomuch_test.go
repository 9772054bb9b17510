package tree_test

import (
	"context"
	"errors"
	"testing"

	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/unixfs"
)

// unfolding returns a directory of 41 blocks that unfolds to 2^40 files.
func (p *person) unfolding() unixfs.Entry {
	dir := p.tree(map[string]string{"f": "1"})
	for range 40 {
		a, b := dir, dir
		a.Name, b.Name = "a", "b"
		var err error
		dir, err = unixfs.Build(context.Background(), p.blocks, []unixfs.Entry{a, b})
		p.must(err)
	}
	return dir
}

// TestOwnTooLarge puts what unfolds to 2^40 files into a shared directory: it is not signed, as
// nobody would take it. In an owned directory it is.
func TestOwnTooLarge(t *testing.T) {
	p := newPeople(t, 1)[0]
	p.must(p.put("root/forum/f", "1"))
	p.sign()
	p.must(p.putEntry("root/forum/big", p.unfolding(), true))
	_, err := p.root.Sign(t.Context(), p, p.mark, 1, nil)
	if !errors.Is(err, shared.ErrTooLarge) {
		t.Errorf("signed: %v", err)
	}
	p.must(p.delete("root/forum/big"))
	p.must(p.putEntry("root/own", p.unfolding(), true))
	signed := p.sign()
	if len(signed) == 0 || signed[len(signed)-1].Policy != reference.OwnedPolicy {
		t.Errorf("of one's own: %+v", signed)
	}
}

// TestDataOfTooMuch asks for all of what unfolds to 2^40 files, and for all of a small directory.
func TestDataOfTooMuch(t *testing.T) {
	defer tree.SetMaxData(tree.SetMaxData(1000))
	p := newPeople(t, 1)[0]
	small := p.tree(map[string]string{"a": "1", "d/b": "2"})
	some := &tree.Tree{Blocks: p.blocks}
	for e, want := range map[unixfs.Entry]error{p.unfolding(): tree.ErrTooMuch, small: nil} {
		_, err := some.Data(t.Context(), &tree.Thing{Root: p.root, Content: e}, true)
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
