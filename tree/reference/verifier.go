package reference

import (
	"context"
	"fmt"
	"sync"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// A Verifier verifies references and remembers the keys of those who signed them. It is safe for
// use by several goroutines if its blocks are.
type Verifier struct {
	blocks store.Getter
	mu     sync.Mutex
	chains map[chainKey]Chain
}

type chainKey struct{ owner, rotation cid.Cid }

// NewVerifier returns a Verifier that reads identities and rotations from blocks.
func NewVerifier(blocks store.Getter) *Verifier {
	return &Verifier{blocks: blocks, chains: map[chainKey]Chain{}}
}

// Verify checks that r is signed by its owner.
func (v *Verifier) Verify(ctx context.Context, r *Reference) error {
	chain, err := v.Chain(ctx, r)
	if err != nil {
		return err
	}
	return r.Verify(chain)
}

// Chain returns the keys of the owner of r up to the epoch of r.
func (v *Verifier) Chain(ctx context.Context, r *Reference) (Chain, error) {
	key := chainKey{r.Owner.Cid, r.Rotation.Target()}
	v.mu.Lock()
	chain, ok := v.chains[key]
	v.mu.Unlock()
	if ok {
		return chain, nil
	}
	blocks, err := r.withRotations(v.blocks)
	if err != nil {
		return Chain{}, err
	}
	if chain, err = OpenChain(ctx, blocks, r.Owner.Cid, r.Rotation); err != nil {
		return Chain{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.chains) >= maxChains {
		clear(v.chains)
	}
	v.chains[key] = chain
	return chain, nil
}

// maxChains is how many chains a Verifier keeps.
const maxChains = 10_000

// RotationBlocks returns the rotations that a node brings along, as blocks.
func (r *Reference) RotationBlocks() []store.Block {
	blocks := make([]store.Block, len(r.Rotations))
	for i, data := range r.Rotations {
		blocks[i] = store.NewBlock(cid.DagCBOR, data)
	}
	return blocks
}

// withRotations returns blocks with the rotations that r brings along, which have to be all of
// them, the oldest first.
func (r *Reference) withRotations(blocks store.Getter) (store.Getter, error) {
	if len(r.Rotations) == 0 {
		return blocks, nil
	}
	with := carried{blocks, map[cid.Cid][]byte{}}
	before := cid.Undef
	for i, b := range r.RotationBlocks() {
		rotation, err := Decode(b.Data)
		if err != nil {
			return nil, fmt.Errorf(".rotations: %w", err)
		}
		if rotation.Policy != RotationPolicy || rotation.Epoch != uint64(i) || !rotation.Rotation.Target().Equals(before) {
			return nil, fmt.Errorf("%w: .rotations is not the chain of the rotations", ErrMalformed)
		}
		with.data[b.Cid] = b.Data
		before = b.Cid
	}
	if !r.Rotation.Target().Equals(before) {
		return nil, fmt.Errorf("%w: .rotations does not end with the one in .rotation", ErrMalformed)
	}
	return with, nil
}

// carried is blocks with some that came along.
type carried struct {
	store.Getter
	data map[cid.Cid][]byte
}

func (c carried) Get(ctx context.Context, want cid.Cid) ([]byte, error) {
	if data, ok := c.data[want]; ok {
		return data, nil
	}
	return c.Getter.Get(ctx, want)
}
