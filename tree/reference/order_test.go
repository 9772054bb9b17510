package reference_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"archivecache/dagcbor"
	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A chain makes references of one author for one directory.
type chain struct {
	*testing.T
	blocks *store.Overlay
	signer *treetest.Signer
	time   uint64
}

func newChain(t *testing.T) *chain {
	return &chain{T: t, blocks: store.NewOverlay(store.NewMemory()), signer: treetest.NewSigner(1)}
}

// after returns a reference that continues previous, another one in every call.
func (c *chain) after(previous *reference.Reference) *reference.Reference {
	c.Helper()
	c.time++
	r, err := c.signer.Layer(c.Context(), c.blocks, treetest.Shared("root/forum"), previous, c.time)
	if err != nil {
		c.Fatal(err)
	}
	return r
}

// line returns n references that continue each other.
func (c *chain) line(from *reference.Reference, n int) []*reference.Reference {
	var all []*reference.Reference
	for range n {
		from = c.after(from)
		all = append(all, from)
	}
	return all
}

// listing returns a reference with a history made by hand.
func (c *chain) listing(sequence uint64, history ...*reference.Reference) *reference.Reference {
	c.Helper()
	log := merkle.Log{}
	for _, r := range history {
		hash, err := r.Hash()
		if err != nil {
			c.Fatal(err)
		}
		if log, err = log.Append(c.Context(), c.blocks, hash); err != nil {
			c.Fatal(err)
		}
	}
	r := c.after(nil)
	r.Sequence, r.History = sequence, dagcbor.LinkTo(log.Root)
	if err := r.Sign(c.signer, c.signer.Chain); err != nil {
		c.Fatal(err)
	}
	return r
}

func TestCompare(t *testing.T) {
	c := newChain(t)
	line := c.line(nil, 40)
	fork := c.line(line[1], 38) // 3', 4'...
	for _, test := range []struct {
		why            string
		known, offered *reference.Reference
		want           reference.Order
	}{
		{"the same", line[2], line[2], reference.Same},
		{"the next", line[2], line[3], reference.Newer},
		{"the one before", line[3], line[2], reference.Stale},
		{"the first, of an empty history", line[0], line[1], reference.Newer},
		{"some skipped", line[0], line[20], reference.Newer},
		{"many skipped, the log has grown a level", line[5], line[39], reference.Newer},
		{"many skipped, backwards", line[39], line[5], reference.Stale},
		{"another of the same sequence", line[2], fork[0], reference.Forked},
		{"another first", line[0], c.after(nil), reference.Forked},
		{"a later one of the fork", line[2], fork[1], reference.Forked},
		{"an earlier one of the fork", line[9], fork[0], reference.Forked},
		{"the fork with some skipped", line[2], fork[37], reference.Forked},
		{"the fork with some skipped, backwards", fork[37], line[2], reference.Forked},
		{"from before the fork", line[1], fork[37], reference.Newer},
		{"a history that is too short", line[0], c.listing(3, line[0]), reference.Forked},
		{"a history that is too long", line[0], c.listing(2, line[0], line[1]), reference.Forked},
		{"a history that lists what does not continue it", fork[0], c.listing(5, line[0], line[1], line[2], fork[1]), reference.Forked},
		{"one that lists both sides of a fork, against the second", fork[1], c.listing(5, line[0], line[1], line[2], fork[1]), reference.Forked},
	} {
		got, err := reference.Compare(t.Context(), c.blocks, test.known, test.offered)
		if err != nil || got != test.want {
			t.Errorf("%s: %v, %v; want %v", test.why, got, err, test.want)
		}
		back, err := reference.Compare(t.Context(), c.blocks, test.offered, test.known)
		want := map[reference.Order]reference.Order{reference.Newer: reference.Stale, reference.Stale: reference.Newer}[test.want]
		if test.want == reference.Same || test.want == reference.Forked {
			want = test.want
		}
		if err != nil || back != want {
			t.Errorf("%s, the other way round: %v, %v; want %v", test.why, back, err, want)
		}
	}
}

// without hides one block.
type without struct {
	store.Getter
	cid cid.Cid
}

func (w without) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if c.Equals(w.cid) {
		return nil, &store.MissingError{Cid: c}
	}
	return w.Getter.Get(ctx, c)
}

func TestCompareIncomplete(t *testing.T) {
	c := newChain(t)
	line := c.line(nil, 4)
	high := without{c.blocks, line[3].History.Cid}
	for _, pair := range [][2]*reference.Reference{{line[1], line[3]}, {line[3], line[1]}} {
		order, err := reference.Compare(t.Context(), high, pair[0], pair[1])
		if order != reference.Incomplete || !errors.Is(err, store.ErrNotFound) {
			t.Errorf("without the history of the higher: %v, %v", order, err)
		}
	}
	low := without{c.blocks, line[1].History.Cid}
	if order, err := reference.Compare(t.Context(), low, line[1], line[3]); order != reference.Incomplete {
		t.Errorf("without the history of what is known: %v, %v", order, err)
	}
	if order, err := reference.Compare(t.Context(), low, line[3], line[1]); order != reference.Stale {
		t.Errorf("a replayed reference without its history: %v, %v; want stale", order, err)
	}
	other, err := treetest.NewSigner(2).Layer(t.Context(), c.blocks, treetest.Shared("root/forum"), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reference.Compare(t.Context(), c.blocks, line[0], other); !errors.Is(err, reference.ErrOtherSlot) {
		t.Errorf("references of two authors: %v", err)
	}
}

// TestParting has two branches of rotations, which part at the second one.
func TestParting(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	s := treetest.NewSigner(1)
	rotate := func(s *treetest.Signer, last ...*reference.Reference) *reference.Reference {
		r, err := s.Rotate(ctx, blocks, last...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	stem := rotate(s)
	named, err := s.Layer(ctx, blocks, treetest.Shared("root/a"), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	other := *s
	left, right := rotate(s), rotate(&other, named)
	rotate(&other)
	leftEnd, rightEnd := rotate(s), rotate(&other)
	a, b, err := reference.Parting(ctx, blocks, leftEnd, rightEnd)
	if err != nil || !bytes.Equal(a.Signature, left.Signature) || !bytes.Equal(b.Signature, right.Signature) {
		t.Errorf("%+v and %+v, %v", a, b, err)
	}
	if _, _, err := reference.Parting(ctx, blocks, stem, leftEnd); err == nil {
		t.Error("a rotation and one that continues it part")
	}
	if a, b, err := reference.Parting(ctx, blocks, named, named); a != named || b != named || err != nil {
		t.Errorf("references of a directory: %v, %v, %v", a, b, err)
	}
}
