package state

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// verifyBatch is how many offers are verified at a time.
const verifyBatch = 32

// eachVerified decodes and checks all offers on all cores, and calls fn with each in their order,
// while later ones are still being checked. It stops at the first error of fn and when ctx ends.
func (j *joiner) eachVerified(ctx context.Context, offers []*offered, fn func(*offered) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var (
		group   sync.WaitGroup
		next    atomic.Int64
		batches = slices.Collect(slices.Chunk(offers, verifyBatch))
		done    = make([]chan struct{}, len(batches))
	)
	defer group.Wait()
	defer cancel()
	for i := range done {
		done[i] = make(chan struct{})
	}
	for range min(runtime.GOMAXPROCS(0), len(batches)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(batches)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				j.verifyAll(ctx, batches[i])
				close(done[i])
			}
		})
	}
	for i, some := range batches {
		select {
		case <-done[i]:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, o := range some {
			if err := fn(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifyAll decodes and checks offers.
func (j *joiner) verifyAll(ctx context.Context, offers []*offered) {
	for _, o := range offers {
		o.value, o.malformed = Decode(o.slot, o.data)
		if o.malformed == nil && o.value.Reference != nil {
			o.outcome, o.err = j.check(ctx, o.value.Reference)
		}
	}
}
