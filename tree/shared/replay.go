package shared

import (
	"bytes"
	"context"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"

	"github.com/ipfs/go-cid"
)

// ReplayMarks does to the tree of marks top what was done from base to mine, all three of one
// author. Marks only come, never go, so what top has beside that stays.
func ReplayMarks(ctx context.Context, blocks store.Blocks, base, mine, top cid.Cid) (cid.Cid, error) {
	if top.Equals(base) || !top.Defined() {
		return mine, nil
	}
	result := openMarks(blocks, top)
	err := merkle.Diff(ctx, blocks, merkle.Whole, base, mine, func(key []byte, old, new dagcbor.Raw) error {
		return replayRecord(ctx, blocks, result, string(key), old, new)
	})
	if err != nil {
		return cid.Undef, err
	}
	return result.flush(ctx, blocks)
}

func replayRecord(ctx context.Context, blocks store.Blocks, result marks, name string, old, new dagcbor.Raw) error {
	if new == nil {
		return nil
	}
	mine, err := decodeRecord(new)
	if err != nil {
		return err
	}
	base := record{}
	if old != nil {
		if base, err = decodeRecord(old); err != nil {
			return err
		}
	}
	merged, err := result.get(ctx, name)
	if err != nil {
		return err
	}
	if !bytes.Equal(mine.Nonce, base.Nonce) {
		merged.Nonce = mine.Nonce
	}
	merged.Met = merged.Met || mine.Met
	merged.addMarks(mine.Hides)
	below, err := ReplayMarks(ctx, blocks, base.Below.Target(), mine.Below.Target(), merged.Below.Target())
	if err != nil {
		return err
	}
	merged.Below = linkTo(below)
	return result.set(ctx, name, merged)
}
