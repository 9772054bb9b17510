package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
)

const (
	// MaxEpoch is the highest epoch of a key, the largest integer of package dagcbor.
	MaxEpoch = 1<<53 - 1
	// maxKeys is how many keys a Secret may have.
	maxKeys = 16
)

var (
	// ErrKeysDiffer are keys of two identities, or two keys of one epoch.
	ErrKeysDiffer = errors.New("these keys do not belong together")
	// ErrTooManyKeys is a Secret that cannot take another key.
	ErrTooManyKeys = errors.New("too many keys of one identity")
)

// A Secret is the private side of an identity: its document and the keys of one or more
// epochs. It does not change, and prints as the id, with whatever verb.
type Secret struct {
	document Document
	// The keys stand behind a function because fmt calls no methods on a Secret that is an
	// unexported field of something else, and follows a pointer there under some verbs.
	keys func() keys
}

// keys are private keys by epoch. A map that a Secret has is not changed.
type keys map[uint64]ed25519.PrivateKey

// Generate makes a new identity from the system's random numbers, with the keys of epochs 0
// and 1.
func Generate() (*Secret, error) {
	_, current, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("generate identity: %w", err)
	}
	_, next, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("generate identity: %w", err)
	}
	return newSecret(current, next), nil
}

// newSecret returns the identity that begins with the keys of epochs 0 and 1.
func newSecret(current, next ed25519.PrivateKey) *Secret {
	return withKeys(NewDocument(public(current), public(next)), keys{0: current, 1: next})
}

func withKeys(d Document, k keys) *Secret { return &Secret{d, func() keys { return k }} }

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// Document returns the public side.
func (s *Secret) Document() Document { return s.document }

// ID returns the id of the identity.
func (s *Secret) ID() ID { return s.document.ID() }

// epochs returns the epochs of which s has the keys, ascending.
func (s *Secret) epochs() []uint64 { return slices.Sorted(maps.Keys(s.keys())) }

// Epochs returns the lowest and the highest epoch of which s has the key. Between them some may
// be missing.
func (s *Secret) Epochs() (first, last uint64) {
	epochs := s.epochs()
	return epochs[0], epochs[len(epochs)-1]
}

// At returns the key of an epoch; the error is [ErrNoKey].
func (s *Secret) At(epoch uint64) (*Key, error) {
	key, ok := s.keys()[epoch]
	if !ok {
		return nil, fmt.Errorf("the keys of %s that are here are of %s, not of epoch %d: take the newest backup, or the file with the next key: %w",
			s.ID(), describe(s.epochs()), epoch, ErrNoKey)
	}
	return &Key{s.ID(), epoch, func() ed25519.PrivateKey { return key }}, nil
}

// describe names epochs, of which there is at least one.
func describe(epochs []uint64) string {
	if len(epochs) == 1 {
		return fmt.Sprintf("epoch %d", epochs[0])
	}
	return fmt.Sprintf("epochs %d to %d", epochs[0], epochs[len(epochs)-1])
}

// Format prints the id for every verb, never the keys.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "secret key of %s", s.document.ID()) }

// Grow returns s with one more key from the system's random numbers, of the epoch after the last.
func (s *Secret) Grow() (*Secret, error) {
	_, last := s.Epochs()
	if last == MaxEpoch {
		return nil, fmt.Errorf("make a key after that of epoch %d: no epoch is later", last)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make a key of epoch %d: %w", last+1, err)
	}
	return s.With(withKeys(s.document, keys{last + 1: key}))
}

// keep returns s with only the keys of the epochs that are wanted, nil if there are none.
func (s *Secret) keep(wanted func(epoch uint64) bool) *Secret {
	kept := maps.Clone(s.keys())
	maps.DeleteFunc(kept, func(epoch uint64, _ ed25519.PrivateKey) bool { return !wanted(epoch) })
	if len(kept) == 0 {
		return nil
	}
	return withKeys(s.document, kept)
}

// From returns s without the keys of epochs below the given one, nil if that leaves no key.
func (s *Secret) From(epoch uint64) *Secret {
	return s.keep(func(e uint64) bool { return e >= epoch })
}

// Split returns s without the key of the epoch, and with only that one. Either is nil if it would
// have no key.
func (s *Secret) Split(epoch uint64) (without, only *Secret) {
	return s.keep(func(e uint64) bool { return e != epoch }), s.keep(func(e uint64) bool { return e == epoch })
}

// With returns the keys of both. The errors are [ErrKeysDiffer] for another identity or another
// key of the same epoch, and [ErrTooManyKeys].
func (s *Secret) With(other *Secret) (*Secret, error) {
	if s.ID() != other.ID() {
		return nil, fmt.Errorf("keys of %s and of %s: %w", s.ID(), other.ID(), ErrKeysDiffer)
	}
	all := maps.Clone(s.keys())
	for epoch, key := range other.keys() {
		if known, ok := all[epoch]; ok && !bytes.Equal(known, key) {
			return nil, fmt.Errorf("two keys of epoch %d of %s, and only one can count: %w", epoch, s.ID(), ErrKeysDiffer)
		}
		all[epoch] = key
	}
	if len(all) > maxKeys {
		return nil, fmt.Errorf("%d keys of %s, at most %d are kept: %w", len(all), s.ID(), maxKeys, ErrTooManyKeys)
	}
	return withKeys(s.document, all), nil
}

// Has reports whether s has every key of other, which is of the same identity, or nil.
func (s *Secret) Has(other *Secret) bool {
	if other == nil {
		return true
	}
	both, err := s.With(other)
	return err == nil && len(both.keys()) == len(s.keys())
}

// A Key is the private key of one epoch of an identity. It prints as the epoch and the id, with
// whatever verb.
type Key struct {
	id      ID
	epoch   uint64
	private func() ed25519.PrivateKey // for the same reason as in Secret
}

// ID returns the id of the identity.
func (k *Key) ID() ID { return k.id }

// Epoch returns how many rotations come before the key counts.
func (k *Key) Epoch() uint64 { return k.epoch }

// Public returns the public key.
func (k *Key) Public() ed25519.PublicKey { return public(k.private()) }

// Sign returns the signature of payload under policy.
func (k *Key) Sign(policy string, payload []byte) []byte {
	return ed25519.Sign(k.private(), PAE(PayloadType(policy), payload))
}

// Format prints the epoch and the id for every verb, never the key.
func (k Key) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "secret key of epoch %d of %s", k.epoch, k.id)
}
