package reference

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/store"
	"archivecache/tree/merkle"

	"github.com/ipfs/go-cid"
)

// rotationFounding is the same for all identities, so that all rotations stand together in a state.
var rotationFounding = Founding{Policy: RotationPolicy, Path: "identity"}

var rotationDirectory = rotationFounding.ID()

// RotationSlot returns the slot of an author's rotations.
func RotationSlot(author cid.Cid) Slot {
	return Slot{Directory: rotationDirectory, Author: author}
}

func (r *Reference) checkRotation(wrong wrongFunc) error {
	switch {
	case r.Path != "" || r.Directory != nil || r.Deleted || r.Content != nil || r.Marks != nil ||
		r.Addresses != nil || r.Seen != nil || r.Proofs != nil:
		return wrong("a rotation has the fields of a rotation only")
	case r.Sequence != 1 || r.History != nil:
		return wrong("a rotation has .sequence 1 and no .history")
	case r.Epoch == MaxRotations:
		return wrong("more than %d rotations", MaxRotations)
	case r.Last != nil && !cborLink(r.Last):
		return wrong(".last is a link to dag-cbor")
	case len(r.Next) != sha256.Size:
		return wrong(".next has %d bytes, not %d", len(r.Next), sha256.Size)
	case len(r.NextSignature) != ed25519.SignatureSize:
		return wrong(".next_signature has %d bytes, not %d", len(r.NextSignature), ed25519.SignatureSize)
	case bytes.Equal(r.NextKey, r.Key) || commits(r.Next, r.NextKey) || commits(r.Next, r.Key):
		return wrong("it does not change the key")
	}
	if err := identity.CheckKey(r.NextKey); err != nil {
		return wrong(".next_key: %v", err)
	}
	return nil
}

// commits reports whether commitment is the SHA-256 of key.
func commits(commitment []byte, key ed25519.PublicKey) bool {
	sum := sha256.Sum256(key)
	return bytes.Equal(sum[:], commitment)
}

// SignNext completes a rotation that the old key has signed with the signature of the new one.
func (r *Reference) SignNext(s Signer) error {
	payload, err := r.signedNext()
	if err != nil {
		return err
	}
	r.NextSignature = s.Sign(r.Policy, payload)
	return r.Check()
}

func (r *Reference) signedNext() ([]byte, error) {
	unsigned := *r
	unsigned.NextSignature = nil
	return dagcbor.Marshal(unsigned)
}

// verifyNext checks the new key of a rotation, given the chain up to the old one.
func (r *Reference) verifyNext(chain Chain) error {
	if !commits(chain.commitment(), r.NextKey) {
		return fmt.Errorf("rotation to epoch %d: %w: the identity has committed to another one", r.Epoch+1, ErrUnknownKey)
	}
	payload, err := r.signedNext()
	if err != nil {
		return err
	}
	return identity.Verify(r.NextKey, r.Policy, payload, r.NextSignature)
}

// A Chain has the keys of an identity up to one epoch: its document and the rotations since.
type Chain struct {
	Document  identity.Document
	Rotations []*Reference // oldest first

	id cid.Cid // of Document, if it is known
}

// owner returns the id of the identity.
func (c Chain) owner() cid.Cid {
	if c.id.Defined() {
		return c.id
	}
	return c.Document.ID()
}

// Epoch returns the epoch that the chain leads to.
func (c Chain) Epoch() uint64 { return uint64(len(c.Rotations)) }

// Key returns the public key of that epoch.
func (c Chain) Key() ed25519.PublicKey {
	if len(c.Rotations) == 0 {
		return c.Document.Public()
	}
	return c.Rotations[len(c.Rotations)-1].NextKey
}

// Rotation returns the rotation to that epoch; nil in epoch 0.
func (c Chain) Rotation() *Reference {
	if len(c.Rotations) == 0 {
		return nil
	}
	return c.Rotations[len(c.Rotations)-1]
}

// commitment returns the SHA-256 of the key of the epoch after.
func (c Chain) commitment() []byte {
	if len(c.Rotations) == 0 {
		return c.Document.Next
	}
	return c.Rotations[len(c.Rotations)-1].Next
}

// setRotation sets the fields that say in which epoch r is signed.
func (r *Reference) setRotation(chain Chain) error {
	r.Epoch, r.Rotation, r.Rotations = chain.Epoch(), nil, nil
	if r.Epoch == 0 {
		return nil
	}
	b, err := chain.Rotation().Block()
	if err != nil {
		return err
	}
	r.Rotation = dagcbor.LinkTo(b.Cid)
	for _, rotation := range chain.Rotations {
		if r.Policy != NodePolicy {
			break
		}
		data, err := rotation.Encode()
		if err != nil {
			return err
		}
		r.Rotations = append(r.Rotations, data)
	}
	return nil
}

// OpenChain reads and verifies the keys of owner up to the epoch that rotation starts; nil is
// none, for epoch 0.
func OpenChain(ctx context.Context, blocks store.Getter, owner cid.Cid, rotation *dagcbor.Link) (Chain, error) {
	data, err := blocks.Get(ctx, owner)
	if err != nil {
		return Chain{}, fmt.Errorf("identity of the owner: %w", err)
	}
	chain := Chain{}
	if chain.Document, err = identity.DecodeDocument(data); err != nil {
		return Chain{}, fmt.Errorf("identity of the owner: %w", err)
	}
	chain.id = chain.Document.ID() // once for all that is verified with it
	rotations, err := readRotations(ctx, blocks, owner, rotation)
	if err != nil {
		return Chain{}, err
	}
	for _, r := range rotations {
		if err := r.Verify(chain); err != nil {
			return Chain{}, err
		}
		chain.Rotations = append(chain.Rotations, r)
	}
	return chain, nil
}

// readRotations reads the rotations from the first to the one at link.
func readRotations(ctx context.Context, blocks store.Getter, owner cid.Cid, link *dagcbor.Link) ([]*Reference, error) {
	var all []*Reference
	for link != nil {
		data, err := blocks.Get(ctx, link.Cid)
		if err != nil {
			return nil, fmt.Errorf("rotation of %s: %w", owner, err)
		}
		r, err := Decode(data)
		switch {
		case err != nil:
			return nil, fmt.Errorf("rotation of %s: %w", owner, err)
		case r.Policy != RotationPolicy || !r.Owner.Equals(owner):
			return nil, fmt.Errorf("rotation of %s: %w: it is something else", owner, ErrMalformed)
		case len(all) > 0 && r.Epoch+1 != all[0].Epoch:
			return nil, fmt.Errorf("rotation of %s: %w: an epoch is passed over", owner, ErrMalformed)
		}
		all = append([]*Reference{r}, all...)
		link = r.Rotation
	}
	return all, nil
}

// builtOn reports whether low is among the rotations before r.
func (r *Reference) builtOn(ctx context.Context, blocks store.Getter, low *Reference) (bool, error) {
	b, err := low.Block()
	if err != nil {
		return false, err
	}
	earlier, err := readRotations(ctx, blocks, r.Owner.Cid, r.Rotation)
	if err != nil || low.Epoch >= uint64(len(earlier)) {
		return false, err
	}
	if low.Epoch+1 == r.Epoch {
		return r.Rotation.Equals(b.Cid), nil
	}
	return earlier[low.Epoch+1].Rotation.Equals(b.Cid), nil
}

var lastPosition = merkle.Split(DirectoryKeySize)

// A Last is a last reference that counts, as a rotation names it.
type Last struct {
	*Reference
	Place uint64 // how many references precede it
}

// lastDoc is a Last as it is encoded: as bytes, so that what it points to does not hang from the
// rotation for ever.
type lastDoc struct {
	Place     uint64 `cbor:"place"`
	Reference []byte `cbor:"reference"`
}

// MakeLast writes the map of the last references that count, and returns what a rotation has in
// .last; nil if there are none.
func MakeLast(ctx context.Context, blocks store.Blocks, last []*Reference) (*dagcbor.Link, error) {
	m := merkle.NewMap(blocks, lastPosition, cid.Undef)
	for _, r := range last {
		data, err := r.Encode()
		if err != nil {
			return nil, err
		}
		place, err := r.position(ctx, blocks)
		if err != nil {
			return nil, err
		}
		if data, err = dagcbor.Marshal(lastDoc{place, data}); err != nil {
			return nil, err
		}
		if err := m.Set(ctx, r.Slot().Key(), data); err != nil {
			return nil, err
		}
	}
	if len(last) == 0 {
		return nil, nil
	}
	c, err := m.Flush(ctx, blocks)
	return dagcbor.LinkTo(c), err
}

// LastOf returns the reference that the rotation r names for a slot; nil if it names none.
func (r *Reference) LastOf(ctx context.Context, blocks store.Getter, slot Slot) (*Last, error) {
	if r.Last == nil {
		return nil, nil
	}
	data, ok, err := merkle.NewMap(blocks, lastPosition, r.Last.Target()).Get(ctx, slot.Key())
	if err != nil || !ok {
		return nil, err
	}
	return r.decodeLast(slot, data)
}

// EachLast calls fn for every reference that the rotation r names.
func (r *Reference) EachLast(ctx context.Context, blocks store.Getter, fn func(*Last) error) error {
	if r.Last == nil {
		return nil
	}
	return merkle.NewMap(blocks, lastPosition, r.Last.Target()).Each(ctx, func(key []byte, data dagcbor.Raw) error {
		slot, err := ParseSlot(key)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		last, err := r.decodeLast(slot, data)
		if err != nil {
			return err
		}
		return fn(last)
	})
}

func (r *Reference) decodeLast(slot Slot, data dagcbor.Raw) (*Last, error) {
	var doc lastDoc
	if err := dagcbor.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%w: .last: %w", ErrMalformed, err)
	}
	last, err := Decode(doc.Reference)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: .last: %w", ErrMalformed, err)
	case last.Slot() != slot || !last.Owner.Equals(r.Owner.Cid) || last.Epoch > r.Epoch || last.Directory == nil:
		return nil, fmt.Errorf("%w: .last names what is not a reference of that slot and of an epoch before", ErrMalformed)
	}
	return &Last{last, doc.Place}, nil
}

// Continues checks that r, a reference of a directory, continues what its rotation names for the
// slot. An error that is not [ErrMalformed] says that this cannot be read now.
func (r *Reference) Continues(ctx context.Context, blocks store.Getter, chain Chain) error {
	rotation := chain.Rotation()
	if rotation == nil || r.Directory == nil {
		return nil
	}
	last, err := rotation.LastOf(ctx, blocks, r.Slot())
	if err != nil || last == nil {
		return err
	}
	hash, err := last.Hash()
	if err != nil {
		return err
	}
	log, err := r.Log(ctx, blocks)
	if err != nil {
		return err
	}
	if last.Place < log.Length {
		at, err := log.At(ctx, blocks, last.Place)
		if err != nil || bytes.Equal(at, hash) {
			return err
		}
	}
	return fmt.Errorf("%w: it does not continue the reference that the rotation names", ErrMalformed)
}
