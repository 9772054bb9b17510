package reference

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"archivecache/identity"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// Reasons why a reference is not its owner's. The errors of package identity for
// missing and wrong signatures come on top of these.
var (
	// ErrWrongOwner is a reference that is checked against somebody else's identity.
	ErrWrongOwner = errors.New("not signed by the owner")
	// ErrUnknownKey is a reference under a key that the owner's identity does not have in that
	// epoch.
	ErrUnknownKey = errors.New("signed with a key that the identity does not have")
	// ErrOldKey is a reference under a key that its owner has replaced.
	ErrOldKey = errors.New("signed with a key that its owner has replaced")
)

// A Signer signs for one identity with the key of one epoch. [identity.Key] is one.
type Signer interface {
	ID() cid.Cid
	Epoch() uint64
	Public() ed25519.PublicKey
	Sign(policy string, payload []byte) []byte
}

// Sign makes r a reference of s: it sets the owner, the epoch, the key and the signature. Chain has
// the keys of the identity up to the epoch of s.
func (r *Reference) Sign(s Signer, chain Chain) error {
	if !chain.Document.ID().Equals(s.ID()) || chain.Epoch() != s.Epoch() || !bytes.Equal(chain.Key(), s.Public()) {
		return fmt.Errorf("sign: %w in epoch %d", ErrUnknownKey, chain.Epoch())
	}
	r.Owner.Cid = s.ID()
	r.Key = s.Public()
	if err := r.setRotation(chain); err != nil {
		return err
	}
	payload, err := r.signed()
	if err != nil {
		return err
	}
	r.Signature = s.Sign(r.Policy, payload)
	if r.Policy == RotationPolicy {
		return nil // half of it; SignNext is the other
	}
	return r.Check()
}

// Verify checks that r is signed by its owner, whose keys chain has up to the epoch of r.
func (r *Reference) Verify(chain Chain) error {
	if !chain.owner().Equals(r.Owner.Cid) {
		return fmt.Errorf("%w %s", ErrWrongOwner, r.Owner)
	}
	if chain.Epoch() != r.Epoch || !bytes.Equal(r.Key, chain.Key()) {
		return fmt.Errorf("%w in epoch %d", ErrUnknownKey, r.Epoch)
	}
	payload, err := r.signed()
	if err != nil {
		return err
	}
	if err := identity.Verify(r.Key, r.Policy, payload, r.Signature); err != nil {
		return err
	}
	if r.Policy == RotationPolicy {
		return r.verifyNext(chain)
	}
	return nil
}

// VerifyWith is Verify with the identity document and the rotations read from blocks, where they
// stand under the CIDs in .owner and .rotation. A node brings its rotations along.
func (r *Reference) VerifyWith(ctx context.Context, blocks store.Getter) error {
	return NewVerifier(blocks).Verify(ctx, r)
}
