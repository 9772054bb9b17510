package exchange

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"archivecache/store"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// TestKeySet compares with a map, at sizes at which tables grow, and with keys that differ in few
// bits.
func TestKeySet(t *testing.T) {
	var set keySet
	model := map[key]bool{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200_000 {
		var k key
		k[0] = cid.Raw
		n := uint64(i)
		if i%2 == 0 {
			n = random.Uint64N(150_000) << 40
		}
		binary.BigEndian.PutUint64(k[8:], n)
		if set.has(k) != model[k] {
			t.Fatalf("has of %x is %t", k, !model[k])
		}
		if set.add(k) == model[k] {
			t.Fatalf("add of %x says %t", k, model[k])
		}
		model[k] = true
		if set.n != len(model) {
			t.Fatalf("%d keys, want %d", set.n, len(model))
		}
	}
	slots := 0
	for _, p := range set.parts {
		slots += len(p.slots)
	}
	if slots > 2*set.n {
		t.Errorf("%d places for %d keys", slots, set.n)
	}
}

// TestRef takes CIDs apart and puts them together.
func TestRef(t *testing.T) {
	sum := store.Sum(cid.Raw, []byte("x"))
	for _, c := range []cid.Cid{
		sum, cid.NewCidV1(cid.DagProtobuf, sum.Hash()), cid.NewCidV1(cid.DagCBOR, sum.Hash()), cid.NewCidV0(sum.Hash()),
	} {
		r, err := refOf(c)
		if err != nil || !r.cid().Equals(c) {
			t.Errorf("%s became %s, %v", c, r.cid(), err)
		}
		if k, err := keyOf(c); err != nil || r.key() != k {
			t.Errorf("%s: keys %x and %x, %v", c, r.key(), k, err)
		}
	}
	other, err := mh.Sum([]byte("x"), mh.SHA2_512, -1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []cid.Cid{cid.NewCidV1(cid.DagJSON, sum.Hash()), cid.NewCidV1(cid.Raw, other)} {
		if r, err := refOf(c); err == nil {
			t.Errorf("%s is taken as %s", c, r.cid())
		}
	}
}
