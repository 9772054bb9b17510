package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A Proof is two references that show that their author forked a directory: both are signed, have
// the same slot and the same epoch, and neither continues the other. A node carries the proofs of
// the forks in its state in a Merkle map from slots to {"a": {...}, "b": {...}}, where a is the
// one whose encoding is the lower one.
type Proof struct {
	A *reference.Reference `cbor:"a"`
	B *reference.Reference `cbor:"b"`
}

// ErrNoProof is a fork that is reported without a proof that holds.
var ErrNoProof = errors.New("no proof of the fork")

// NewProof returns the proof made of two references, in the order that the format wants.
func NewProof(a, b *reference.Reference) *Proof {
	ea, _ := a.Encode()
	eb, _ := b.Encode()
	if bytes.Compare(ea, eb) > 0 {
		a, b = b, a
	}
	return &Proof{A: a, B: b}
}

// Verify checks that p proves a fork. The identity document and the history are read from blocks.
func (p *Proof) Verify(ctx context.Context, blocks store.Getter) error {
	return p.verify(ctx, blocks, reference.NewVerifier(blocks))
}

func (p *Proof) verify(ctx context.Context, blocks store.Getter, verifier *reference.Verifier) error {
	sameEpoch := p.A.Epoch == p.B.Epoch && p.A.Rotation.Target() == p.B.Rotation.Target()
	if p.A.Slot() != p.B.Slot() || !sameEpoch && p.A.Policy != reference.RotationPolicy {
		return fmt.Errorf("%w: the two references are not of one directory, author and epoch", ErrNoProof)
	}
	for _, r := range []*reference.Reference{p.A, p.B} {
		chain, err := verifier.Chain(ctx, r)
		if err == nil {
			err = r.Verify(chain)
		}
		if err == nil {
			err = r.Continues(ctx, blocks, chain)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoProof, err)
		}
	}
	order, err := reference.Compare(ctx, blocks, p.A, p.B)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	if order != reference.Forked {
		return fmt.Errorf("%w: one reference continues the other", ErrNoProof)
	}
	return nil
}

// Proofs is a map of proofs that is being read or added to.
type Proofs struct{ m *merkle.Map }

// OpenProofs returns the proofs with the given root; an undefined one is none.
func OpenProofs(blocks store.Getter, root cid.Cid) Proofs {
	return Proofs{merkle.NewMap(blocks, position, root)}
}

// Get returns the proof for slot; [ErrNoProof] if there is none.
func (p Proofs) get(ctx context.Context, slot reference.Slot) (*Proof, error) {
	data, ok, err := p.m.Get(ctx, slot.Key())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNoProof
	}
	return DecodeProof(slot, data)
}

// DecodeProof reads a proof for slot. It checks the form only.
func DecodeProof(slot reference.Slot, data []byte) (*Proof, error) {
	var proof Proof
	if err := dagcbor.Unmarshal(data, &proof); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	for _, r := range []*reference.Reference{proof.A, proof.B} {
		if r == nil {
			return nil, fmt.Errorf("%w: one reference is missing", ErrNoProof)
		}
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
		}
		if r.Slot() != slot {
			return nil, fmt.Errorf("%w: a reference of another directory or author", ErrNoProof)
		}
	}
	return &proof, nil
}

// Add puts a proof into p.
func (p Proofs) Add(ctx context.Context, proof *Proof) error {
	data, err := dagcbor.Marshal(proof)
	if err != nil {
		return err
	}
	return p.m.Set(ctx, proof.A.Slot().Key(), data)
}

// Flush writes p and returns its root; undefined if p is empty.
func (p Proofs) Flush(ctx context.Context, blocks store.Putter) (cid.Cid, error) {
	n, err := p.m.Len(ctx)
	if err != nil || n == 0 {
		return cid.Undef, err
	}
	return p.m.Flush(ctx, blocks)
}
