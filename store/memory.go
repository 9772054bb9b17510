package store

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"github.com/ipfs/go-cid"
)

// Memory is a [Store] in memory, for tests. NewMemory makes one.
type Memory struct {
	mu     sync.RWMutex
	blocks map[Digest][]byte
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{blocks: make(map[Digest][]byte)} }

// Get returns the bytes of the block c, or a [*MissingError].
func (m *Memory) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("get block %s: %w", c, err)
	}
	if data, ok := Identity(c); ok {
		return data, nil
	}
	d, err := DigestOf(c)
	if err != nil {
		return nil, err
	}
	m.mu.RLock()
	data, ok := m.blocks[d]
	m.mu.RUnlock()
	if !ok {
		return nil, &MissingError{Cid: c}
	}
	return data, Verify(c, data)
}

// Has says for each CID whether its block is here.
func (m *Memory) Has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("has %d blocks: %w", len(cids), err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	has := make([]bool, len(cids))
	for i, c := range cids {
		if _, ok := Identity(c); ok {
			has[i] = true
			continue
		}
		d, err := DigestOf(c)
		if err != nil {
			return nil, err
		}
		_, has[i] = m.blocks[d]
	}
	return has, nil
}

// Writer begins a batch. Its blocks can be read once it is committed.
func (m *Memory) Writer() Writer {
	return &memoryWriter{store: m, pending: make(map[Digest][]byte)}
}

// Close does nothing.
func (m *Memory) Close() error { return nil }

// Len returns how many blocks there are.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.blocks)
}

type memoryWriter struct {
	store   *Memory
	mu      sync.Mutex
	pending map[Digest][]byte // nil once closed
}

func (w *memoryWriter) Put(ctx context.Context, b Block) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put block %s: %w", b.Cid, err)
	}
	d, keep, err := Check(b)
	if err != nil || !keep {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending == nil {
		return fmt.Errorf("put block %s: writer: %w", b.Cid, fs.ErrClosed)
	}
	w.pending[d] = b.Data
	return nil
}

func (w *memoryWriter) Commit(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending == nil {
		return fmt.Errorf("commit blocks: writer: %w", fs.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit blocks: %w", err)
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for d, data := range w.pending {
		if _, ok := w.store.blocks[d]; !ok {
			w.store.blocks[d] = data
		}
	}
	clear(w.pending)
	return nil
}

func (w *memoryWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = nil
	return nil
}
