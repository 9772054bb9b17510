package shared

import (
	"context"
	"crypto/rand"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Renonce returns the marks of layer with a nonce of its own for every version that top, another
// layer of the same author, does not have and whose record is that of top: with the nonce of
// another version it would be that version, and hidden by the marks on it.
func Renonce(ctx context.Context, blocks store.Blocks, top, layer Layer) (cid.Cid, error) {
	if !layer.Marks.Defined() || !layer.Files.Defined() {
		return layer.Marks, nil
	}
	r := newReader(blocks)
	tree := openMarks(blocks, layer.Marks)
	err := unixfs.Diff(ctx, blocks, top.Files, layer.Files, func(name string, old, new *unixfs.Entry) error {
		if new == nil {
			return nil
		}
		before, err := r.record(ctx, top.Marks, name)
		if err != nil {
			return err
		}
		now, err := tree.get(ctx, name)
		if err != nil || now.empty() {
			return err
		}
		kind, err := r.kind(ctx, new.Cid)
		if err != nil {
			return err
		}
		if kind == unixfs.Directory && !new.Cid.Equals(emptyCid) {
			below := Layer{Files: directoryOf(ctx, blocks, old), Marks: before.Below.Target()}
			marks, err := Renonce(ctx, blocks, below, Layer{Files: new.Cid, Marks: now.Below.Target()})
			now.Below = linkTo(marks)
			if err != nil {
				return err
			}
		} else if string(now.Nonce) == string(before.Nonce) {
			now.Nonce = newNonce()
		}
		return tree.set(ctx, name, now)
	})
	if err != nil {
		return cid.Undef, err
	}
	return tree.flush(ctx, blocks)
}

func newNonce() []byte {
	b := make([]byte, nonceSize)
	rand.Read(b) // never fails
	return b
}
