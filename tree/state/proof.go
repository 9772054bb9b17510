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
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A Proof is two references that show that their author forked a directory: both are signed, have
// the same slot and the same epoch, and neither continues the other. A node carries the proofs of
// the forks in its state in a Merkle map from slots to
//
//	{"a": bytes, "b": bytes, "blocks": [bytes, ...]}
//
// where a is the one whose encoding is the lower one, and blocks are what has to be read to see the
// fork: the identity document, rotations, and parts of the two histories. All of that is bytes, so
// that nothing hangs from a proof that somebody would have to have.
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

// Bounds of the blocks of a proof.
const (
	MaxProofBlocks = reference.MaxRotations + 64
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

// Gather verifies p and gives it the blocks that this takes, beside those that it has.
func (p *Proof) Gather(ctx context.Context, blocks store.Getter) error {
	r := &recorder{Getter: blocks, read: map[string]bool{}}
	for _, data := range p.Blocks {
		r.read[string(data)] = true
	}
	if err := p.Verify(ctx, r); err != nil {
		return err
	}
	with := &Proof{A: p.A, B: p.B}
	for _, data := range slices.Sorted(maps.Keys(r.read)) {
		with.Blocks = append(with.Blocks, []byte(data))
	}
	if err := with.checkBlocks(); err != nil {
		return err
	}
	p.Blocks = with.Blocks
	return nil
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
	blocks, err := p.with(ctx, blocks)
	if err != nil {
		return err
	}
	verifier := reference.NewVerifier(blocks)
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
func (p Proofs) Get(ctx context.Context, slot reference.Slot) (*Proof, error) {
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

// Add puts a proof into p.
func (p Proofs) Add(ctx context.Context, proof *Proof) error {
	data, err := proof.Encode()
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
