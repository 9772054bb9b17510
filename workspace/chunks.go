package workspace

import (
	"container/list"
	"context"
	"sync"

	"github.com/ipfs/go-cid"
)

const (
	// maxCachedChunks is how many bytes of leaves a workspace keeps.
	maxCachedChunks = 48 << 20
	// aheadChunks is how many leaves are fetched ahead of somebody who reads in order.
	aheadChunks = 4
)

// chunkCache keeps leaves of files that were read of late. Who asks for one that is being read
// waits for that.
type chunkCache struct {
	mu    sync.Mutex
	limit int
	size  int
	all   map[cid.Cid]*list.Element // of *chunk
	order *list.List                // the one used last in front
}

type chunk struct {
	cid  cid.Cid
	done chan struct{}
	data []byte
	err  error
}

func newChunkCache(limit int) *chunkCache {
	return &chunkCache{limit: limit, all: map[cid.Cid]*list.Element{}, order: list.New()}
}

// get returns the leaf c, which load reads unless it is here.
func (s *chunkCache) get(ctx context.Context, c cid.Cid, load func(context.Context) ([]byte, error)) ([]byte, error) {
	for {
		ch, mine := s.find(c)
		if mine {
			ch.data, ch.err = load(ctx)
			s.loaded(ch)
			return ch.data, ch.err
		}
		select {
		case <-ch.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if ch.err == nil || ctx.Err() != nil {
			return ch.data, ch.err
		}
		// Who loaded it may have been interrupted.
	}
}

// find returns the chunk c, and whether the caller has to load it.
func (s *chunkCache) find(c cid.Cid) (*chunk, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.all[c]; e != nil {
		s.order.MoveToFront(e)
		return e.Value.(*chunk), false
	}
	ch := &chunk{cid: c, done: make(chan struct{})}
	s.all[c] = s.order.PushFront(ch)
	return ch, true
}

// has reports whether c is here, or being read.
func (s *chunkCache) has(c cid.Cid) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[c] != nil
}

// loaded makes a chunk known to those who wait, and room for it.
func (s *chunkCache) loaded(ch *chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(ch.done)
	if ch.err != nil {
		s.drop(s.all[ch.cid])
		return
	}
	s.size += len(ch.data)
	for e := s.order.Back(); e != nil && s.size > s.limit; {
		before := e.Prev()
		select {
		case <-e.Value.(*chunk).done:
			s.size -= len(e.Value.(*chunk).data)
			s.drop(e)
		default: // it is being read
		}
		e = before
	}
}

func (s *chunkCache) drop(e *list.Element) {
	delete(s.all, e.Value.(*chunk).cid)
	s.order.Remove(e)
}
