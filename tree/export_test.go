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

// Offer joins one reference into the state of r, as a merge of a root with that reference alone
// would.
func Offer(ctx context.Context, r *Root, rules state.Rules, ref *reference.Reference) ([]state.Change, error) {
	changes, err := r.state.Offer(ctx, rules, ref)
	if err != nil {
		return nil, err
	}
	r.touchChanged(changes)
	r.touch(ref.Directory)
	return changes, nil
}

// FromNothing returns the CID of the root that follows from the state and the drafts of r, if no
// view of before is used.
func FromNothing(ctx context.Context, r *Root) (cid.Cid, error) {
	again, err := OpenRoot(ctx, r.blocks, r.cid)
	if err != nil {
		return cid.Undef, err
	}
	again.before, again.allTouched = []*Directory{}, true
	return again.Commit(ctx)
}

// SetMaxData changes how much [Tree.Data] returns, and returns what it was.
func SetMaxData(n int) int {
	was := maxData
	maxData = n
	return was
}
