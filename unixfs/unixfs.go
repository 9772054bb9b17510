// Package unixfs keeps files, symlinks and directories as UnixFS, in the form that the profile
// unixfs-v1-2025 (IPIP-499) prescribes, so that they have the CIDs that kubo gives them.
//
// # Nodes
//
// A node is a dag-pb block: a protobuf message with repeated links (field 2: Hash 1, Name 2,
// Tsize 3, all three always written) before a Data field (1) that holds a UnixFS message: Type 1,
// Data 2, filesize 3, blocksizes 4 (one field each, not packed), hashType 5, fanout 6, mode 7,
// mtime 8 {seconds 1, nanos 2 as fixed32 and only if not zero}. Fields are written in the order
// of their numbers. Every block is named by a CIDv1 with SHA-256. Tsize is the length of the
// block that a link points to plus the Tsize of all its links. mode and mtime are written only
// where something is recorded: a mode of zero and no mode are the same.
//
// Decoding is strict: besides the rules of [archivecache/dag], unknown fields, repeated fields
// and fields that do not belong to the kind of node are refused; there are as many block sizes
// as links; filesize, if it is there, is the length of Data plus all block sizes; names in a
// directory are in ascending order of their bytes, each once; the bitfield of a shard fits its
// links. Of mode the nine permission bits are kept, and what is executable for anybody is
// executable; set-user-ID, set-group-ID and sticky are dropped.
//
// # Files
//
// A file is cut into chunks of [ChunkSize]. A file of at most one chunk is one raw block. Longer
// ones are a balanced tree: raw leaves, and File nodes of up to [MaxLinks] links above them,
// with filesize and blocksizes; all leaves stand at the same depth.
//
// A file that is executable or that has a modification time gets mode 0755 or mtime in its root.
// A raw block cannot carry these, and kubo then writes no raw leaves at all: each leaf is a File
// node with the chunk as Data and its filesize, and a file of at most one chunk is one such
// node. That is what `ipfs add --raw-leaves=false --mode=0755 --mtime=...` does, and the only
// form in which kubo's command line makes them.
//
// A symlink is a Symlink node with the target as Data.
//
// # Directories
//
// A directory is a pure function of its entries. It is one Directory node with the links in the
// order of the bytes of their names if that block has at most [MaxDirectory] bytes, and otherwise
// a tree of HAMTShard nodes with a fanout of 256. An entry belongs into the slot, of 256 in each
// shard, that the byte of its hash says: the hash is the first half of MurmurHash3 x64 128 of the
// name with seed 0 as eight bytes in big-endian order, and the first byte counts in the root, the
// second one level below, and so on. A slot with one entry is a link to it, named by the slot in
// two upper-case hex digits and then the name; a slot with more is a link to a shard one level
// below, named by the two digits alone. Links stand in the order of slots; slots that are taken
// are ones in Data, a big-endian number without leading zero bytes; hashType is 0x22. Two names
// with the same hash can not stand in one sharded directory: [ErrCollision]. Directories have no
// mode and no mtime of their own here.
//
// A name is 1 to [MaxName] bytes, is not "." or "..", and has no "/" and no zero byte. It need
// not be UTF-8.
package unixfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// The profile.
const (
	ChunkSize    = 1 << 20   // bytes of content in a leaf of a file
	MaxLinks     = 1024      // links of a node in a file
	MaxDirectory = 256 << 10 // bytes of the largest directory block
)

// ErrName is what every error about a name is, for errors.Is.
var ErrName = errors.New("name is not allowed")

// CheckName says whether an entry of a directory may have the name.
func CheckName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
	case len(name) > MaxName:
	case strings.IndexByte(name, '/') >= 0 || strings.IndexByte(name, 0) >= 0:
	default:
		return nil
	}
	return fmt.Errorf("%q: %w", name, ErrName)
}

// CheckTarget says whether a symlink may have the target: 1 to [MaxTarget] bytes, none of them
// zero.
func CheckTarget(target string) error {
	if target == "" || len(target) > MaxTarget || strings.ContainsRune(target, 0) {
		return fmt.Errorf("symlink target of %d bytes is empty, too long, or has a zero byte", len(target))
	}
	return nil
}

// An Attr is what is recorded of a file besides its content.
type Attr struct {
	Executable bool      // records mode 0755
	Mtime      time.Time // recorded if it is not zero
}

// execMode is the mode that is recorded for executable files.
const execMode = 0o755

func (a Attr) none() bool { return !a.Executable && a.Mtime.IsZero() }

// apply records a in a node.
func (a Attr) apply(n *Node) {
	if a.Executable {
		n.Mode = execMode
	}
	n.Mtime = a.Mtime
}

// An Entry is something in a directory, or what is needed to put it into one.
type Entry struct {
	Name  string
	Cid   cid.Cid
	Tsize uint64 // bytes of all blocks below, as the links of kubo count them
}

// An Info is what [Stat] finds.
type Info struct {
	Kind       Kind   // File, Directory or Symlink
	Size       uint64 // bytes of content of a file, 0 for others
	Target     string // of a symlink
	Mode       uint32 // permission bits 0777, 0 if not recorded
	Mtime      time.Time
	Executable bool
	Tsize      uint64 // for the link to it
}

// Stat reads the first block of c and says what c is.
func Stat(ctx context.Context, get store.Getter, c cid.Cid) (Info, error) {
	o, err := Open(ctx, get, c)
	if err != nil {
		return Info{}, err
	}
	return o.Info, nil
}

// An Object is a file, symlink or directory whose first block has been read.
type Object struct {
	Info
	get  store.Getter
	cid  cid.Cid
	node *Node
	size int // of the block
}

// Open reads the first block of c, whatever c is.
func Open(ctx context.Context, get store.Getter, c cid.Cid) (*Object, error) {
	n, size, err := readNode(ctx, get, c)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return &Object{Info: n.info(size), get: get, cid: c, node: n, size: size}, nil
}

func (n *Node) info(size int) Info {
	info := Info{
		Kind: n.Kind, Size: n.Size, Mode: n.Mode, Mtime: n.Mtime,
		Executable: n.Mode&0o111 != 0, Tsize: n.tsize(size),
	}
	switch n.Kind {
	case RawLeaf:
		info.Kind = File
	case HAMTShard:
		info.Kind = Directory
	case Symlink:
		info.Target = string(n.Data)
	}
	return info
}

// Dir returns the directory that o is. Anything else is an ErrNotDirectory.
func (o *Object) Dir() (*Dir, error) { return newDir(o.get, o.cid, o.node, o.size) }

// Copy is the function of that name for the file that o is, without another read of its first
// block. Anything else is an ErrNotFile.
func (o *Object) Copy(ctx context.Context, w io.Writer) (int64, error) {
	n, err := copyNode(ctx, o.get, o.cid, o.node, w)
	if err != nil {
		return n, fmt.Errorf("copy file %s: %w", o.cid, err)
	}
	return n, nil
}

// tsize is the Tsize of links to n, whose block has size bytes.
func (n *Node) tsize(size int) uint64 {
	sum := uint64(size)
	for i := range n.Links {
		sum += n.Links[i].Tsize
	}
	return sum
}

// readNode reads and decodes the block c, whose length it returns as well. A raw block becomes a
// leaf.
func readNode(ctx context.Context, get store.Getter, c cid.Cid) (*Node, int, error) {
	data, err := get.Get(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	switch c.Type() {
	case cid.Raw:
		return &Node{Kind: RawLeaf, Data: data, Size: uint64(len(data))}, len(data), nil
	case cid.DagProtobuf:
		n, err := DecodeNode(data)
		if err != nil {
			return nil, 0, fmt.Errorf("block %s: %w", c, err)
		}
		return n, len(data), nil
	}
	return nil, 0, fmt.Errorf("block %s: %w", c, malformed("codec 0x%x is not UnixFS", c.Type()))
}

// putNode writes a node and returns a link to it.
func putNode(ctx context.Context, put store.Putter, n *Node) (Link, error) {
	b := store.NewBlock(cid.DagProtobuf, n.Encode())
	return NewLink("", b.Cid, n.tsize(len(b.Data))), put.Put(ctx, b)
}

// AddSymlink writes a symlink. mtime is recorded if it is not zero.
func AddSymlink(ctx context.Context, put store.Putter, target string, mtime time.Time) (Entry, error) {
	if err := CheckTarget(target); err != nil {
		return Entry{}, fmt.Errorf("add symlink: %w", err)
	}
	l, err := putNode(ctx, put, &Node{Kind: Symlink, Data: []byte(target), Mtime: mtime})
	if err != nil {
		return Entry{}, fmt.Errorf("add symlink: %w", err)
	}
	return Entry{Cid: l.Cid(), Tsize: l.Tsize}, nil
}
