package store

import (
	"crypto/sha256"
	"fmt"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// MaxIdentity is the longest identity CID that is taken, in bytes of what it holds.
const MaxIdentity = 128

// A Digest is the SHA-256 of a block. Stores key blocks by it alone, so that CIDs that differ in
// version or codec share the bytes.
type Digest = [sha256.Size]byte

// DigestOf returns the digest in c. A CID with another hash than SHA-256 is an error.
func DigestOf(c cid.Cid) (Digest, error) {
	h := c.Hash()
	if len(h) != 2+sha256.Size || h[0] != mh.SHA2_256 || h[1] != sha256.Size {
		return Digest{}, fmt.Errorf("block %s: hash is not SHA-256", c)
	}
	return Digest(h[2:]), nil
}

// RawCid returns the CID of the raw block with that digest.
func RawCid(d Digest) cid.Cid {
	hash := append(make([]byte, 0, 2+len(d)), mh.SHA2_256, byte(len(d)))
	return cid.NewCidV1(cid.Raw, append(hash, d[:]...))
}

// Identity returns the bytes that an identity CID holds in itself. ok is false for any other CID,
// and for one that holds more than [MaxIdentity] bytes. No store needs to keep such a block.
func Identity(c cid.Cid) (data []byte, ok bool) {
	h := c.Hash()
	if len(h) < 2 || h[0] != mh.IDENTITY {
		return nil, false
	}
	decoded, err := mh.Decode(h)
	if err != nil || decoded.Code != mh.IDENTITY || len(decoded.Digest) > MaxIdentity {
		return nil, false
	}
	return decoded.Digest, true
}

// Check refuses a block that no store takes: one over [MaxBlock], one whose CID has
// another hash than SHA-256, and an identity CID that holds other bytes. keep says whether there is
// anything to store; d is its key. Check does not hash the bytes: Put trusts its caller.
func Check(b Block) (d Digest, keep bool, err error) {
	if len(b.Data) > MaxBlock {
		return d, false, fmt.Errorf("block %s: %d bytes, more than the %d that a block may have", b.Cid, len(b.Data), MaxBlock)
	}
	if data, ok := Identity(b.Cid); ok {
		if string(data) != string(b.Data) {
			return d, false, &MismatchError{Cid: b.Cid}
		}
		return d, false, nil
	}
	d, err = DigestOf(b.Cid)
	return d, err == nil, err
}
