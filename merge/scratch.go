package merge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/embedded"

	"github.com/ipfs/go-cid"
)

// A scratch is a store over another one that it does not write to: what is put stands in a
// temporary folder, made when it is needed, until Close.
type scratch struct {
	store.Store // below; not closed

	mu  sync.Mutex
	dir string
	db  *sqlite.DB
	top *embedded.Store // nil before the first block
}

// open makes the folder.
func (s *scratch) open() (*embedded.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.top != nil {
		return s.top, nil
	}
	dir, err := os.MkdirTemp("", "archivecache-dry-run-*")
	if err != nil {
		return nil, fmt.Errorf("room for a dry run: %w", err)
	}
	s.dir = dir
	if s.db, err = sqlite.Open(filepath.Join(dir, "blocks.db")); err != nil {
		return nil, err
	}
	top, err := embedded.New(s.db, filepath.Join(dir, "segments"))
	if err == nil {
		s.top = top
	}
	return top, err
}

// opened returns the store in the folder; nil if there is none yet.
func (s *scratch) opened() *embedded.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.top
}

// Get implements [store.Getter].
func (s *scratch) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := s.Store.Get(ctx, c)
	if top := s.opened(); top != nil && errors.Is(err, store.ErrNotFound) {
		return top.Get(ctx, c)
	}
	return data, err
}

// Has implements [store.Store].
func (s *scratch) Has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	has, err := s.Store.Has(ctx, cids)
	top := s.opened()
	if err != nil || top == nil {
		return has, err
	}
	above, err := top.Has(ctx, cids)
	for i := range above {
		has[i] = has[i] || above[i]
	}
	return has, err
}

// Writer implements [store.Store].
func (s *scratch) Writer() store.Writer { return &scratchWriter{scratch: s} }

// Close removes the folder.
func (s *scratch) Close() error {
	var err error
	if s.top != nil {
		err = s.top.Close()
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// A scratchWriter makes the folder with the first block.
type scratchWriter struct {
	scratch *scratch
	mu      sync.Mutex
	w       store.Writer // nil before the first block
}

// Put implements [store.Writer].
func (s *scratchWriter) Put(ctx context.Context, b store.Block) error {
	w, err := s.open()
	if err != nil {
		return err
	}
	return w.Put(ctx, b)
}

func (s *scratchWriter) open() (store.Writer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w != nil {
		return s.w, nil
	}
	top, err := s.scratch.open()
	if err == nil {
		s.w = top.Writer()
	}
	return s.w, err
}

func (s *scratchWriter) opened() store.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w
}

// Commit implements [store.Writer].
func (s *scratchWriter) Commit(ctx context.Context) error {
	if w := s.opened(); w != nil {
		return w.Commit(ctx)
	}
	return nil
}

// Close implements [store.Writer].
func (s *scratchWriter) Close() error {
	if w := s.opened(); w != nil {
		return w.Close()
	}
	return nil
}
