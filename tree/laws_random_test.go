package tree_test

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// lawNonces has the source of nonces of each goroutine that plays a schedule, so that a schedule
// follows from its seed alone.
var lawNonces sync.Map

type lawReader struct{ otherwise io.Reader }

func (r lawReader) Read(b []byte) (int, error) {
	source, ok := lawNonces.Load(goroutine())
	if !ok {
		return r.otherwise.Read(b)
	}
	for i := 0; i < len(b); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], source.(*mathrand.Rand).Uint64())
		copy(b[i:], word[:])
	}
	return len(b), nil
}

// useLawNonces makes crypto/rand read from lawNonces until the test has ended.
func useLawNonces(t *testing.T) {
	before := rand.Reader
	rand.Reader = lawReader{before}
	t.Cleanup(func() { rand.Reader = before })
}

// goroutine returns the number of the calling goroutine.
func goroutine() uint64 {
	var buf [32]byte
	var n uint64
	text := buf[:runtime.Stack(buf[:], false)]
	for _, digit := range text[len("goroutine "):] {
		if digit < '0' || digit > '9' {
			break
		}
		n = n*10 + uint64(digit-'0')
	}
	return n
}

// lawCounts counts what happened, so that a test in which nothing happens does not pass.
var lawCounts counts

type counts struct {
	mu sync.Mutex
	m  map[string]*atomic.Int64
}

func (c *counts) of(what string) *atomic.Int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]*atomic.Int64{}
	}
	if c.m[what] == nil {
		c.m[what] = new(atomic.Int64)
	}
	return c.m[what]
}

func (c *counts) String() string {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(c.m)) {
		fmt.Fprintf(&b, "%s %d, ", what, c.m[what].Load())
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// check fails if what the laws are about did not happen.
func (c *counts) check(t *testing.T, schedules int) {
	if schedules < 1000 || t.Failed() || testing.Short() {
		return
	}
	for _, what := range []string{
		"new", "newer", "same", "stale", "forked", "incomplete", "unknown-author", "undone", "refused edits",
		"edits of conflict names", "slots of dropped friends", "hidden versions", "forks in the end", "resolved", "restored", "rotated",
	} {
		if c.of(what).Load() < int64(schedules/100) {
			t.Errorf("%q happened %d times in %d schedules", what, c.of(what).Load(), schedules)
		}
	}
}
