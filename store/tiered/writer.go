package tiered

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/embedded"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

const (
	maxWaiting = 1024    // blocks that are looked up in the table at a time
	maxBytes   = 4 << 20 // of those blocks
	maxSent    = 1 << 16 // blocks after which the table is written in between
)

// A Writer is a batch of blocks on their way into both tiers. It is safe for use by several
// goroutines.
type Writer struct {
	store *Store
	local *embedded.Writer

	mu      sync.Mutex
	closed  bool
	remote  store.Writer // nil until one is needed
	known   map[store.Digest]bool
	waiting []store.Block
	bytes   int   // in waiting
	sent    []row // to the remote, and not in the table yet
}

// row is one of the table.
type row struct {
	digest store.Digest
	length int
}

// Writer implements [store.Store].
func (s *Store) Writer() store.Writer { return s.NewWriter() }

// NewWriter begins a batch whose commit can carry further changes to the database.
func (s *Store) NewWriter() *Writer {
	return &Writer{store: s, local: s.local.NewWriter(), known: make(map[store.Digest]bool)}
}

// Put implements [store.Putter]. A block that the store has put into the remote before is not sent
// again.
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
	if b.Cid.Type() != cid.Raw {
		if err := w.local.Put(ctx, b); err != nil {
			return err
		}
	}
	if w.known[d] {
		return nil
	}
	w.known[d] = true
	w.waiting, w.bytes = append(w.waiting, b), w.bytes+len(b.Data)
	if len(w.waiting) < maxWaiting && w.bytes < maxBytes {
		return nil
	}
	return w.relieve(ctx)
}

// relieve sends what waits, and writes the table when there is much for it.
func (w *Writer) relieve(ctx context.Context) error {
	if err := w.send(ctx); err != nil {
		return err
	}
	return w.record(ctx)
}

// record writes the table when there is much for it.
func (w *Writer) record(ctx context.Context) error {
	if len(w.sent) < maxSent {
		return nil
	}
	if err := w.remote.Commit(ctx); err != nil {
		return err
	}
	if err := w.store.db.Write(ctx, false, w.insert); err != nil {
		return fmt.Errorf("commit blocks: %w", err)
	}
	w.sent = w.sent[:0]
	clear(w.known)
	return nil
}

// send puts those of the waiting blocks into the remote that are not there.
func (w *Writer) send(ctx context.Context) error {
	cids := make([]cid.Cid, len(w.waiting))
	for i, b := range w.waiting {
		cids[i] = b.Cid
	}
	kept, err := w.store.kept(ctx, cids)
	if err != nil {
		return err
	}
	for i, b := range w.waiting {
		if kept[i] {
			continue
		}
		if err := w.sendBlock(ctx, b); err != nil {
			return err
		}
	}
	clear(w.waiting)
	w.waiting, w.bytes = w.waiting[:0], 0
	return nil
}

// connect begins a batch of the remote, if there is none.
func (w *Writer) connect(ctx context.Context) error {
	if w.remote != nil {
		return nil
	}
	remote, err := w.store.Remote(ctx)
	if err == nil {
		w.remote = remote.Writer()
	}
	return err
}

// Gather implements [store.Gatherer], where the remote does.
func (w *Writer) Gather(ctx context.Context, blocks []store.Sized, stall time.Duration, progress func(n int)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("gather blocks: writer: %w", fs.ErrClosed)
	}
	if err := w.connect(ctx); err != nil {
		return fmt.Errorf("gather blocks: %w", err)
	}
	g, ok := w.remote.(store.Gatherer)
	if !ok {
		return fmt.Errorf("gather blocks: %w", errors.ErrUnsupported)
	}
	if err := g.Gather(ctx, blocks, stall, progress); err != nil {
		return err
	}
	for _, b := range blocks {
		d, err := store.DigestOf(b.Cid)
		if err != nil {
			return err
		}
		w.known[d] = true
		w.sent = append(w.sent, row{d, int(b.Size)})
	}
	return w.record(ctx)
}

func (w *Writer) sendBlock(ctx context.Context, b store.Block) error {
	if err := w.connect(ctx); err != nil {
		return fmt.Errorf("put block %s: %w", b.Cid, err)
	}
	if err := w.remote.Put(ctx, b); err != nil {
		return err
	}
	d, err := store.DigestOf(b.Cid)
	w.sent = append(w.sent, row{d, len(b.Data)})
	return err
}

// Commit implements [store.Writer].
func (w *Writer) Commit(ctx context.Context) error { return w.CommitWith(ctx, nil) }

// CommitWith is Commit, and does fn in the transaction that makes the blocks visible; an error of
// fn undoes it, and the blocks wait for another commit. Fn may be nil.
func (w *Writer) CommitWith(ctx context.Context, fn func(*sqlite3.Conn) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("commit blocks: writer: %w", fs.ErrClosed)
	}
	if err := w.send(ctx); err != nil {
		return err
	}
	if w.remote != nil {
		if err := w.remote.Commit(ctx); err != nil {
			return err
		}
	}
	err := w.local.CommitWith(ctx, func(c *sqlite3.Conn) error {
		if err := w.insert(c); err != nil || fn == nil {
			return err
		}
		return fn(c)
	})
	if err != nil {
		return err
	}
	w.sent = w.sent[:0]
	clear(w.known)
	return nil
}

// insert writes the rows of what was sent.
func (w *Writer) insert(c *sqlite3.Conn) error {
	// In the order of their hashes they meet the pages of the table in order too.
	slices.SortFunc(w.sent, func(a, b row) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	q, err := sqlite.Stmt(c, "INSERT OR IGNORE INTO remote (hash, length) VALUES (?, ?)")
	if err != nil {
		return err
	}
	for i := range w.sent {
		r := &w.sent[i]
		if err := errors.Join(q.BindBlob(1, r.digest[:]), q.BindInt(2, r.length)); err != nil {
			return err
		}
		if err := q.Exec(); err != nil {
			return err
		}
	}
	return nil
}

// Close gives up what was not committed.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.known, w.waiting, w.sent = nil, nil, nil
	err := w.local.Close()
	if w.remote != nil {
		err = errors.Join(err, w.remote.Close())
	}
	return err
}
