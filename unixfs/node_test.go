package unixfs_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/boxo/ipld/merkledag"
	boxo "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
)

// vectors reads testdata/nodes.txt: lines of a name, a CID and the block in hex.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open("testdata/nodes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := map[string][]byte{}
	for scan := bufio.NewScanner(f); scan.Scan(); {
		fields := strings.Fields(scan.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		block, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatalf("%s: %v", fields[0], err)
		}
		if got := store.Sum(cid.DagProtobuf, block); got.String() != fields[1] {
			t.Errorf("%s has the CID %s, not %s", fields[0], got, fields[1])
		}
		found[fields[0]] = block
	}
	if len(found) == 0 {
		t.Fatal("testdata/nodes.txt has no vectors")
	}
	return found
}

func TestVectors(t *testing.T) {
	for name, block := range vectors(t) {
		n, err := unixfs.DecodeNode(block)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := n.Encode(); !bytes.Equal(got, block) {
			t.Errorf("%s is written as %x", name, got)
		}
	}
}

// TestMutations changes, cuts and prolongs each vector: a node either is refused or is consistent.
func TestMutations(t *testing.T) {
	for name, block := range vectors(t) {
		for n := range block {
			if cut, err := unixfs.DecodeNode(block[:n]); err == nil && len(cut.Links) > 0 {
				t.Errorf("%s cut after %d bytes has links", name, n)
			}
		}
		for i := range block {
			for _, flip := range []byte{1, 0x80, 0xff, 8} {
				changed := bytes.Clone(block)
				changed[i] ^= flip
				checkNode(t, changed)
			}
		}
		if _, err := unixfs.DecodeNode(append(bytes.Clone(block), 0)); !errors.Is(err, unixfs.ErrMalformed) {
			t.Errorf("%s with a byte more: %v", name, err)
		}
	}
}

// checkNode decodes data; what is accepted survives another round, and boxo reads the same.
func checkNode(t testing.TB, data []byte) {
	t.Helper()
	n, err := unixfs.DecodeNode(data)
	if err != nil {
		if !errors.Is(err, unixfs.ErrMalformed) {
			t.Fatalf("%x: %v is not ErrMalformed", data, err)
		}
		return
	}
	again, err := unixfs.DecodeNode(n.Encode())
	if err != nil {
		t.Fatalf("%x: written and read: %v", data, err)
	}
	n.Data, again.Data = append([]byte{}, n.Data...), append([]byte{}, again.Data...)
	if !reflect.DeepEqual(clean(n), clean(again)) {
		t.Fatalf("%x: read %+v, written and read %+v", data, n, again)
	}
	pb, err := merkledag.DecodeProtobuf(data)
	if err != nil {
		t.Fatalf("%x: boxo refuses: %v", data, err)
	}
	fsn, err := boxo.FSNodeFromBytes(pb.Data())
	if err != nil {
		t.Fatalf("%x: boxo refuses: %v", data, err)
	}
	if int(fsn.Type()) != int(n.Kind) || !bytes.Equal(fsn.Data(), n.Data) || fsn.NumChildren() != len(n.BlockSizes) || len(pb.Links()) != len(n.Links) {
		t.Fatalf("%x: read %+v, boxo read another", data, n)
	}
}

// clean removes the difference between no elements and no slice.
func clean(n *unixfs.Node) *unixfs.Node {
	n.BlockSizes = append([]uint64{}, n.BlockSizes...)
	n.Links = append([]unixfs.Link{}, n.Links...)
	return n
}

func pb(parts ...string) []byte { return []byte(strings.Join(parts, "")) }

// data wraps a UnixFS message into a dag-pb node.
func data(inner string) string { return "\x0a" + string(rune(len(inner))) + inner }

// pbLink is a link with the given name to some block.
func pbLink(name string) string {
	c := leafCid(0).Bytes()
	body := "\x0a" + string(rune(len(c))) + string(c) + "\x12" + string(rune(len(name))) + name + "\x18\x05"
	return "\x12" + string(rune(len(body))) + body
}

func TestRefusedNodes(t *testing.T) {
	shard := "\x28\x22\x30\x80\x02"
	for _, c := range []struct {
		reason string
		block  []byte
	}{
		{"nothing", nil},
		{"no data", pb(pbLink("a"))},
		{"no type", pb(data(""))},
		{"unknown type", pb(data("\x08\x06"))},
		{"metadata", pb(data("\x08\x03"))},
		{"type twice", pb(data("\x08\x02\x08\x02"))},
		{"unknown field", pb(data("\x08\x02\x48\x01"))},
		{"wrong wire type", pb(data("\x08\x02\x1d\x00\x00\x00\x00"))},
		{"file: size too large", pb(data("\x08\x02\x12\x01a\x18\x02"))},
		{"file: size too small", pb(data("\x08\x02\x12\x02ab\x18\x01"))},
		{"file: link without block size", pb(pbLink(""), data("\x08\x02\x18\x00"))},
		{"file: block size without link", pb(data("\x08\x02\x18\x05\x20\x05"))},
		{"file: sizes overflow", pb(pbLink(""), pbLink(""), data("\x08\x02\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x20\x01"))},
		{"leaf with link", pb(pbLink(""), data("\x08\x00"))},
		{"symlink without target", pb(data("\x08\x04"))},
		{"symlink with zero byte", pb(data("\x08\x04\x12\x02a\x00"))},
		{"symlink with link", pb(pbLink("a"), data("\x08\x04\x12\x01a"))},
		{"directory with content", pb(data("\x08\x01\x12\x01a"))},
		{"directory with size", pb(data("\x08\x01\x18\x01"))},
		{"directory with block sizes", pb(pbLink("a"), data("\x08\x01\x20\x01"))},
		{"directory with fanout", pb(data("\x08\x01\x28\x22\x30\x80\x02"))},
		{"directory: no name", pb(pbLink(""), data("\x08\x01"))},
		{"directory: dots", pb(pbLink(".."), data("\x08\x01"))},
		{"directory: dot", pb(pbLink("."), data("\x08\x01"))},
		{"directory: slash", pb(pbLink("a/b"), data("\x08\x01"))},
		{"directory: zero byte", pb(pbLink("a\x00"), data("\x08\x01"))},
		{"directory: name twice", pb(pbLink("a"), pbLink("a"), data("\x08\x01"))},
		{"directory: out of order", pb(pbLink("b"), pbLink("a"), data("\x08\x01"))},
		{"shard: other hash", pb(data("\x08\x05\x28\x23\x30\x80\x02"))},
		{"shard: other fanout", pb(data("\x08\x05\x28\x22\x30\x40"))},
		{"shard: no fanout", pb(data("\x08\x05\x28\x22"))},
		{"shard: bit without link", pb(data("\x08\x05\x12\x01\x01" + shard))},
		{"shard: link without bit", pb(pbLink("00a"), data("\x08\x05"+shard))},
		{"shard: link at another bit", pb(pbLink("01a"), data("\x08\x05\x12\x01\x01"+shard))},
		{"shard: leading zero", pb(pbLink("00a"), data("\x08\x05\x12\x02\x00\x01"+shard))},
		{"shard: long bitfield", pb(pbLink("00a"), data("\x08\x05\x12\x21\x01"+strings.Repeat("\x00", 32)+shard))},
		{"shard: small letters", pb(pbLink("0aa"), data("\x08\x05\x12\x02\x04\x00"+shard))},
		{"shard: no slot", pb(pbLink("0"), data("\x08\x05\x12\x01\x01"+shard))},
		{"shard: name with slash", pb(pbLink("00a/b"), data("\x08\x05\x12\x01\x01"+shard))},
		{"shard: slot twice", pb(pbLink("00a"), pbLink("00b"), data("\x08\x05\x12\x01\x03"+shard))},
		{"mtime: no seconds", pb(data("\x08\x02\x42\x00"))},
		{"mtime: nanoseconds", pb(data("\x08\x02\x42\x07\x08\x01\x15\xff\xff\xff\xff"))},
		{"mtime: too late", pb(data("\x08\x02\x42\x08\x08\xff\xff\xff\xff\xff\xff\x7f"))},
		{"mtime: something behind", pb(data("\x08\x02\x42\x04\x08\x01\x08\x01"))},
	} {
		if n, err := unixfs.DecodeNode(c.block); !errors.Is(err, unixfs.ErrMalformed) {
			t.Errorf("%s: %+v, %v", c.reason, n, err)
		}
	}
}

// TestAcceptedNodes has spellings that other software writes.
func TestAcceptedNodes(t *testing.T) {
	for reason, block := range map[string][]byte{
		"packed block sizes":    pb(pbLink(""), data("\x08\x02\x18\x05\x22\x01\x05")),
		"no file size":          pb(pbLink(""), data("\x08\x02\x20\x05")),
		"data before the links": pb(data("\x08\x02\x18\x05\x20\x05"), pbLink("")),
		"set-user-ID":           pb(data("\x08\x02\x38\xed\x13")),
		"old leaf":              pb(data("\x08\x00\x12\x01a\x18\x01")),
	} {
		n, err := unixfs.DecodeNode(block)
		if err != nil {
			t.Errorf("%s: %v", reason, err)
		} else if n.Mode&^0o777 != 0 {
			t.Errorf("%s: mode %o", reason, n.Mode)
		}
	}
}

func FuzzDecodeNode(f *testing.F) {
	for _, block := range vectors(f) {
		f.Add(block)
	}
	f.Add(pb(pbLink("00a"), data("\x08\x05\x12\x01\x01\x28\x22\x30\x80\x02")))
	f.Fuzz(func(t *testing.T, data []byte) { checkNode(t, data) })
}
