package tree

import (
	"context"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// Adopt puts the state and the drafts of from into an empty root, one by one.
func Adopt(ctx context.Context, to, from *Root) error {
	to.allTouched = true
	err := from.state.Each(ctx, func(slot reference.Slot, v state.Value) error { return to.state.Set(ctx, slot, v) })
	if err != nil {
		return err
	}
	return from.drafts.Each(ctx, func(key []byte, d dagcbor.Raw) error { return to.drafts.Set(ctx, key, d) })
}

// OpenRootWith opens a root record that was made by the given trusts.
func OpenRootWith(ctx context.Context, blocks store.Blocks, c cid.Cid, trusts Trusts) (*Root, error) {
	r, err := OpenRoot(ctx, blocks, c)
	if err == nil {
		r.opened, r.trusts = trusts, trusts
	}
	return r, err
}

// DecodeRoot reads a root record.
func DecodeRoot(data []byte) (any, error) { return decodeRoot(data) }
