package kubo

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"archivecache/dag"
	"archivecache/store"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

const (
	manifestLine = "archivecache manifest 1"
	pinLine      = "archivecache pin 1"
	// maxLinks is how many blocks a manifest lists at most. It has 1.5 MB then.
	maxLinks = 30_000
)

// A manifest is a list of blocks that a repository has written.
type manifest struct {
	name  string
	time  time.Time
	nonce string // 32 hexadecimal digits
	links []link
}

// link is a block in a manifest.
type link struct {
	digest store.Digest
	size   uint64 // of the block, in bytes
}

func compareLinks(a, b link) int { return bytes.Compare(a.digest[:], b.digest[:]) }

// newManifest makes a manifest of links, which it sorts.
func newManifest(name string, links []link) manifest {
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails
	slices.SortFunc(links, compareLinks)
	return manifest{name: name, time: time.Now(), nonce: hex.EncodeToString(nonce[:]), links: links}
}

// rawCid returns the raw alias of a block.
func rawCid(d store.Digest) cid.Cid {
	hash := make([]byte, 0, 2+len(d))
	hash = append(hash, mh.SHA2_256, byte(len(d)))
	return cid.NewCidV1(cid.Raw, append(hash, d[:]...))
}

// block encodes a manifest.
func (m manifest) block() store.Block {
	data := fmt.Sprintf("%s\n%s\n%d\n%s\n", manifestLine, m.name, m.time.Unix(), m.nonce)
	b := make([]byte, 0, 48*len(m.links)+len(data)+8)
	for _, l := range m.links {
		b = appendLink(b, rawCid(l.digest), l.size)
	}
	return store.NewBlock(cid.DagProtobuf, appendField(b, 1, data))
}

// appendLink appends a link of a dag-pb node, with an empty name.
func appendLink(b []byte, c cid.Cid, size uint64) []byte {
	link := appendField(nil, 1, c.KeyString())
	link = appendField(link, 2, "")
	link = binary.AppendUvarint(append(link, 3<<3), size)
	return appendField(b, 2, string(link))
}

// appendField appends a protobuf field of bytes.
func appendField(b []byte, number byte, value string) []byte {
	b = binary.AppendUvarint(append(b, number<<3|2), uint64(len(value)))
	return append(b, value...)
}

var errNotManifest = errors.New("not a manifest")

// decodeManifest reads a manifest, and nothing that would be encoded in another way.
func decodeManifest(data []byte) (m manifest, err error) {
	text, err := dag.ScanPB(data, func(l dag.PBLink) error {
		c, err := cid.Cast(l.Cid)
		if err != nil || c.Version() != 1 || c.Type() != cid.Raw {
			return errors.New("a link to something else than a raw block")
		}
		d, err := store.DigestOf(c)
		if err != nil || l.Tsize > store.MaxBlock {
			return fmt.Errorf("a link to %s of %d bytes", c, l.Tsize)
		}
		m.links = append(m.links, link{d, l.Tsize})
		return nil
	})
	if err != nil {
		return manifest{}, fmt.Errorf("%w: %w", errNotManifest, err)
	}
	if err := m.readText(string(text)); err != nil {
		return manifest{}, err
	}
	if !bytes.Equal(m.block().Data, data) {
		return manifest{}, fmt.Errorf("%w: not in its one form", errNotManifest)
	}
	for i := range m.links[min(1, len(m.links)):] {
		if compareLinks(m.links[i], m.links[i+1]) >= 0 {
			return manifest{}, fmt.Errorf("%w: its links are not in order", errNotManifest)
		}
	}
	return m, nil
}

func (m *manifest) readText(text string) error {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != manifestLine || lines[4] != "" || !ValidName(lines[1]) || len(lines[3]) != 32 {
		return fmt.Errorf("%w: it says %.80q", errNotManifest, text)
	}
	seconds, err := strconv.ParseInt(lines[2], 10, 64)
	if err != nil {
		return fmt.Errorf("%w: time %.40q", errNotManifest, lines[2])
	}
	if _, err := hex.DecodeString(lines[3]); err != nil {
		return fmt.Errorf("%w: nonce %q", errNotManifest, lines[3])
	}
	m.name, m.time, m.nonce = lines[1], time.Unix(seconds, 0), lines[3]
	return nil
}

// pinBlock is the node that is pinned to keep root.
func pinBlock(name string, root cid.Cid, suffix string) store.Block {
	b := appendLink(nil, root, 0)
	return store.NewBlock(cid.DagProtobuf, appendField(b, 1, fmt.Sprintf("%s\n%s\n%s\n", pinLine, name, suffix)))
}

// pinnedRoot returns the root that such a node keeps.
func pinnedRoot(name string, data []byte, suffix string) (root cid.Cid, err error) {
	_, err = dag.ScanPB(data, func(l dag.PBLink) error {
		root, err = cid.Cast(l.Cid)
		return err
	})
	if err == nil && (!root.Defined() || !bytes.Equal(pinBlock(name, root, suffix).Data, data)) {
		err = errors.New("not a pin of this repository")
	}
	return root, err
}
