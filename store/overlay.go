package store

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
)

// An Overlay collects blocks in memory in front of a [Getter], so that a tree can be built and read
// again before anything of it is stored. It is safe for use by several goroutines.
type Overlay struct {
	base Getter

	mu    sync.RWMutex
	data  map[Digest][]byte
	order []Block
	size  int64
}

// NewOverlay returns an empty Overlay in front of base.
func NewOverlay(base Getter) *Overlay {
	return &Overlay{base: base, data: make(map[Digest][]byte)}
}

// Get returns a block that was put, else that of the base. Blocks that
// were put are trusted, as in every Put.
func (o *Overlay) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if d, err := DigestOf(c); err == nil {
		o.mu.RLock()
		data, ok := o.data[d]
		o.mu.RUnlock()
		if ok {
			return data, nil
		}
	}
	return o.base.Get(ctx, c)
}

// Put keeps a block in memory, once however often it is put. It does not ask whether the base has
// it.
func (o *Overlay) Put(ctx context.Context, b Block) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put block %s: %w", b.Cid, err)
	}
	d, keep, err := Check(b)
	if err != nil || !keep {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.data[d]; !ok {
		o.data[d] = b.Data
		o.order = append(o.order, b)
		o.size += int64(len(b.Data))
	}
	return nil
}

// Pending returns the blocks that were put, in the order in which each came first.
func (o *Overlay) Pending() []Block {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.Clone(o.order)
}

// Len returns how many blocks were put.
func (o *Overlay) Len() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.order)
}

// Size returns how many bytes the blocks that were put have together.
func (o *Overlay) Size() int64 {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.size
}
