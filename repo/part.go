package repo

import (
	"context"
	"io"

	"github.com/ipfs/go-cid"
)

// Part returns the bytes of a block where they stand in the folder, for who has read and verified it
// just now and wants pieces of it again. It returns nil for a block that is small, or elsewhere.
func (r *Repo) Part(ctx context.Context, c cid.Cid) (io.ReaderAt, error) { return r.local.Part(ctx, c) }
