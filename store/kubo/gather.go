package kubo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"archivecache/store"

	"golang.org/x/sync/errgroup"
)

var _ store.Gatherer = (*Writer)(nil)

const (
	// gatherBatch and gatherBytes are how many blocks a manifest of what is gathered has, and of how
	// many bytes; maxGathering is how many manifests the daemon is asked to complete at a time, so
	// that it is never without a wish.
	gatherBatch  = 1 << 10
	gatherBytes  = 128 << 20
	maxGathering = 3
	// leastStall is how long the daemon is given in any case: it speaks twice a second.
	leastStall = 2 * time.Second
)

// arrived is the end of sending a batch that has been sent.
var arrived = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Gather implements [store.Gatherer]: it pins manifests of blocks that the daemon does not have yet,
// so that it fetches them from its network, all at once and in its own way. Blocks that are together
// not as long as it is said of them are an error.
func (w *Writer) Gather(ctx context.Context, blocks []store.Sized, stall time.Duration, progress func(n int)) error {
	links := make([]link, len(blocks))
	for i, b := range blocks {
		d, err := store.DigestOf(b.Cid)
		if err != nil {
			return err
		}
		if b.Size > store.MaxBlock {
			return fmt.Errorf("gather blocks: %w: %s of %d bytes", errSize, b.Cid, b.Size)
		}
		links[i] = link{d, b.Size}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("gather blocks: writer: %w", fs.ErrClosed)
	}
	g := &gathering{d: w.d, stall: max(stall, leastStall), progress: progress}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(maxGathering)
	for _, part := range split(links, gatherBatch, gatherBytes) {
		group.Go(func() error { return g.pin(inner, part) })
	}
	if err := group.Wait(); err != nil {
		w.takeAway(context.WithoutCancel(ctx), g.done)
		return fmt.Errorf("gather %d blocks: %w", len(links), err)
	}
	w.sent = append(w.sent, g.done...)
	return nil
}

// takeAway unpins manifests that are not to count. Those that it cannot unpin now it keeps in mind,
// for Commit and Close to try again.
func (w *Writer) takeAway(ctx context.Context, manifests []*batch) {
	ctx, cancel := context.WithTimeout(ctx, w.d.timeout)
	defer cancel()
	for _, b := range manifests {
		if err := w.d.unpin(ctx, b.manifest.Cid); err != nil {
			w.unwanted = append(w.unwanted, b)
		}
	}
}

// gathering is blocks that a daemon fetches, some manifests at a time.
type gathering struct {
	d        *Daemon
	stall    time.Duration
	progress func(n int)

	mu   sync.Mutex
	done []*batch
	come int // blocks, in all of them
}

// pin has the daemon fetch the blocks of one manifest.
func (g *gathering) pin(ctx context.Context, links []link) error {
	m, before := newManifest(g.d.name, links), 0
	how := pinning{name: g.d.batchName(m), patience: g.stall, progress: func(n int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		n = min(n, len(links))
		g.come, before = g.come+n-before, n
		if g.progress != nil {
			g.progress(g.come)
		}
	}}
	b := &batch{manifest: m.block(), name: how.name, done: arrived}
	err := g.d.putAndPin(ctx, b.manifest, how)
	g.mu.Lock()
	g.done = append(g.done, b) // also after an error, which may have come behind the pin
	g.mu.Unlock()
	if err != nil {
		return err
	}
	return g.d.checkSize(ctx, b.manifest, links)
}

var errSize = errors.New("blocks are not as long as it is said of them")

// checkSize compares the sizes in a manifest with what has come: so much is said to have been
// fetched, and will be said to be freed. That they are right together is enough for both.
func (d *Daemon) checkSize(ctx context.Context, manifest store.Block, links []link) error {
	var answer struct {
		TotalSize    uint64
		UniqueBlocks int
	}
	how := call{
		command: "dag/stat", args: []string{manifest.Cid.String()}, options: map[string]string{"progress": "false"},
		patience: waiting * d.timeout, // it reads them all
	}
	if err := d.ask(ctx, how, &answer); err != nil {
		return err
	}
	want := uint64(len(manifest.Data))
	for _, l := range links {
		want += l.size
	}
	if answer.TotalSize != want || answer.UniqueBlocks != 1+len(links) {
		return d.wrap("dag/stat", fmt.Errorf("%w: %d blocks have %d bytes, and not %d", errSize, answer.UniqueBlocks, answer.TotalSize, want))
	}
	return nil
}
