package kubo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"archivecache/store"
)

const (
	// maxBatch and maxBatchBlocks are how many bytes, and how many blocks, go up in one CAR.
	maxBatch       = 8 << 20
	maxBatchBlocks = 8 << 10
	// maxFlying is how many batches of a Writer are on their way at a time.
	maxFlying = 2
)

// item is a block that waits.
type item struct {
	digest store.Digest
	data   []byte
}

// A batch is what goes up in one CAR.
type batch struct {
	items []item
	known map[store.Digest]bool
	bytes int

	manifest store.Block
	name     string        // of its pin
	done     chan struct{} // closed when it has been sent, or has failed
	err      error
}

func newBatch() *batch { return &batch{known: make(map[store.Digest]bool)} }

func (b *batch) full() bool { return b.bytes >= maxBatch || len(b.items) >= maxBatchBlocks }

// A Writer is a [store.Writer] of a [Store]. It is safe for use by several goroutines, and has
// some 32 MiB in memory at most, besides what its caller holds. A block that the daemon has already
// is sent again: only so is it known to be kept.
type Writer struct {
	d      *Daemon
	ctx    context.Context // of what is on its way
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	next   *batch
	sent   []*batch // on their way, failed, or pinned since the last commit

	unwanted []*batch // pinned, and not to count
}

var _ store.Writer = (*Writer)(nil)

// Writer begins a batch.
func (s *Store) Writer() store.Writer { return s.NewWriter() }

// NewWriter begins a batch.
func (s *Store) NewWriter() *Writer {
	ctx, cancel := context.WithCancel(context.Background())
	return &Writer{d: s.d, ctx: ctx, cancel: cancel, next: newBatch()}
}

// Put takes a block that its caller has hashed or verified. It may wait for the daemon, and
// return why sending earlier blocks failed.
func (w *Writer) Put(ctx context.Context, b store.Block) error {
	d, keep, err := store.Check(b)
	if err != nil || !keep {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("put block %s: writer: %w", b.Cid, fs.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put block %s: %w", b.Cid, err)
	}
	if w.next.known[d] {
		return nil
	}
	if w.next.full() {
		if err := w.sendNext(ctx); err != nil {
			return fmt.Errorf("put block %s: %w", b.Cid, err)
		}
	}
	w.next.known[d] = true
	w.next.items = append(w.next.items, item{d, b.Data})
	w.next.bytes += len(b.Data)
	return nil
}

// PutBorrowed is Put, but it is done with b.Data when it returns: the caller may use the buffer
// again.
func (w *Writer) PutBorrowed(ctx context.Context, b store.Block) error {
	b.Data = bytes.Clone(b.Data)
	return w.Put(ctx, b)
}

// sendNext waits until less is on its way, and sends the next batch.
func (w *Writer) sendNext(ctx context.Context) error {
	if err := w.wait(ctx, maxFlying-1); err != nil {
		return err
	}
	b := w.next
	b.list(w.d)
	w.start(b)
	w.sent = append(w.sent, b)
	w.next = newBatch()
	return nil
}

// list makes the manifest of a batch, which stays the same however often it is sent.
func (b *batch) list(d *Daemon) {
	links := make([]link, len(b.items))
	for i, it := range b.items {
		links[i] = link{it.digest, uint64(len(it.data))}
	}
	m := newManifest(d.name, links)
	b.manifest, b.name, b.known = m.block(), d.batchName(m), nil
}

// start sends a batch in the background.
func (w *Writer) start(b *batch) {
	b.done, b.err = make(chan struct{}), nil
	go func() {
		defer close(b.done)
		if b.err = w.d.importBatch(w.ctx, b); b.err == nil {
			b.items = nil // lets go of the bytes
		}
	}()
}

// wait waits until at most n batches are on their way, and returns the error of one that failed.
func (w *Writer) wait(ctx context.Context, n int) error {
	for i, b := range w.sent {
		if i < len(w.sent)-n {
			select {
			case <-b.done:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-b.done:
			if b.err != nil {
				return b.err
			}
		default:
		}
	}
	return nil
}

// Commit returns when every block that was put is in the daemon and pinned. After an error the
// blocks still wait, and Commit may be tried again.
func (w *Writer) Commit(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("commit blocks: writer: %w", fs.ErrClosed)
	}
	if err := w.commit(ctx); err != nil {
		return fmt.Errorf("commit blocks: %w", err)
	}
	clear(w.sent)
	w.sent = w.sent[:0]
	unwanted := w.unwanted
	w.unwanted = nil
	w.takeAway(ctx, unwanted)
	return nil
}

func (w *Writer) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.again(ctx); err != nil {
		return err
	}
	if len(w.next.items) > 0 {
		if err := w.sendNext(ctx); err != nil {
			return err
		}
	}
	return w.wait(ctx, 0)
}

// again sends what failed before once more, one after the other.
func (w *Writer) again(ctx context.Context) error {
	for _, b := range w.sent {
		select {
		case <-b.done:
		default:
			continue
		}
		if b.err == nil {
			continue
		}
		w.start(b)
		select {
		case <-b.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

// Close gives up what was not committed. What of it is in the daemon already is unpinned; should
// that fail, [Store.Compact] does it.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), w.d.timeout)
	defer cancel()
	for _, b := range append(w.sent, w.unwanted...) {
		<-b.done
		if err := w.d.unpin(ctx, b.manifest.Cid); errors.Is(err, ErrUnreachable) {
			break
		}
	}
	w.next, w.sent, w.unwanted = nil, nil, nil
	return nil
}
