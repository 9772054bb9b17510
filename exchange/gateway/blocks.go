package gateway

import (
	"context"
	"errors"

	"archivecache/store"

	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// readOnly is a store as the blockstore that boxo knows.
type readOnly struct {
	store store.Store
}

var _ blockstore.Blockstore = (*readOnly)(nil)

var errReadOnly = errors.New("the store is served read-only")

func (b *readOnly) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	data, err := b.store.Get(ctx, c)
	if err != nil {
		return nil, notFound(c, err)
	}
	return blocks.NewBlockWithCid(data, c)
}

func (b *readOnly) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	data, err := b.store.Get(ctx, c)
	return len(data), notFound(c, err)
}

func (b *readOnly) Has(ctx context.Context, c cid.Cid) (bool, error) {
	if _, err := store.DigestOf(c); err != nil {
		_, identity := store.Identity(c)
		return identity, nil
	}
	has, err := b.store.Has(ctx, []cid.Cid{c})
	if err != nil {
		return false, err
	}
	return has[0], nil
}

// notFound makes boxo answer 404 for a block that is not there, or whose hash no store has.
func notFound(c cid.Cid, err error) error {
	if err == nil {
		return nil
	}
	if _, foreign := store.DigestOf(c); foreign != nil || errors.Is(err, store.ErrNotFound) {
		return ipld.ErrNotFound{Cid: c}
	}
	return err
}

func (b *readOnly) Put(context.Context, blocks.Block) error       { return errReadOnly }
func (b *readOnly) PutMany(context.Context, []blocks.Block) error { return errReadOnly }
func (b *readOnly) DeleteBlock(context.Context, cid.Cid) error    { return errReadOnly }
func (b *readOnly) AllKeysChan(context.Context) (<-chan cid.Cid, error) {
	return nil, errReadOnly
}
