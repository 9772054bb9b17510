// Package dag finds the links in a block.
//
// Three codecs are understood. A raw block has no links. A dag-pb block is a protobuf
// message, and its links are the Hash fields in it, in the order in which they stand. A
// dag-cbor block is one CBOR item, and its links are the items under tag 42 (a byte string of
// a zero byte and a CID), in the order in which they stand.
//
// Blocks come from strangers, so the scan is strict. A link is a CIDv0 or a CIDv1 with a
// SHA-256 multihash of 32 bytes, in the shortest spelling, with nothing behind it; any other
// link is an error. Varints and CBOR lengths have their shortest spelling, a field stands at
// most once where the schema allows one, unknown fields are refused, CBOR lengths are
// definite, CBOR map keys are texts, items nest at most [MaxDepth] deep, and no byte follows
// the end. The work is linear in the length of the block.
package dag

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// MaxDepth is how deep arrays, maps and tags may nest in a dag-cbor block, in levels.
const MaxDepth = 64

const (
	digestLen    = 32
	multihashLen = 2 + digestLen
)

// ErrMalformed is what every error about the bytes of a block is, for errors.Is.
var ErrMalformed = errors.New("malformed block")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// Links calls fn with each link of the block c, whose bytes are data, in order and with
// repetitions. It stops at the first error of fn and returns that error as it is. Links that
// come before a fault of the block are handed to fn before the fault is found.
// The bytes are not compared with the hash of c.
func Links(c cid.Cid, data []byte, fn func(cid.Cid) error) error {
	return RawLinks(c, data, func(link []byte) error {
		l, err := cid.Cast(link)
		if err != nil {
			return malformed("link: %v", err)
		}
		return fn(l)
	})
}

// RawLinks is [Links] for callers that can work with the binary form of a CID, part of data:
// it allocates nothing.
func RawLinks(c cid.Cid, data []byte, fn func(link []byte) error) error {
	return SizedLinks(c, data, func(link []byte, _ uint64) error { return fn(link) })
}

// SizedLinks is [RawLinks] with what each link says of the size of all that is below it, in bytes;
// of a raw block that is its length. Nobody has checked that. Where nothing is said it is 0.
func SizedLinks(c cid.Cid, data []byte, fn func(link []byte, size uint64) error) error {
	var err error
	switch codec := c.Type(); codec {
	case cid.Raw:
		return nil
	case cid.DagProtobuf:
		_, err = ScanPB(data, func(l PBLink) error { return fn(l.Cid, l.Tsize) })
	case cid.DagCBOR:
		err = scanCBOR(data, func(link []byte) error { return fn(link, 0) })
	default:
		err = fmt.Errorf("codec 0x%x is not supported", codec)
	}
	if err != nil {
		return fmt.Errorf("links of block %s: %w", c, err)
	}
	return nil
}

// CheckCid says whether b is the binary form of a CID that links may have.
func CheckCid(b []byte) error {
	if len(b) == multihashLen && b[0] == mh.SHA2_256 { // CIDv0 is a bare multihash
		return checkMultihash(b)
	}
	if len(b) < 1 || b[0] != 1 {
		return malformed("link is not a CIDv0 or CIDv1")
	}
	_, n, err := Uvarint(b[1:])
	if err != nil {
		return malformed("codec of a link: %v", err)
	}
	return checkMultihash(b[1+n:])
}

func checkMultihash(b []byte) error {
	if len(b) != multihashLen || b[0] != mh.SHA2_256 || b[1] != digestLen {
		return malformed("hash of a link is not SHA-256")
	}
	return nil
}

// Uvarint reads an unsigned varint of at most 64 bits from the beginning of b and returns it
// with its length in bytes. One that is cut off, too large, or not in its shortest spelling is
// an error.
func Uvarint(b []byte) (v uint64, n int, err error) {
	if len(b) > 0 && b[0] < 0x80 { // nearly all of them
		return uint64(b[0]), 1, nil
	}
	v, n = binary.Uvarint(b)
	if n <= 0 {
		return 0, 0, malformed("varint is cut off or too large")
	}
	if n > 1 && b[n-1] == 0 {
		return 0, 0, malformed("varint is longer than it must be")
	}
	return v, n, nil
}
