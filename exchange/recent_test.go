package exchange

import (
	"encoding/binary"
	"testing"

	"archivecache/store"
)

// What is remembered is a copy, bounded, and of late.
func TestRecent(t *testing.T) {
	var r recent
	digest := func(n int) (d store.Digest) {
		binary.BigEndian.PutUint32(d[:], uint32(n))
		return d
	}
	buf := make([]byte, maxRecent)
	count := 3 * recentSize / maxRecent
	for n := range count {
		buf[0] = byte(n)
		r.add(digest(n), buf)
	}
	r.add(digest(count), make([]byte, maxRecent+1))
	if _, ok := r.get(digest(count)); ok {
		t.Error("a block that is too long is kept")
	}
	size := 0
	for n := range count {
		data, ok := r.get(digest(n))
		if size += len(data); ok && data[0] != byte(n) {
			t.Errorf("block %d is the bytes of another", n)
		} else if !ok && n >= count-recentSize/maxRecent {
			t.Errorf("block %d of %d is forgotten", n, count)
		}
	}
	if size > 2*recentSize {
		t.Errorf("%d bytes are kept", size)
	}
}
