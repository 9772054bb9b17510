// Package dagcbor reads and writes DAG-CBOR in the one spelling that the specification
// calls strict (https://ipld.io/specs/codecs/dag-cbor/spec/): map keys are texts sorted by
// length and then by bytes, lengths and integers are as short as they can be, nothing is of
// indefinite length, and the only tag is 42, a CID with a leading zero byte.
//
// The values of this project use a subset: no floats and no nulls, and integers
// between 0 and [MaxInt]. What a schema names is a Go struct with `cbor:"name"` tags;
// a field that may be absent is a pointer, a slice or a bool with omitempty. [Unmarshal]
// refuses whatever does not encode to the same bytes again, so one value has one CID.
package dagcbor

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// MaxInt is the largest integer that a value may hold: 2^53-1, the largest
// that every JSON reader keeps.
const MaxInt = 1<<53 - 1

// maxDepth is how deep arrays and maps may nest, counted in levels.
const maxDepth = 32

// Raw is the encoding of one value, kept as it is.
type Raw = cbor.RawMessage

var (
	encoder = must(cbor.EncOptions{
		Sort:          cbor.SortLengthFirst,
		IndefLength:   cbor.IndefLengthForbidden,
		NilContainers: cbor.NilContainerAsEmpty,
		BigIntConvert: cbor.BigIntConvertReject,
	}.EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  1 << 17,
		MaxMapPairs:       1 << 17,
	}.DecMode())
)

// must is for the two option sets above, which are constants of the program.
func must[M any](mode M, err error) M {
	if err != nil {
		panic(err)
	}
	return mode
}

var (
	// ErrMalformed is what every error of Unmarshal is.
	ErrMalformed = errors.New("malformed dag-cbor")
	// ErrNotCanonical is a value that is readable but not in its one spelling.
	ErrNotCanonical = fmt.Errorf("%w: not in its canonical form", ErrMalformed)
)

// Marshal returns the canonical encoding of v.
func Marshal(v any) ([]byte, error) {
	data, err := encoder.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("dag-cbor: %w", err)
	}
	return data, nil
}

// Unmarshal decodes data, all of it, into v, a pointer to a struct. It refuses unknown fields,
// fields twice, trailing bytes and any spelling but the canonical one.
func Unmarshal(data []byte, v any) error {
	if err := decoder.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	again, err := encoder.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(data, again) {
		return ErrNotCanonical
	}
	return nil
}

// A Link is a CID: tag 42 in DAG-CBOR, its text in JSON. The zero Link is not encodable;
// an absent link is a nil *Link.
type Link struct{ cid.Cid }

// LinkTo returns a pointer to a Link, for fields that may be absent; nil if c is undefined.
func LinkTo(c cid.Cid) *Link {
	if !c.Defined() {
		return nil
	}
	return &Link{c}
}

// Target returns the CID of l, or cid.Undef if l is nil.
func (l *Link) Target() cid.Cid {
	if l == nil {
		return cid.Undef
	}
	return l.Cid
}

// A CID in a value of ours has 36 bytes: version, codec, hash code, hash length, 32 bytes of
// SHA-256. So a link always encodes to the same five bytes before it.
const cidSize = 36

var linkPrefix = [5]byte{0xd8, 42, 0x58, cidSize + 1, 0}

// MarshalCBOR writes the link as tag 42.
func (l Link) MarshalCBOR() ([]byte, error) {
	raw := l.Cid.Bytes()
	if err := checkCid(raw); err != nil {
		return nil, err
	}
	return append(append(make([]byte, 0, len(linkPrefix)+cidSize), linkPrefix[:]...), raw...), nil
}

// UnmarshalCBOR reads tag 42 over a CIDv1 with SHA-256.
func (l *Link) UnmarshalCBOR(data []byte) error {
	if len(data) != len(linkPrefix)+cidSize || !bytes.HasPrefix(data, linkPrefix[:]) {
		return errors.New("not a link to a CIDv1 with SHA-256")
	}
	raw := data[len(linkPrefix):]
	if err := checkCid(raw); err != nil {
		return err
	}
	c, err := cid.Cast(raw)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	l.Cid = c
	return nil
}

// UnmarshalText reads the link from its one text form, base32 of a CIDv1 with SHA-256.
func (l *Link) UnmarshalText(text []byte) error {
	c, err := ParseCid(string(text))
	if err != nil {
		return err
	}
	l.Cid = c
	return nil
}

// MarshalText writes the link as base32.
func (l Link) MarshalText() ([]byte, error) {
	if err := checkCid(l.Cid.Bytes()); err != nil {
		return nil, err
	}
	return []byte(l.Cid.String()), nil
}

// UnmarshalJSON reads the link from a JSON string.
func (l *Link) UnmarshalJSON(data []byte) error {
	if len(data) < 2 || data[0] != '"' || data[len(data)-1] != '"' {
		return errors.New("a link in JSON is a string")
	}
	return l.UnmarshalText(data[1 : len(data)-1])
}

// MarshalJSON writes the link as a JSON string.
func (l Link) MarshalJSON() ([]byte, error) {
	text, err := l.MarshalText()
	if err != nil {
		return nil, err
	}
	return append(append([]byte{'"'}, text...), '"'), nil
}

// ParseCid reads a CID as this project writes it: CIDv1 in base32 with SHA-256, over
// raw bytes, dag-pb or dag-cbor.
func ParseCid(text string) (cid.Cid, error) {
	c, err := cid.Decode(text)
	if err != nil {
		return cid.Undef, fmt.Errorf("CID %q: %w", text, err)
	}
	if err := checkCid(c.Bytes()); err != nil {
		return cid.Undef, fmt.Errorf("CID %q: %w", text, err)
	}
	if c.String() != text {
		return cid.Undef, fmt.Errorf("CID %q: write it as %s", text, c)
	}
	return c, nil
}

func checkCid(raw []byte) error {
	if len(raw) != cidSize || raw[0] != 1 || raw[2] != mh.SHA2_256 || raw[3] != 32 {
		return errors.New("not a CIDv1 with SHA-256")
	}
	switch uint64(raw[1]) {
	case cid.Raw, cid.DagProtobuf, cid.DagCBOR:
		return nil
	}
	return fmt.Errorf("codec 0x%x is none of raw, dag-pb and dag-cbor", raw[1])
}
