package exchange

import (
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// tops finds the blocks that no other block links, of those that are added in whatever order. From
// them all others hang, since links make no circles. The zero value is ready.
type tops struct {
	linked keySet
	top    map[key]ref
}

// add adds a block. Where it is malformed, it links what stands before the fault; of a codec that is
// not read, only the hash counts.
func (t *tops) add(b store.Block) {
	if t.top == nil {
		t.top = map[key]ref{}
	}
	r, err := topOf(b.Cid)
	if err != nil {
		return
	}
	if !t.linked.has(r.key()) {
		t.top[r.key()] = r
	}
	readLinks(b.Cid, b.Data, func(r ref) { // it may have no links that can be read
		t.linked.add(r.key())
		delete(t.top, r.key())
	})
}

func topOf(c cid.Cid) (ref, error) {
	r, err := refOf(c)
	if err != nil {
		r = ref{codec: cid.Raw}
		r.digest, err = store.DigestOf(c)
	}
	return r, err
}

// with returns the roots, and what was found.
func (t *tops) with(roots []cid.Cid) []cid.Cid {
	var all []cid.Cid
	for _, c := range roots {
		if r, err := topOf(c); err == nil {
			delete(t.top, r.key())
			all = append(all, c)
		}
	}
	for _, r := range t.top {
		all = append(all, r.cid())
	}
	return all
}
