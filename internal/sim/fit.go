package sim

import (
	"context"
	"errors"

	"archivecache/dag"
	"archivecache/store"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A piece is a block that hangs from a reference.
type piece struct {
	fingerprint fingerprint
	size        int
}

type judgement struct {
	pieces []piece
	err    error
}

// fit returns the blocks that hang from a reference, but those that all people have from the
// beginning, or why a view cannot be made of it. Known, which may be nil, was fit. The answer
// depends on the two alone, so it is found once for all people.
func (w *world) fit(ctx context.Context, known, r *reference.Reference) ([]piece, error) {
	if known == nil {
		known = &reference.Reference{}
	}
	key := [2]string{string(known.Signature), string(r.Signature)}
	if j, ok := w.judged.Load(key); ok {
		return j.(judgement).pieces, j.(judgement).err
	}
	var j judgement
	seen := map[fingerprint]bool{}
	for _, c := range []cid.Cid{r.History.Target(), r.Marks.Target(), r.Content.Target()} {
		j.err = errors.Join(j.err, w.pieces(ctx, c, seen, &j.pieces))
	}
	if j.err == nil {
		j.err = w.judge(ctx, known, r)
	}
	w.judged.Store(key, j)
	return j.pieces, j.err
}

// pieces collects the blocks that hang from c.
func (w *world) pieces(ctx context.Context, c cid.Cid, seen map[fingerprint]bool, all *[]piece) error {
	if !c.Defined() {
		return nil
	}
	d, err := store.DigestOf(c)
	if err != nil {
		return err
	}
	f := fingerprintOf(d)
	if seen[f] || w.heap.first[d] != nil {
		return nil
	}
	seen[f] = true
	data, err := w.heap.Get(ctx, c)
	if err != nil {
		return err
	}
	*all = append(*all, piece{f, len(data)})
	return dag.Links(c, data, func(l cid.Cid) error { return w.pieces(ctx, l, seen, all) })
}

// judge checks what package merge checks of a reference whose blocks are here.
func (w *world) judge(ctx context.Context, known, r *reference.Reference) error {
	if _, err := r.Log(ctx, w.heap); err != nil {
		return err
	}
	if r.Policy == reference.SharedPolicy {
		return shared.Check(ctx, w.heap, layerOf(known), layerOf(r))
	}
	if r.Deleted {
		return nil
	}
	_, err := unixfs.OpenDir(ctx, w.heap, r.Content.Target())
	return err
}

func layerOf(r *reference.Reference) shared.Layer {
	return shared.Layer{Files: r.Content.Target(), Marks: r.Marks.Target()}
}
