package exchange

import (
	"bytes"

	"archivecache/store"
)

const (
	// maxRecent is the longest block that is kept, in bytes: a shard of a directory is shorter.
	maxRecent = 32 << 10
	// recentSize is how many bytes of blocks each of two generations has at most.
	recentSize = 4 << 20
)

// recent keeps blocks with links that a walk has read and verified, those of late at least: who
// makes a DAG present reads what is new in it next.
type recent struct {
	now, old map[store.Digest][]byte
	size     int // of the blocks in now, in bytes
}

func (r *recent) get(d store.Digest) ([]byte, bool) {
	data, ok := r.now[d]
	if !ok {
		data, ok = r.old[d]
	}
	return data, ok
}

// add keeps a copy of data.
func (r *recent) add(d store.Digest, data []byte) {
	if len(data) > maxRecent {
		return
	}
	if _, ok := r.get(d); ok {
		return
	}
	if r.now == nil || r.size+len(data) > recentSize {
		r.now, r.old, r.size = make(map[store.Digest][]byte), r.now, 0
	}
	r.now[d] = bytes.Clone(data)
	r.size += len(data)
}
