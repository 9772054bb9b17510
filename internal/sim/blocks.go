package sim

import (
	"context"
	"encoding/binary"

	"archivecache/dag"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// sweepEvery is after how many rounds the blocks are dropped that nothing needs any more.
const sweepEvery = 3

// A heap has the blocks of all people. It is written only while no person takes a turn, so reading
// needs no lock.
type heap struct {
	first map[store.Digest][]byte // what everybody has from the beginning
	fixed map[store.Digest][]byte // what was published: content, marks, histories
	young map[store.Digest][]byte // nodes and their states, which are swept
}

func newHeap() *heap {
	return &heap{map[store.Digest][]byte{}, map[store.Digest][]byte{}, map[store.Digest][]byte{}}
}

// Get returns the bytes of a block.
func (h *heap) Get(_ context.Context, c cid.Cid) ([]byte, error) {
	d, err := store.DigestOf(c)
	if err != nil {
		return nil, err
	}
	for _, m := range []map[store.Digest][]byte{h.first, h.fixed, h.young} {
		if data, ok := m[d]; ok {
			return data, nil
		}
	}
	return nil, &store.MissingError{Cid: c}
}

// put keeps a block for good.
func (h *heap) put(b store.Block, into map[store.Digest][]byte) error {
	d, keep, err := store.Check(b)
	if err == nil && keep {
		into[d] = b.Data
	}
	return err
}

// publish keeps for good what hangs from c and is in blocks.
func (h *heap) publish(ctx context.Context, blocks store.Getter, c cid.Cid) error {
	if !c.Defined() {
		return nil
	}
	d, err := store.DigestOf(c)
	if err != nil {
		return err
	}
	if h.first[d] != nil || h.fixed[d] != nil {
		return nil
	}
	data, err := blocks.Get(ctx, c)
	if err != nil {
		return err
	}
	h.fixed[d] = data
	return dag.Links(c, data, func(l cid.Cid) error { return h.publish(ctx, blocks, l) })
}

// sweep keeps of the young blocks only those that hang from roots.
func (h *heap) sweep(roots []cid.Cid) {
	live := map[store.Digest][]byte{}
	for len(roots) > 0 {
		c := roots[len(roots)-1]
		roots = roots[:len(roots)-1]
		d, err := store.DigestOf(c)
		data := h.young[d]
		if err != nil || data == nil || live[d] != nil {
			continue
		}
		live[d] = data
		_ = dag.Links(c, data, func(l cid.Cid) error { // what cannot be read holds nothing
			roots = append(roots, l)
			return nil
		})
	}
	h.young = live
}

// A fingerprint stands for a block in what a person has: a few bytes of its hash. That two blocks
// share one is so rare that it does not change a count.
type fingerprint uint64

func fingerprintOf(d store.Digest) fingerprint {
	return fingerprint(binary.LittleEndian.Uint64(d[:8]))
}

// A desk is where one person works in a round: blocks that are read and were not there count as
// fetched, and blocks that are written stay here until the end of the round.
type desk struct {
	*heap
	person  *person
	written map[store.Digest]store.Block
}

func newDesk(h *heap, p *person) *desk {
	return &desk{heap: h, person: p, written: map[store.Digest]store.Block{}}
}

// Get returns the bytes of a block.
func (d *desk) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	digest, err := store.DigestOf(c)
	if err != nil {
		return nil, err
	}
	if b, ok := d.written[digest]; ok {
		return b.Data, nil
	}
	if data, ok := d.first[digest]; ok {
		return data, nil
	}
	data, err := d.heap.Get(ctx, c)
	if err == nil {
		d.person.fetched(fingerprintOf(digest), len(data))
	}
	return data, err
}

// Put keeps a block.
func (d *desk) Put(_ context.Context, b store.Block) error {
	digest, keep, err := store.Check(b)
	if err == nil && keep && d.first[digest] == nil {
		d.written[digest] = b
		d.person.have[fingerprintOf(digest)] = struct{}{}
	}
	return err
}

// fetched counts a block that a person reads, the first time.
func (p *person) fetched(f fingerprint, size int) {
	if _, ok := p.have[f]; !ok {
		p.have[f] = struct{}{}
		p.cost.Bytes += int64(size)
	}
}

// keep moves what was written to the heap.
func (d *desk) keep() {
	for digest, b := range d.written {
		d.young[digest] = b.Data
	}
	clear(d.written)
}
