package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A Proof is two references that show that their author forked a directory: both are signed, have
// the same slot and the same epoch, and neither continues the other. Of two rotations they are the
// first in which the two chains differ. A proof is encoded as
//
//	{"a": bytes, "b": bytes, "blocks": [bytes, ...]}
//
// where a is the one whose encoding is the lower one, and blocks are what has to be read to see the
// fork: the identity document, rotations, and parts of the two histories. All of that is bytes, so
// that nothing hangs from a proof that somebody would have to have. Blocks that it does not take are
// left out of what is kept and handed on.
type Proof struct {
	A, B   *reference.Reference
	Blocks [][]byte
}

// proofDoc is a Proof as it is encoded.
type proofDoc struct {
	A      []byte   `cbor:"a"`
	B      []byte   `cbor:"b"`
	Blocks [][]byte `cbor:"blocks,omitempty"`
}

// Bounds of the blocks of a proof. It takes the identity document; at most MaxRotations rotations, of
// less than 1 KiB each; at most 65 blocks of the map of what the last rotation names, all small but
// a leaf of 16 references; and fewer than 50 nodes of histories, of less than 3 KiB each.
const (
	MaxProofBlocks = reference.MaxRotations + 128
	MaxProofBytes  = 1 << 20
)

// ErrNoProof is a fork that is reported without a proof that holds.
var ErrNoProof = errors.New("no proof of the fork")

// NewProof returns the proof made of two references, in the order that the format wants, and
// without blocks.
func NewProof(a, b *reference.Reference) *Proof {
	ea, _ := a.Encode()
	eb, _ := b.Encode()
	if bytes.Compare(ea, eb) > 0 {
		a, b = b, a
	}
	return &Proof{A: a, B: b}
}

// Prove returns the proof that two references, which are verified, are a fork, with the blocks that
// it takes. It takes one chain of rotations at most, however long the branches of a forked identity
// are.
func Prove(ctx context.Context, blocks store.Getter, a, b *reference.Reference) (*Proof, error) {
	a, b, err := reference.Parting(ctx, blocks, a, b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	p := NewProof(a, b)
	if err := p.Gather(ctx, blocks); err != nil {
		return nil, err
	}
	return p, nil
}

// Gather verifies p and leaves it with the blocks that this takes, and no others: what is read
// follows from the two references, so it is the same for everybody. What p lacks is read from the
// given blocks.
func (p *Proof) Gather(ctx context.Context, blocks store.Getter) error {
	all, err := p.with(ctx, blocks)
	if err == nil {
		_, err = p.gather(ctx, all)
	}
	return err
}

// gather is Gather with blocks that have those of p. The verifier knows the keys of the author.
func (p *Proof) gather(ctx context.Context, all store.Getter) (*reference.Verifier, error) {
	r := &recorder{Getter: all, read: map[string]bool{}}
	verifier := reference.NewVerifier(r)
	if err := p.verify(ctx, r, verifier); err != nil {
		return nil, err
	}
	needed := &Proof{A: p.A, B: p.B}
	for _, data := range slices.Sorted(maps.Keys(r.read)) {
		needed.Blocks = append(needed.Blocks, []byte(data))
	}
	if err := needed.checkBlocks(); err != nil {
		return nil, err
	}
	p.Blocks = needed.Blocks
	return verifier, nil
}

func (p *Proof) checkBlocks() error {
	size := 0
	for i, data := range p.Blocks {
		if size += len(data); i >= MaxProofBlocks || size > MaxProofBytes {
			return fmt.Errorf("%w: more than %d blocks, or %d bytes of them", ErrNoProof, MaxProofBlocks, MaxProofBytes)
		}
	}
	return nil
}

// A recorder notes what is read.
type recorder struct {
	store.Getter
	read map[string]bool
}

// Get implements [store.Getter].
func (r *recorder) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := r.Getter.Get(ctx, c)
	if err == nil {
		r.read[string(data)] = true
	}
	return data, err
}

// with returns blocks with those of p.
func (p *Proof) with(ctx context.Context, blocks store.Getter) (store.Getter, error) {
	if len(p.Blocks) == 0 {
		return blocks, nil
	}
	own := store.NewOverlay(blocks)
	for _, data := range p.Blocks {
		if err := own.Put(ctx, store.NewBlock(cid.DagCBOR, data)); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// Verify checks that p proves a fork. What is not among its blocks is read from the given ones.
func (p *Proof) Verify(ctx context.Context, blocks store.Getter) error {
	all, err := p.with(ctx, blocks)
	if err != nil {
		return err
	}
	return p.verify(ctx, all, reference.NewVerifier(all))
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
	low, high := p.A, p.B
	if low.After(high) {
		low, high = high, low
	}
	order, err := reference.Compare(ctx, blocks, low, high) // nothing of the two histories may be missing
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	if order != reference.Forked {
		return fmt.Errorf("%w: one reference continues the other", ErrNoProof)
	}
	return nil
}

// DecodeProof reads a proof for slot. It checks the form only.
func DecodeProof(slot reference.Slot, data []byte) (*Proof, error) {
	var doc proofDoc
	if err := dagcbor.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	var err error
	proof := &Proof{Blocks: doc.Blocks}
	if proof.A, err = decodeSide(slot, doc.A); err != nil {
		return nil, err
	}
	if proof.B, err = decodeSide(slot, doc.B); err != nil {
		return nil, err
	}
	return proof, proof.checkBlocks()
}

func decodeSide(slot reference.Slot, data []byte) (*reference.Reference, error) {
	r, err := reference.Decode(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
	case r.Slot() != slot:
		return nil, fmt.Errorf("%w: a reference of another directory or author", ErrNoProof)
	}
	return r, nil
}

// Encode returns the encoding of p.
func (p *Proof) Encode() ([]byte, error) {
	a, err := p.A.Encode()
	if err != nil {
		return nil, err
	}
	b, err := p.B.Encode()
	if err != nil {
		return nil, err
	}
	return dagcbor.Marshal(proofDoc{a, b, p.Blocks})
}
