package exchange

import (
	"archivecache/dag"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// tops finds the blocks that no other block links, of those that are added in whatever order. From
// them all others hang, since links make no circles. The zero value is ready.
type tops struct {
	linked keySet
	top    map[key]cid.Cid
}

// add adds a block. Where it is malformed, it links what stands before the fault.
func (t *tops) add(b store.Block) {
	if t.top == nil {
		t.top = map[key]cid.Cid{}
	}
	k, err := keyOf(b.Cid)
	if err != nil {
		return
	}
	if !t.linked.has(k) {
		t.top[k] = b.Cid
	}
	dag.RawLinks(b.Cid, b.Data, func(link []byte) error { // it may have no links that can be read
		if r, err := linkRef(link); err == nil {
			t.linked.add(r.key())
			delete(t.top, r.key())
		}
		return nil
	})
}

// with returns the roots, and what was found.
func (t *tops) with(roots []cid.Cid) []cid.Cid {
	var all []cid.Cid
	for _, c := range roots {
		k, err := keyOf(c)
		if _, ok := t.top[k]; err == nil && !ok {
			all = append(all, c)
		}
	}
	for _, c := range t.top {
		all = append(all, c)
	}
	return all
}
