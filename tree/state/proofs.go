package state

import (
	"context"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// MaxInlineProof is the largest encoding of a proof, in bytes, that stands in the map of proofs
// itself. A leaf of the map has [merkle.LeafSize] of them at most, so it is far from
// [store.MaxBlock].
const MaxInlineProof = 32 << 10

// Proofs is a map of proofs that is being read or added to: a Merkle map from slots to encoded
// proofs, or, if one is larger than [MaxInlineProof], to a link to a block with it. So whatever
// proofs others have sent, a map of them can be published.
type Proofs struct {
	m      *merkle.Map
	large  *store.Overlay // the blocks of what was added
	reader *proofReader
}

// OpenProofs returns the proofs with the given root; an undefined one is none.
func OpenProofs(blocks store.Getter, root cid.Cid) Proofs {
	return Proofs{merkle.NewMap(blocks, position, root), store.NewOverlay(blocks), &proofReader{Getter: blocks, root: root}}
}

// Get returns the proof for slot; [ErrNoProof] if there was none when p was opened. It reads at most
// one path of the map and one block.
func (p Proofs) Get(ctx context.Context, slot reference.Slot) (*Proof, error) {
	data, ok, err := p.reader.find(ctx, slot.Key())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNoProof
	}
	if data, err = p.reader.whole(ctx, data); err != nil {
		return nil, err
	}
	return DecodeProof(slot, data)
}

// A proofReader reads a map of proofs, which may be somebody else's and as large as they like: what
// was read is kept for the next time, and forgotten when it is more than maxProofsRead bytes.
type proofReader struct {
	store.Getter
	root cid.Cid
	m    *merkle.Map
	read int
}

const maxProofsRead = 8 << 20

// Get implements [store.Getter] for the map.
func (r *proofReader) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := r.Getter.Get(ctx, c)
	r.read += len(data)
	return data, err
}

func (r *proofReader) find(ctx context.Context, key []byte) (dagcbor.Raw, bool, error) {
	if r.m == nil || r.read > maxProofsRead {
		r.m, r.read = merkle.NewMap(r, position, r.root), 0
	}
	return r.m.Get(ctx, key)
}

// whole returns the encoding of a proof, given what the map has. There is one spelling only.
func (r *proofReader) whole(ctx context.Context, value dagcbor.Raw) ([]byte, error) {
	const tag = 0xd8 // a link begins with it, and a proof does not
	if value[0] != tag {
		if len(value) > MaxInlineProof {
			return nil, fmt.Errorf("%w: one of %d bytes that is not a block of its own", ErrNoProof, len(value))
		}
		return value, nil
	}
	var link dagcbor.Link
	if err := dagcbor.Unmarshal(value, &link); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	data, err := r.Getter.Get(ctx, link.Cid)
	if err == nil && (len(data) <= MaxInlineProof || link.Type() != cid.DagCBOR) {
		err = fmt.Errorf("%w: one of %d bytes that is a block of its own", ErrNoProof, len(data))
	}
	return data, err
}

// Add puts a proof into p.
func (p Proofs) Add(ctx context.Context, proof *Proof) error {
	data, err := proof.Encode()
	if err != nil {
		return err
	}
	if len(data) > MaxInlineProof {
		b := store.NewBlock(cid.DagCBOR, data)
		if err := p.large.Put(ctx, b); err != nil {
			return err
		}
		if data, err = dagcbor.Marshal(dagcbor.Link{Cid: b.Cid}); err != nil {
			return err
		}
	}
	return p.m.Set(ctx, proof.A.Slot().Key(), data)
}

// Flush writes p and returns its root; undefined if p is empty.
func (p Proofs) Flush(ctx context.Context, blocks store.Putter) (cid.Cid, error) {
	n, err := p.m.Len(ctx)
	if err != nil || n == 0 {
		return cid.Undef, err
	}
	for _, b := range p.large.Pending() {
		if err := blocks.Put(ctx, b); err != nil {
			return cid.Undef, err
		}
	}
	return p.m.Flush(ctx, blocks)
}
