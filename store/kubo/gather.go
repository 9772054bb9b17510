package kubo

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"archivecache/store"
)

var _ store.Gatherer = (*Writer)(nil)

// arrived is the end of sending a batch that has been sent.
var arrived = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Gather implements [store.Gatherer]: it pins manifests of blocks that the daemon does not have yet,
// so that it fetches them from its network, all at once and in its own way.
func (w *Writer) Gather(ctx context.Context, blocks []store.Sized, stall time.Duration, progress func(n int)) error {
	links := make([]link, len(blocks))
	for i, b := range blocks {
		d, err := store.DigestOf(b.Cid)
		if err != nil {
			return err
		}
		links[i] = link{d, min(b.Size, store.MaxBlock)} // what somebody says of it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("gather blocks: writer: %w", fs.ErrClosed)
	}
	before := 0
	for _, part := range split(links) {
		m := newManifest(w.d.name, part)
		how := pinning{name: w.d.batchName(m), patience: stall, progress: func(n int) {
			if progress != nil {
				progress(before + min(n, len(part)))
			}
		}}
		b := &batch{manifest: m.block(), name: how.name, done: arrived}
		if err := w.d.putAndPin(ctx, b.manifest, how); err != nil {
			return fmt.Errorf("gather %d blocks: %w", len(part), err)
		}
		w.sent = append(w.sent, b)
		before += len(part)
	}
	return nil
}
