package unixfs

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// Encode returns the bytes of the dag-pb block, in the one spelling that kubo writes. A
// directory must have its links in the order of their names.
func (n *Node) Encode() []byte {
	size, inner := n.encodedSize()
	b := make([]byte, 0, size)
	for i := range n.Links {
		b = appendLink(b, &n.Links[i])
	}
	b = append(b, 1<<3|2)
	b = binary.AppendUvarint(b, uint64(inner))
	return n.appendInner(b)
}

// encodedSize is the length of the block, and that of the UnixFS message in it.
func (n *Node) encodedSize() (block, inner int) {
	inner = n.innerSize()
	block = 1 + varintLen(uint64(inner)) + inner
	for i := range n.Links {
		block += linkSize(len(n.Links[i].Name), len(n.Links[i].cid), n.Links[i].Tsize)
	}
	return block, inner
}

// linkSize is the number of bytes that a link adds to a node. In a directory these, and the
// four of its Data field, decide between one block and shards.
func linkSize(name, hash int, tsize uint64) int {
	body := linkBody(name, hash, tsize)
	return 1 + varintLen(uint64(body)) + body
}

func linkBody(name, hash int, tsize uint64) int {
	return 1 + varintLen(uint64(hash)) + hash +
		1 + varintLen(uint64(name)) + name +
		1 + varintLen(tsize)
}

func appendLink(b []byte, l *Link) []byte {
	b = append(b, 2<<3|2)
	b = binary.AppendUvarint(b, uint64(linkBody(len(l.Name), len(l.cid), l.Tsize)))
	b = append(b, 1<<3|2)
	b = binary.AppendUvarint(b, uint64(len(l.cid)))
	b = append(b, l.cid...)
	b = append(b, 2<<3|2)
	b = binary.AppendUvarint(b, uint64(len(l.Name)))
	b = append(b, l.Name...)
	b = append(b, 3<<3)
	return binary.AppendUvarint(b, l.Tsize)
}

func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// hasSize says whether kubo records the size of such a node.
func (n *Node) hasSize() bool { return n.Kind == File || n.Kind == RawLeaf }

func (n *Node) innerSize() int {
	size := 2
	if len(n.Data) > 0 {
		size += 1 + varintLen(uint64(len(n.Data))) + len(n.Data)
	}
	if n.hasSize() {
		size += 1 + varintLen(n.Size)
	}
	for _, s := range n.BlockSizes {
		size += 1 + varintLen(s)
	}
	if n.Kind == HAMTShard {
		size += 1 + varintLen(hashMurmur3) + 1 + varintLen(fanout)
	}
	if n.Mode != 0 {
		size += 1 + varintLen(uint64(n.Mode))
	}
	if !n.Mtime.IsZero() {
		size += 2 + mtimeSize(n.Mtime)
	}
	return size
}

func (n *Node) appendInner(b []byte) []byte {
	b = append(b, tagType, byte(n.Kind))
	if len(n.Data) > 0 {
		b = append(b, tagData)
		b = binary.AppendUvarint(b, uint64(len(n.Data)))
		b = append(b, n.Data...)
	}
	if n.hasSize() {
		b = binary.AppendUvarint(append(b, tagFilesize), n.Size)
	}
	for _, s := range n.BlockSizes {
		b = binary.AppendUvarint(append(b, tagBlocksize), s)
	}
	if n.Kind == HAMTShard {
		b = binary.AppendUvarint(append(b, tagHashType), hashMurmur3)
		b = binary.AppendUvarint(append(b, tagFanout), fanout)
	}
	if n.Mode != 0 {
		b = binary.AppendUvarint(append(b, tagMode), uint64(n.Mode))
	}
	if !n.Mtime.IsZero() {
		b = appendMtime(append(b, tagMtime, byte(mtimeSize(n.Mtime))), n.Mtime)
	}
	return b
}

func mtimeSize(t time.Time) int {
	size := 1 + varintLen(uint64(t.Unix()))
	if t.Nanosecond() > 0 {
		size += 5
	}
	return size
}

func appendMtime(b []byte, t time.Time) []byte {
	b = binary.AppendUvarint(append(b, tagSeconds), uint64(t.Unix()))
	if ns := t.Nanosecond(); ns > 0 {
		b = binary.LittleEndian.AppendUint32(append(b, tagNanos), uint32(ns))
	}
	return b
}
