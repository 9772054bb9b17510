package merge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/internal/treetest"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/tree/proof"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// padded returns the proof of a fork of mallory's with a block that it does not take.
func (v *victim) padded(at string) *state.Proof {
	a, b := v.layer(at, v.directory("x"), nil), v.layer(at, v.directory("y"), nil)
	p, err := state.Prove(v.t.Context(), v.repo.Store(), a, b)
	v.must(err)
	size := 0
	for _, data := range p.Blocks {
		size += len(data)
	}
	p.Blocks = append(p.Blocks, bytes.Repeat([]byte{1}, state.MaxProofBytes-size))
	return p
}

// sendForks sends a state of mallory's that has proven forks.
func (v *victim) sendForks(proofs ...*state.Proof) {
	ctx := v.t.Context()
	s, all := state.Open(v.blocks, cid.Undef), state.OpenProofs(v.blocks, cid.Undef)
	for _, p := range proofs {
		v.must(all.Add(ctx, p))
		if p.A.Directory != nil {
			v.must(s.Set(ctx, p.A.Slot(), state.Value{Fork: &state.Fork{Directory: *p.A.Directory, Owner: p.A.Owner}}))
		}
	}
	for i := range 500 { // so that no leaf has two of them
		p := state.NewProof(v.someNode(i), v.someNode(i))
		v.must(all.Add(ctx, p))
	}
	stateCid, err := s.Flush(ctx, v.blocks)
	v.must(err)
	proofsCid, err := all.Flush(ctx, v.blocks)
	v.must(err)
	v.prepare = func(node *reference.Reference) { node.Proofs = dagcbor.LinkTo(proofsCid) }
	v.sendState(stateCid)
}

// someNode returns a node of somebody whom nobody knows.
func (v *victim) someNode(i int) *reference.Reference {
	return &reference.Reference{Policy: reference.NodePolicy, Owner: dagcbor.Link{Cid: store.Sum(cid.DagCBOR, fmt.Append(nil, i))}}
}

// publish publishes a node of the identity.
func (v *victim) publish(who *identity.Secret) *reference.Reference {
	v.t.Helper()
	var done repo.Publication
	v.must(v.repo.Update(v.t.Context(), "new-node", func(ctx context.Context, tx *repo.Tx) (err error) {
		done, err = tx.Publish(ctx, who, path.MustParse("node"), nil)
		return err
	}))
	return done.Node
}

// TestPaddedProofs has a friend send proofs that are as large as they may be, of which most is junk:
// what is kept and published is what it takes.
func TestPaddedProofs(t *testing.T) {
	ctx := t.Context()
	v := newVictim(t)
	bob, err := identity.Generate()
	v.must(err)
	v.must(v.repo.Update(ctx, "id", func(ctx context.Context, tx *repo.Tx) error {
		return tx.AddIdentity(ctx, path.MustParse("identities/me"), bob.Document())
	}))
	v.publish(bob)
	var slots []reference.Slot
	var sent []*state.Proof
	for i := range 3 {
		p := v.padded(fmt.Sprint("root/d", i))
		sent, slots = append(sent, p), append(slots, p.A.Slot())
	}
	v.sendForks(sent...)
	_, err = v.merge()
	v.must(err)
	byMessage := v.padded("root/message")
	slots = append(slots, byMessage.A.Slot())
	v.must(v.repo.Update(ctx, "proofs", func(ctx context.Context, tx *repo.Tx) error {
		_, err := tx.ImportProof(ctx, byMessage)
		return err
	}))
	node := v.publish(bob)
	published := state.OpenProofs(v.repo.Store(), node.Proofs.Target())
	for _, slot := range slots {
		p, err := published.Get(ctx, slot)
		v.must(err)
		data, err := p.Encode()
		v.must(err)
		if err := proof.Verify(ctx, p); err != nil || len(data) > 4096 {
			t.Errorf("%d bytes are published, %v", len(data), err)
		}
	}
}

// TestPaddedProofOfNodes does the same with the fork of a friend's nodes.
func TestPaddedProofOfNodes(t *testing.T) {
	ctx := t.Context()
	v := newVictim(t)
	v.send()
	first := v.node
	a, b := *first, *first
	a.Time, b.Time = 1, 2
	v.must(a.Continue(ctx, v.blocks, first))
	v.must(b.Continue(ctx, v.blocks, first))
	v.sign(&a)
	v.sign(&b)
	p, err := state.Prove(ctx, v.blocks, &a, &b)
	v.must(err)
	need := len(p.Blocks)
	p.Blocks = append(p.Blocks, make([]byte, state.MaxProofBytes/2))
	v.sendForks(p)
	_, err = v.merge()
	v.must(err)
	mark, err := v.repo.Mark(ctx, p.A.Slot())
	v.must(err)
	if mark.Proof == nil || len(mark.Proof.Blocks) != need {
		t.Errorf("recorded %+v", mark.Proof)
	}
}

// TestLongBranchesOfNodes shows nodes of an identity that was forked long ago, in either order, and
// tells a third person of it.
func TestLongBranchesOfNodes(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	owner := treetest.NewSigner(1)
	nodes := map[string]*reference.Reference{}
	for i, side := range []string{"left", "right"} {
		s := *owner
		last, err := s.Layer(ctx, blocks, treetest.Shared("root/x"), nil, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 170 {
			if n == 0 {
				_, err = s.Rotate(ctx, blocks, last)
			} else {
				_, err = s.Rotate(ctx, blocks)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		node := &reference.Reference{
			Policy: reference.NodePolicy, Content: dagcbor.LinkTo(store.Sum(cid.DagCBOR, []byte("x"))), Sequence: 1, Epoch: s.Epoch(),
		}
		if err := node.Sign(&s, s.Chain); err != nil {
			t.Fatal(err)
		}
		nodes[side] = node
	}
	for _, order := range [][2]string{{"left", "right"}, {"right", "left"}} {
		v, third := newVictim(t), newVictim(t)
		for _, who := range []*victim{v, third} {
			who.must(who.repo.Update(ctx, "befriend", func(ctx context.Context, tx *repo.Tx) error {
				_, _, err := tx.AddFriend(ctx, owner.Document)
				return err
			}))
		}
		add := func(side string) error {
			return v.repo.Update(ctx, "add-node", func(ctx context.Context, tx *repo.Tx) error {
				_, _, err := tx.AddNode(ctx, nodes[side])
				return err
			})
		}
		v.must(add(order[0]))
		if err := add(order[1]); !errors.Is(err, state.ErrIdentityForked) {
			t.Errorf("%s after %s: %v", order[1], order[0], err)
		}
		mark, err := v.repo.Mark(ctx, reference.RotationSlot(owner.ID()))
		v.must(err)
		if mark.ForkedFrom == 0 || mark.Proof == nil {
			t.Fatalf("%s after %s: recorded %+v", order[1], order[0], mark)
		}
		v.must(proof.Verify(ctx, mark.Proof))
		third.must(third.repo.Update(ctx, "proofs", func(ctx context.Context, tx *repo.Tx) error {
			isNew, err := tx.ImportProof(ctx, mark.Proof)
			if !isNew {
				t.Errorf("%s after %s: the third person knew it", order[1], order[0])
			}
			return err
		}))
	}
}
