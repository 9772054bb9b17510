package exchange

import (
	"fmt"
	"hash/maphash"
	"math/bits"

	"archivecache/dag"
	"archivecache/store"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// A ref is the CID of a block, without a pointer: millions of them wait in a walk.
type ref struct {
	codec  byte // a multicodec that package dag reads
	v0     bool // a bare hash
	digest store.Digest
}

// refOf returns the ref of c. A codec that package dag does not read is an error.
func refOf(c cid.Cid) (ref, error) { return linkRef(c.Bytes()) }

// linkRef is refOf for a link in binary.
func linkRef(link []byte) (ref, error) {
	if err := dag.CheckCid(link); err != nil {
		return ref{}, err
	}
	r := ref{codec: cid.DagProtobuf, v0: true, digest: store.Digest(link[len(link)-len(store.Digest{}):])}
	if link[0] == 1 {
		codec, _, _ := dag.Uvarint(link[1:])
		switch codec {
		case cid.Raw, cid.DagProtobuf, cid.DagCBOR:
		default:
			return ref{}, fmt.Errorf("block %x: codec 0x%x is not supported", link, codec)
		}
		r.codec, r.v0 = byte(codec), false
	}
	return r, nil
}

// cid returns the CID that r stands for.
func (r *ref) cid() cid.Cid {
	hash := append(append(make([]byte, 0, 2+len(r.digest)), mh.SHA2_256, byte(len(r.digest))), r.digest[:]...)
	if r.v0 {
		return cid.NewCidV0(hash)
	}
	return cid.NewCidV1(uint64(r.codec), hash)
}

func (r *ref) key() key {
	k := key(r.digest[:16])
	k[0] = r.codec
	return k
}

// cids returns the CIDs of refs.
func cids(refs []ref) []cid.Cid {
	list := make([]cid.Cid, len(refs))
	for i := range refs {
		list[i] = refs[i].cid()
	}
	return list
}

// key stands for a block in sets: the codec, and half of the digest, which is long enough
// that nobody makes two blocks with the same. No codec that is read is 0, and so is no key.
type key [16]byte

func keyOf(c cid.Cid) (key, error) {
	d, err := store.DigestOf(c)
	if err != nil {
		return key{}, err
	}
	k := key(d[:16])
	k[0] = byte(c.Type()) // a raw block has no links that the same bytes as dag-pb have
	return k, nil
}

// keySet is a set of keys that takes 22 to 32 bytes for each where there are many, which a map
// does not. The zero value is empty. It is made of parts so that only one grows at a time. Where a
// key stands depends on a seed: who chooses the blocks cannot make them meet.
type keySet struct {
	parts [64]keyTable
	n     int
}

// keyTable is a hash table with linear probing; the zero key is an empty place.
type keyTable struct {
	slots []key
	n     int
}

var keySeed = maphash.MakeSeed()

func (s *keySet) has(k key) bool {
	h := maphash.Bytes(keySeed, k[:])
	t := &s.parts[h%64]
	return t.n > 0 && t.slots[t.find(k, h)] == k
}

// add says whether k is new in the set.
func (s *keySet) add(k key) bool {
	h := maphash.Bytes(keySeed, k[:])
	t := &s.parts[h%64]
	if t.n*4 >= len(t.slots)*3 {
		t.grow()
	}
	at := t.find(k, h)
	if t.slots[at] == k {
		return false
	}
	t.slots[at] = k
	t.n++
	s.n++
	return true
}

// find returns where k stands, or the empty place where it would.
func (t *keyTable) find(k key, h uint64) int {
	place, _ := bits.Mul64(h, uint64(len(t.slots)))
	at := int(place)
	for t.slots[at] != k && t.slots[at] != (key{}) {
		if at++; at == len(t.slots) {
			at = 0
		}
	}
	return at
}

func (t *keyTable) grow() {
	old := t.slots
	factor := 4.0
	if len(old) >= 1<<12 {
		factor = 1.5
	}
	t.slots = make([]key, max(64, int(factor*float64(len(old)))))
	for _, k := range old {
		if k != (key{}) {
			t.slots[t.find(k, maphash.Bytes(keySeed, k[:]))] = k
		}
	}
}
