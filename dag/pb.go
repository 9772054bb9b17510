package dag

// A PBLink is one link of a dag-pb node. Cid and Name are parts of the block.
type PBLink struct {
	Cid   []byte // binary form, checked by [CheckCid]
	Name  []byte // empty if absent
	Tsize uint64 // 0 if absent, in bytes
}

// Protobuf tags: the number of the field, shifted by three, and the wire type.
const (
	tagData  = 1<<3 | 2
	tagLinks = 2<<3 | 2
	tagHash  = 1<<3 | 2
	tagName  = 2<<3 | 2
	tagTsize = 3 << 3
)

// ScanPB reads a dag-pb node: it calls fn with each link in order and returns the Data field,
// part of b, or nil if there is none. Data may stand before or behind the links, not between
// them. An error of fn ends the scan and is returned as it is.
func ScanPB(b []byte, fn func(PBLink) error) (data []byte, err error) {
	var haveData, haveLinks bool
	last := byte(0)
	for len(b) > 0 {
		tag := b[0]
		field, rest, err := pbBytes(b[1:])
		if err != nil {
			return nil, err
		}
		switch {
		case tag == tagData && !haveData:
			data, haveData = field, true
		case tag == tagLinks && (!haveLinks || last == tagLinks):
			haveLinks = true
			l, err := pbLink(field)
			if err != nil {
				return nil, err
			}
			if err := fn(l); err != nil {
				return nil, err
			}
		default:
			return nil, malformed("dag-pb node: unexpected field with tag 0x%02x", tag)
		}
		last, b = tag, rest
	}
	return data, nil
}

// pbLink reads one link. Its fields stand in the order of their numbers.
func pbLink(b []byte) (PBLink, error) {
	var l PBLink
	last := byte(0)
	for len(b) > 0 {
		tag := b[0]
		if tag <= last {
			return l, malformed("dag-pb link: tag 0x%02x repeated or out of order", tag)
		}
		var err error
		last = tag
		switch tag {
		case tagHash:
			l.Cid, b, err = pbBytes(b[1:])
		case tagName:
			l.Name, b, err = pbBytes(b[1:])
		case tagTsize:
			var n int
			l.Tsize, n, err = Uvarint(b[1:])
			b = b[1+n:]
		default:
			return l, malformed("dag-pb link: unknown field with tag 0x%02x", tag)
		}
		if err != nil {
			return l, err
		}
	}
	return l, CheckCid(l.Cid)
}

// pbBytes splits off a field of bytes: a length and as many bytes.
func pbBytes(b []byte) (field, rest []byte, err error) {
	size, n, err := Uvarint(b)
	if err != nil {
		return nil, nil, err
	}
	b = b[n:]
	if size > uint64(len(b)) {
		return nil, nil, malformed("field of %d bytes is cut off after %d", size, len(b))
	}
	return b[:size], b[size:], nil
}
