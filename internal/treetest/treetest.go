// Package treetest has people for the tests of the tree: identities with fixed keys, that sign
// references.
package treetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/store"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A Signer is an identity whose keys follow from a number, so that what it signs is the same in
// every run.
type Signer struct {
	reference.Chain
	number byte
}

// NewSigner returns the signer number n.
func NewSigner(n byte) *Signer {
	s := &Signer{number: n}
	s.Document = identity.NewDocument(s.key(0).Public().(ed25519.PublicKey), s.key(1).Public().(ed25519.PublicKey))
	return s
}

// key returns the key of an epoch.
func (s *Signer) key(epoch uint64) ed25519.PrivateKey {
	seed := []byte{s.number, s.number}
	if epoch > 0 {
		seed[1] = byte(0x100 - epoch)
	}
	return ed25519.NewKeyFromSeed(bytes.Repeat(seed, ed25519.SeedSize/2))
}

// ID returns the id of the identity.
func (s *Signer) ID() cid.Cid { return s.Document.ID() }

// Public returns the public key.
func (s *Signer) Public() ed25519.PublicKey { return s.Key() }

// Sign signs payload under policy.
func (s *Signer) Sign(policy string, payload []byte) []byte {
	return ed25519.Sign(s.key(s.Epoch()), identity.PAE(identity.PayloadType(policy), payload))
}

// Rotate signs a rotation to the next epoch, puts it and the document into blocks, and goes on with
// the new key. Last are the references that count.
func (s *Signer) Rotate(ctx context.Context, blocks store.Blocks, last ...*reference.Reference) (*reference.Reference, error) {
	next := &Signer{s.Chain, s.number}
	commitment := sha256.Sum256(s.key(s.Epoch() + 2).Public().(ed25519.PublicKey))
	r := &reference.Reference{
		Policy: reference.RotationPolicy, Sequence: 1, Next: commitment[:], NextKey: s.key(s.Epoch() + 1).Public().(ed25519.PublicKey),
	}
	var err error
	if r.Last, err = reference.MakeLast(ctx, blocks, last); err != nil {
		return nil, err
	}
	if err := r.Sign(s, s.Chain); err != nil {
		return nil, err
	}
	next.Rotations = append(s.Rotations[:len(s.Rotations):len(s.Rotations)], r)
	if err := r.SignNext(next); err != nil {
		return nil, err
	}
	*s = *next
	b, err := r.Block()
	if err != nil {
		return nil, err
	}
	return r, errors.Join(blocks.Put(ctx, b), blocks.Put(ctx, s.Document.Block()))
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
		Policy: f.Policy, Directory: &f, Path: f.Path, Content: dagcbor.LinkTo(content), Time: time, Epoch: s.Epoch(),
	}
	if err := r.Continue(ctx, blocks, previous); err != nil {
		return nil, err
	}
	return r, r.Sign(s, s.Chain)
}
