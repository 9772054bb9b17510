// Package treetest has people for the tests of the tree: identities with fixed keys, that sign
// references.
package treetest

import (
	"bytes"
	"context"
	"crypto/ed25519"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/store"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A Signer is an identity whose keys follow from a number, so that what it signs is the same in
// every run.
type Signer struct {
	Document identity.Document
	key      ed25519.PrivateKey
}

// NewSigner returns the signer number n.
func NewSigner(n byte) *Signer {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	next := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n, 0xff}, ed25519.SeedSize/2))
	return &Signer{
		Document: identity.NewDocument(key.Public().(ed25519.PublicKey), next.Public().(ed25519.PublicKey)),
		key:      key,
	}
}

// ID returns the id of the identity.
func (s *Signer) ID() cid.Cid { return s.Document.ID() }

// Public returns the public key.
func (s *Signer) Public() ed25519.PublicKey { return s.Document.Public() }

// Sign signs payload under policy.
func (s *Signer) Sign(policy string, payload []byte) []byte {
	return ed25519.Sign(s.key, identity.PAE(identity.PayloadType(policy), payload))
}

// Shared returns the founding document of the shared directory at path.
func Shared(path string) reference.Founding {
	return reference.Founding{Policy: reference.SharedPolicy, Path: path}
}

// Layer returns a reference of s for a shared directory, signed, as the next after previous; nil
// is none. Time tells references apart that would be the same otherwise. The identity document
// and the history are put into blocks.
func (s *Signer) Layer(ctx context.Context, blocks store.Blocks, f reference.Founding, previous *reference.Reference, time uint64) (*reference.Reference, error) {
	if err := blocks.Put(ctx, s.Document.Block()); err != nil {
		return nil, err
	}
	content := store.Sum(cid.DagProtobuf, []byte("content"))
	r := &reference.Reference{
		Policy: f.Policy, Directory: &f, Path: f.Path, Content: dagcbor.LinkTo(content), Time: time,
	}
	if err := r.Continue(ctx, blocks, previous); err != nil {
		return nil, err
	}
	return r, r.Sign(s)
}
