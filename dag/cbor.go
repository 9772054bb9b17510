package dag

import "encoding/binary"

// Major types of CBOR.
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

// cidTag is the only tag of dag-cbor: a byte string that holds a zero byte and a CID.
const cidTag = 42

type cborScanner struct {
	b  []byte // what is left
	fn func(link []byte) error
}

func scanCBOR(data []byte, fn func(link []byte) error) error {
	s := cborScanner{b: data, fn: fn}
	if err := s.item(MaxDepth); err != nil {
		return err
	}
	if len(s.b) != 0 {
		return malformed("%d bytes behind the end", len(s.b))
	}
	return nil
}

// item reads one item that may nest depth levels deep.
func (s *cborScanner) item(depth int) error {
	if depth == 0 {
		return malformed("nested deeper than %d levels", MaxDepth)
	}
	if len(s.b) > 0 && s.b[0]>>5 == cborSimple {
		return s.simple()
	}
	major, n, err := s.head()
	if err != nil {
		return err
	}
	switch major {
	case cborBytes, cborText:
		_, err = s.take(n)
	case cborArray:
		err = s.items(n, depth)
	case cborMap:
		err = s.pairs(n, depth)
	case cborTag:
		err = s.link(n)
	}
	return err
}

func (s *cborScanner) items(n uint64, depth int) error {
	for ; n > 0; n-- { // every item takes a byte, so data bounds this
		if err := s.item(depth - 1); err != nil {
			return err
		}
	}
	return nil
}

func (s *cborScanner) pairs(n uint64, depth int) error {
	for ; n > 0; n-- {
		major, size, err := s.head()
		if err != nil {
			return err
		}
		if major != cborText {
			return malformed("map key is not a text")
		}
		if _, err := s.take(size); err != nil {
			return err
		}
		if err := s.item(depth - 1); err != nil {
			return err
		}
	}
	return nil
}

func (s *cborScanner) link(tag uint64) error {
	if tag != cidTag {
		return malformed("tag %d is not allowed", tag)
	}
	major, n, err := s.head()
	if err != nil {
		return err
	}
	if major != cborBytes {
		return malformed("link is not a byte string")
	}
	b, err := s.take(n)
	if err != nil {
		return err
	}
	if len(b) == 0 || b[0] != 0 {
		return malformed("link does not begin with a zero byte")
	}
	if err := CheckCid(b[1:]); err != nil {
		return err
	}
	return s.fn(b[1:])
}

// simple reads false, true, null or a float of 64 bits.
func (s *cborScanner) simple() error {
	const falseByte, nullByte, floatByte = 0xf4, 0xf6, 0xfb
	switch b := s.b[0]; {
	case b >= falseByte && b <= nullByte:
		_, err := s.take(1)
		return err
	case b == floatByte:
		_, err := s.take(9)
		return err
	default:
		return malformed("simple value 0x%02x is not allowed", b)
	}
}

// head reads the first bytes of an item: its major type and its number, which is a value, a
// length, or a tag.
func (s *cborScanner) head() (major byte, n uint64, err error) {
	first, err := s.take(1)
	if err != nil {
		return 0, 0, err
	}
	major, info := first[0]>>5, first[0]&0x1f
	if info < 24 {
		return major, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, malformed("head 0x%02x is reserved or indefinite", first[0])
	}
	b, err := s.take(1 << (info - 24))
	if err != nil {
		return 0, 0, err
	}
	var least uint64
	switch len(b) {
	case 1:
		n, least = uint64(b[0]), 24
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(b)), 1<<8
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(b)), 1<<16
	case 8:
		n, least = binary.BigEndian.Uint64(b), 1<<32
	}
	if n < least {
		return 0, 0, malformed("number %d is longer than it must be", n)
	}
	return major, n, nil
}

// take splits off n bytes.
func (s *cborScanner) take(n uint64) ([]byte, error) {
	if n > uint64(len(s.b)) {
		return nil, malformed("%d bytes wanted, %d left", n, len(s.b))
	}
	b := s.b[:n]
	s.b = s.b[n:]
	return b, nil
}
