package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

var (
	// ErrUnsigned is something without a signature.
	ErrUnsigned = errors.New("not signed")
	// ErrBadSignature is a signature of other bytes, under another policy or by another key.
	ErrBadSignature = errors.New("the signature does not match: changed after signing, or signed with another key")
)

// typePrefix comes before the policy in the type of a payload.
const typePrefix = "application/vnd.archivecache."

// PayloadType returns the DSSE payload type of what is signed under a policy.
func PayloadType(policy string) string { return typePrefix + policy }

// PAE returns the pre-authentication encoding of DSSE v1: the bytes that are signed.
func PAE(payloadType string, payload []byte) []byte {
	out := make([]byte, 0, len(payloadType)+len(payload)+32)
	out = fmt.Appendf(out, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	return append(out, payload...)
}

// Verify checks that sig is a signature by pub of payload under policy. The error is
// [ErrUnsigned] for an empty sig, [ErrBadKey] for a key in another than the canonical form or of
// small order, and otherwise [ErrBadSignature], also for a key that is no point of the curve.
func Verify(pub ed25519.PublicKey, policy string, payload, sig []byte) error {
	if len(sig) == 0 {
		return fmt.Errorf("verify %s: %w", policy, ErrUnsigned)
	}
	// A whole CheckKey costs a fifth of a verification; crypto/ed25519 looks for x itself.
	if _, err := checkEncoding(pub); err != nil {
		return fmt.Errorf("verify %s: %w", policy, err)
	}
	if len(sig) != ed25519.SignatureSize {
		return fmt.Errorf("verify %s: %d bytes of signature, must be %d: %w", policy, len(sig), ed25519.SignatureSize, ErrBadSignature)
	}
	if !ed25519.Verify(pub, PAE(PayloadType(policy), payload), sig) {
		return fmt.Errorf("verify %s: %w", policy, ErrBadSignature)
	}
	return nil
}
