package unixfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"archivecache/dag"

	"github.com/ipfs/go-cid"
)

// Limits of what is read.
const (
	MaxName   = 255  // bytes of a name in a directory
	MaxTarget = 4095 // bytes of the target of a symlink
	maxDepth  = 16   // levels of nodes in a file
)

// A Kind says what a node is.
type Kind uint8

// The kinds of nodes. Their numbers are those of the protobuf enum.
const (
	RawLeaf   Kind = 0 // bytes of a file, written by older software
	Directory Kind = 1 // a directory in one block
	File      Kind = 2
	Symlink   Kind = 4
	HAMTShard Kind = 5 // a part of a directory in many blocks
)

func (k Kind) String() string {
	switch k {
	case RawLeaf:
		return "leaf"
	case Directory:
		return "directory"
	case File:
		return "file"
	case Symlink:
		return "symlink"
	case HAMTShard:
		return "directory shard"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// ErrMalformed is what every error about the bytes of a node is, for errors.Is.
var ErrMalformed = errors.New("malformed UnixFS node")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// A Link is one link of a node.
type Link struct {
	Name  string // empty in files; with two hex digits before it in a shard
	Tsize uint64 // bytes of the blocks below, repetitions counted, as the writer claims
	cid   string // binary form of the CID, checked
}

// NewLink returns a link to c.
func NewLink(name string, c cid.Cid, tsize uint64) Link {
	return Link{Name: name, Tsize: tsize, cid: c.KeyString()}
}

// Cid returns what the link points to.
func (l Link) Cid() cid.Cid {
	c, err := cid.Cast([]byte(l.cid))
	if err != nil {
		return cid.Undef // only a zero Link comes here: the decoder checks
	}
	return c
}

// A Node is a decoded dag-pb block with UnixFS data.
type Node struct {
	Kind       Kind
	Data       []byte // content of a file, target of a symlink, bitfield of a shard
	Size       uint64 // bytes of content in and below a file
	BlockSizes []uint64
	Links      []Link
	Mode       uint32    // permission bits 0777, 0 if not recorded
	Mtime      time.Time // zero if not recorded
}

// DecodeNode reads the bytes of a dag-pb block. What it returns is consistent in
// itself by the rules in the package comment; Data is part of data.
func DecodeNode(data []byte) (*Node, error) {
	n := new(Node)
	// Names and CIDs are parts of one string: one copy instead of two for each link.
	text := string(data)
	inner, err := dag.ScanPB(data, func(l dag.PBLink) error {
		if n.Links == nil {
			n.Links = make([]Link, 0, guessLinks(len(data), len(l.Name)))
		}
		at := offset(data, l.Cid)
		link := Link{Tsize: l.Tsize, cid: text[at : at+len(l.Cid)]}
		if len(l.Name) > 0 {
			at := offset(data, l.Name)
			link.Name = text[at : at+len(l.Name)]
		}
		n.Links = append(n.Links, link)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if inner == nil {
		return nil, malformed("no data field")
	}
	if err := n.decodeData(inner); err != nil {
		return nil, err
	}
	return n, n.check()
}

// offset returns where part, a slice of whole, begins in it: both end at the same capacity.
func offset(whole, part []byte) int { return cap(whole) - cap(part) }

// guessLinks estimates the number of links in a block of size bytes from the first name,
// so that the slice rarely grows.
func guessLinks(size, name int) int { return size/(name+44) + 1 }

// Protobuf tags of the UnixFS message and of the timestamp in it: the number of the field times
// 8, plus 0 for a varint, 2 for bytes, 5 for 32 bits.
const (
	tagType       = 1 << 3
	tagData       = 2<<3 | 2
	tagFilesize   = 3 << 3
	tagBlocksize  = 4 << 3
	tagBlocksizes = 4<<3 | 2 // packed, which readers have to take
	tagHashType   = 5 << 3
	tagFanout     = 6 << 3
	tagMode       = 7 << 3
	tagMtime      = 8<<3 | 2
	tagSeconds    = 1 << 3
	tagNanos      = 2<<3 | 5
)

// Constants of sharded directories.
const (
	hashMurmur3 = 0x22
	fanout      = 256
)

// unixData is the UnixFS message before it is judged.
type unixData struct {
	*Node
	seen     [9]bool // by field number
	filesize uint64
	hashType uint64
	fanout   uint64
}

func (n *Node) decodeData(b []byte) error {
	d := unixData{Node: n}
	for len(b) > 0 {
		var err error
		if b, err = d.field(b[0], b[1:]); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	if !d.seen[tagType>>3] {
		return malformed("no type")
	}
	return d.judge()
}

// field reads one field and returns what is behind it.
func (d *unixData) field(tag byte, b []byte) ([]byte, error) {
	number := tag >> 3
	if int(number) >= len(d.seen) || d.seen[number] && tag != tagBlocksize {
		return nil, fmt.Errorf("data: unexpected field with tag 0x%02x", tag)
	}
	d.seen[number] = true
	v, size, err := dag.Uvarint(b)
	if err != nil {
		return nil, err
	}
	b = b[size:]
	var body []byte
	if tag&7 == 2 {
		if v > uint64(len(b)) {
			return nil, fmt.Errorf("data: field of %d bytes is cut off after %d", v, len(b))
		}
		body, b = b[:v:v], b[v:]
	}
	return b, d.set(tag, v, body)
}

func (d *unixData) set(tag byte, v uint64, body []byte) error {
	switch tag {
	case tagType:
		if v > uint64(HAMTShard) {
			return fmt.Errorf("data: unknown type %d", v)
		}
		d.Kind = Kind(v)
	case tagData:
		d.Data = body
	case tagFilesize:
		d.filesize = v
	case tagBlocksize:
		d.addBlockSize(v)
	case tagBlocksizes:
		return d.packed(body)
	case tagHashType:
		d.hashType = v
	case tagFanout:
		d.fanout = v
	case tagMode:
		d.Mode = uint32(v & 0o777)
	case tagMtime:
		return d.mtime(body)
	default:
		return fmt.Errorf("data: unexpected field with tag 0x%02x", tag)
	}
	return nil
}

func (d *unixData) addBlockSize(v uint64) {
	if d.BlockSizes == nil {
		d.BlockSizes = make([]uint64, 0, len(d.Links))
	}
	d.BlockSizes = append(d.BlockSizes, v)
}

func (d *unixData) packed(b []byte) error {
	for len(b) > 0 {
		v, n, err := dag.Uvarint(b)
		if err != nil {
			return err
		}
		d.addBlockSize(v)
		b = b[n:]
	}
	return nil
}

// Seconds of a timestamp: from the year 1 to the year 9999.
const (
	minSeconds = -62135596800
	maxSeconds = 253402300799
)

func (d *unixData) mtime(b []byte) error {
	if len(b) == 0 || b[0] != tagSeconds {
		return errors.New("mtime: no seconds")
	}
	v, n, err := dag.Uvarint(b[1:])
	if err != nil {
		return err
	}
	b = b[1+n:]
	seconds, nanos := int64(v), uint32(0)
	if len(b) > 0 {
		if len(b) != 5 || b[0] != tagNanos {
			return errors.New("mtime: unexpected fields")
		}
		nanos = binary.LittleEndian.Uint32(b[1:])
	}
	if seconds < minSeconds || seconds > maxSeconds || nanos > 999_999_999 {
		return errors.New("mtime: out of range")
	}
	d.Mtime = time.Unix(seconds, int64(nanos)).UTC()
	return nil
}

// judge compares what was declared about sizes and shards with what is there.
func (d *unixData) judge() error {
	isShard := d.Kind == HAMTShard
	if isShard != d.seen[tagHashType>>3] || isShard != d.seen[tagFanout>>3] {
		return malformed("%s: hash type and fanout belong to shards, and only to them", d.Kind)
	}
	if isShard && (d.hashType != hashMurmur3 || d.fanout != fanout) {
		return malformed("shard: hash 0x%x with fanout %d is not supported", d.hashType, d.fanout)
	}
	size, err := d.contentSize()
	if err != nil {
		return err
	}
	if d.seen[tagFilesize>>3] && d.filesize != size {
		return malformed("%s: declares %d bytes, its parts have %d", d.Kind, d.filesize, size)
	}
	if d.Kind == File || d.Kind == RawLeaf {
		d.Size = size
	}
	return nil
}

// contentSize adds up the content of a file or the length of a target.
func (n *Node) contentSize() (uint64, error) {
	if n.Kind == Directory || n.Kind == HAMTShard {
		return 0, nil
	}
	size := uint64(len(n.Data))
	for _, s := range n.BlockSizes {
		if size += s; s > math.MaxInt64 || size > math.MaxInt64 {
			return 0, malformed("%s: larger than an int64", n.Kind)
		}
	}
	return size, nil
}

// check says whether the parts of a node fit its kind.
func (n *Node) check() error {
	if len(n.BlockSizes) != 0 && n.Kind != File || n.Kind == File && len(n.BlockSizes) != len(n.Links) {
		return malformed("%s: %d block sizes for %d links", n.Kind, len(n.BlockSizes), len(n.Links))
	}
	switch n.Kind {
	case File:
		return nil
	case RawLeaf:
		return n.noLinks()
	case Symlink:
		if err := CheckTarget(string(n.Data)); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return n.noLinks()
	case Directory:
		return n.checkDirectory()
	case HAMTShard:
		return n.checkShard()
	}
	return malformed("%s is not supported", n.Kind)
}

func (n *Node) noLinks() error {
	if len(n.Links) != 0 {
		return malformed("%s: has links", n.Kind)
	}
	return nil
}

func (n *Node) checkDirectory() error {
	if len(n.Data) != 0 {
		return malformed("directory: has content")
	}
	for i, l := range n.Links {
		if err := CheckName(l.Name); err != nil {
			return fmt.Errorf("%w: directory: %w", ErrMalformed, err)
		}
		if i > 0 && n.Links[i-1].Name >= l.Name {
			return malformed("directory: name %q is repeated or out of order", l.Name)
		}
	}
	return nil
}

func (n *Node) checkShard() error {
	if len(n.Data) > fanout/8 || len(n.Data) > 0 && n.Data[0] == 0 {
		return malformed("shard: bitfield is longer than it must be")
	}
	count := 0
	for _, b := range n.Data {
		count += bits.OnesCount8(b)
	}
	if count != len(n.Links) {
		return malformed("shard: bitfield has %d places for %d links", count, len(n.Links))
	}
	last := -1
	for _, l := range n.Links {
		slot, err := slotOf(l.Name)
		if err != nil {
			return err
		}
		if slot <= last || !hasBit(n.Data, slot) {
			return malformed("shard: link %q is out of order or not in the bitfield", l.Name)
		}
		if last = slot; len(l.Name) == 2 {
			continue
		}
		if err := CheckName(l.Name[2:]); err != nil {
			return fmt.Errorf("%w: shard: %w", ErrMalformed, err)
		}
	}
	return nil
}

// hasBit looks up a bit in a bitfield, a big-endian number without leading zeros.
func hasBit(field []byte, i int) bool {
	at := len(field) - 1 - i/8
	return at >= 0 && field[at]&(1<<(i%8)) != 0
}
