package embedded

import (
	"sync"

	"archivecache/store"
)

const (
	// maxCached is the longest block that is kept in memory, in bytes: those of trees and states,
	// which are read again and again.
	maxCached = 16 << 10
	// cacheSize is how many bytes of blocks each of two generations has at most.
	cacheSize = 2 << 20
)

// cache keeps blocks that were read and verified, those of late at least. It is safe for use by
// several goroutines. A block never changes, so nothing has to be taken out but to make room.
type cache struct {
	mu       sync.Mutex
	now, old map[store.Digest][]byte // what was asked for since, and before, the last change of generations
	size     int                     // of the blocks in now, in bytes
}

func (c *cache) get(d store.Digest) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	data, ok := c.now[d]
	if ok {
		return data, true
	}
	if data, ok = c.old[d]; ok {
		c.add(d, data)
	}
	return data, ok
}

func (c *cache) put(d store.Digest, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(d, data)
}

func (c *cache) add(d store.Digest, data []byte) {
	if c.now == nil || c.size+len(data) > cacheSize {
		c.now, c.old, c.size = make(map[store.Digest][]byte), c.now, 0
	}
	if _, ok := c.now[d]; !ok {
		c.now[d] = data
		c.size += len(data)
	}
}
