package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/mr-tron/base58"
)

// ErrBadKey is a public key that must not be trusted, whoever shows it.
var ErrBadKey = errors.New("not a usable Ed25519 public key")

// The curve is -x² + y² = 1 + dx²y², with d the variable curve, over the integers modulo the prime
// 2^255-19 (RFC 8032 section 5.1).
var (
	one   = big.NewInt(1)
	prime = new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	curve = mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), prime)))
)

func mod(x *big.Int) *big.Int { return x.Mod(x, prime) }

// CheckKey refuses with [ErrBadKey] what is not the canonical encoding of a point of the
// curve, or is a point of small order.
func CheckKey(pub []byte) error {
	y, err := checkEncoding(pub)
	if err != nil {
		return err
	}
	slices.Reverse(y[:])
	// x² = u/v with u = y²-1 and v = dy²+1, which has a root if uv has one.
	u := new(big.Int).SetBytes(y[:])
	u = mod(u.Mul(u, u))
	v := new(big.Int).Mul(curve, u)
	u.Sub(u, one)
	v.Add(v, one)
	if big.Jacobi(mod(u.Mul(u, v)), prime) < 0 {
		return fmt.Errorf("key is not a point of the curve: %w", ErrBadKey)
	}
	return nil
}

// smallOrder holds the y of all eight points of small order, in hexadecimal, the lowest byte first.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000", // order 1
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
	"0000000000000000000000000000000000000000000000000000000000000000", // order 4
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8: dy⁴ + 2y² = 1
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
}

// checkEncoding does what CheckKey does, except that it does not look for an x. It returns y, the
// key without its highest bit, which is the sign of x.
func checkEncoding(pub []byte) (y [32]byte, err error) {
	if len(pub) != ed25519.PublicKeySize {
		return y, fmt.Errorf("key of %d bytes, must be %d: %w", len(pub), ed25519.PublicKeySize, ErrBadKey)
	}
	copy(y[:], pub)
	y[31] &= 0x7f
	// The prime is ed, thirty times ff, 7f.
	if y[0] >= 0xed && y[31] == 0x7f && !slices.ContainsFunc(y[1:31], func(b byte) bool { return b != 0xff }) {
		return y, fmt.Errorf("key is not in canonical form: %w", ErrBadKey)
	}
	if slices.Contains(smallOrder, hex.EncodeToString(y[:])) {
		return y, fmt.Errorf("key is a point of small order, for which anybody can sign: %w", ErrBadKey)
	}
	return y, nil
}

const (
	didPrefix = "did:key:z"
	// didSize is the length of every did:key of this kind in characters.
	didSize = len(didPrefix) + 47
)

// codec is the multicodec ed25519-pub as a varint.
var codec = []byte{0xed, 0x01}

// DIDKey returns the text form of a public key.
func DIDKey(pub ed25519.PublicKey) string {
	return didPrefix + base58.Encode(slices.Concat(codec, pub))
}

// ParseDIDKey reads the text form of an Ed25519 public key. What it refuses is [ErrBadKey].
func ParseDIDKey(text string) (ed25519.PublicKey, error) {
	encoded, ok := strings.CutPrefix(text, didPrefix)
	if !ok || len(text) != didSize {
		return nil, fmt.Errorf("parse %.80q: not %s and 47 characters: %w", text, didPrefix, ErrBadKey)
	}
	data, err := base58.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("parse %q: %w: %w", text, err, ErrBadKey)
	}
	pub, ok := bytes.CutPrefix(data, codec)
	if !ok {
		return nil, fmt.Errorf("parse %q: not a key for Ed25519: %w", text, ErrBadKey)
	}
	if err := CheckKey(pub); err != nil {
		return nil, fmt.Errorf("parse %q: %w", text, err)
	}
	if DIDKey(pub) != text {
		return nil, fmt.Errorf("parse %q: another spelling of %s: %w", text, DIDKey(pub), ErrBadKey)
	}
	return pub, nil
}
