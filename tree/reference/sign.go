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
)

// A Signer signs for one identity. [identity.Secret] is one.
type Signer interface {
	ID() cid.Cid
	Public() ed25519.PublicKey
	Sign(policy string, payload []byte) []byte
}

// Sign makes r a reference of s: it sets the owner, the key and the signature.
func (r *Reference) Sign(s Signer) error {
	r.Owner.Cid = s.ID()
	r.Key = s.Public()
	payload, err := r.signed()
	if err != nil {
		return err
	}
	r.Signature = s.Sign(r.Policy, payload)
	return r.Check()
}

// Verify checks that doc is the identity of the owner of r, and that it signed r.
func (r *Reference) Verify(doc identity.Document) error {
	if !doc.ID().Equals(r.Owner.Cid) {
		return fmt.Errorf("%w %s", ErrWrongOwner, r.Owner)
	}
	if r.Epoch != 0 || !bytes.Equal(r.Key, doc.Key) {
		return fmt.Errorf("%w in epoch %d", ErrUnknownKey, r.Epoch)
	}
	payload, err := r.signed()
	if err != nil {
		return err
	}
	return identity.Verify(r.Key, r.Policy, payload, r.Signature)
}

// VerifyWith is Verify with the identity document read from blocks, where it stands under the
// CID in .owner.
func (r *Reference) VerifyWith(ctx context.Context, blocks store.Getter) error {
	data, err := blocks.Get(ctx, r.Owner.Cid)
	if err != nil {
		return fmt.Errorf("identity of the owner: %w", err)
	}
	doc, err := identity.DecodeDocument(data)
	if err != nil {
		return fmt.Errorf("identity of the owner: %w", err)
	}
	return r.Verify(doc)
}
