package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"archivecache/internal/sqlite"
	"archivecache/store"

	"github.com/ncruces/go-sqlite3"
)

const (
	// smallBlock is the size in bytes below which a block goes into the database.
	smallBlock = 1 << 10
	// smallBatch is how many bytes in larger blocks a batch may have to go into the database with
	// them.
	smallBatch = 64 << 10
	// maxRows and maxInline are how many blocks, and how many bytes of them, wait for a commit in
	// between.
	maxRows   = 16 << 10
	maxInline = 8 << 20
	// maxSegment is the size in bytes from which a Writer begins another segment file.
	maxSegment = 1 << 30
)

// item is a block on its way into the database.
type item struct {
	digest store.Digest
	data   []byte // nil if the bytes are in the segment
	offset int64  // in the segment; 0, where no block begins, if they are not there
	length int
}

// A Writer is a [store.Writer] of a [Store]. It is safe for use by several goroutines. It keeps
// some ten MiB in memory at most, besides what its caller holds.
type Writer struct {
	store *Store

	mu      sync.Mutex
	closed  bool
	known   map[store.Digest]bool // put since the last commit in between
	rows    []item                // placed in the segment, or to be kept in the database
	inline  int                   // bytes in rows
	queue   []item                // large ones that have no place yet
	queued  int                   // bytes in queue
	large   bool                  // the batch has too much for the database alone
	segment *segment              // nil until one is needed
}

var _ store.Writer = (*Writer)(nil)

// Writer begins a batch.
func (s *Store) Writer() store.Writer { return s.NewWriter() }

// NewWriter begins a batch whose commit can carry further changes to the database.
func (s *Store) NewWriter() *Writer {
	return &Writer{store: s, known: make(map[store.Digest]bool)}
}

// Put takes a block that its caller has hashed or verified: the bytes are not hashed again here,
// and a wrong block would be found by each of its readers, for good. A block that is there
// already is not stored again. Blocks over [store.MaxBlock] are refused.
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
	if w.known[d] {
		return nil
	}
	w.known[d] = true
	w.add(item{digest: d, data: b.Data, length: len(b.Data)})
	if err := w.relieve(ctx); err != nil {
		return fmt.Errorf("put block %s: %w", b.Cid, err)
	}
	return nil
}

// PutBorrowed is Put, but it is done with b.Data when it returns: the caller may use the buffer
// again.
func (w *Writer) PutBorrowed(ctx context.Context, b store.Block) error {
	if len(b.Data) < smallBatch {
		b.Data = bytes.Clone(b.Data)
		return w.Put(ctx, b)
	}
	err := w.Put(ctx, b) // it goes into the segment at once
	if err != nil {
		w.keepBytes(b)
	}
	return err
}

// keepBytes makes the bytes of a block that a failed PutBorrowed left waiting ours.
func (w *Writer) keepBytes(b store.Block) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, err := store.DigestOf(b.Cid)
	for i := range w.queue {
		if err == nil && w.queue[i].digest == d {
			w.queue[i].data = bytes.Clone(w.queue[i].data)
		}
	}
}

func (w *Writer) add(it item) {
	if it.length < smallBlock {
		w.rows = append(w.rows, it)
		w.inline += it.length
		return
	}
	w.queue = append(w.queue, it)
	w.queued += it.length
}

// relieve moves what is in memory on when it is much.
func (w *Writer) relieve(ctx context.Context) error {
	if w.queued >= smallBatch {
		w.large = true
		if err := w.place(ctx); err != nil {
			return err
		}
	}
	if len(w.rows) >= maxRows || w.inline >= maxInline {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	if w.segment != nil && w.segment.size >= maxSegment {
		return w.nextSegment(ctx)
	}
	return nil
}

// place appends to the segment those queued blocks that the store does not have yet.
func (w *Writer) place(ctx context.Context) error {
	digests := make([]store.Digest, len(w.queue))
	for i, it := range w.queue {
		digests[i] = it.digest
	}
	has := make([]bool, len(digests))
	if err := w.store.has(ctx, digests, has); err != nil {
		return err
	}
	for i, it := range w.queue {
		if has[i] {
			continue
		}
		if err := w.append(it); err != nil {
			w.queue = w.queue[i:]
			return err
		}
	}
	clear(w.queue) // lets go of the bytes
	w.queue, w.queued = w.queue[:0], 0
	return nil
}

func (w *Writer) append(it item) (err error) {
	if w.segment == nil {
		if w.segment, err = createSegment(w.store.files.dir); err != nil {
			return fmt.Errorf("make segment: %w", err)
		}
	}
	if it.offset, err = w.segment.append(it.digest, it.data); err != nil {
		return err
	}
	it.data = nil
	w.rows = append(w.rows, it)
	return nil
}

// flush commits what has a place, without waiting for the log to be durable.
func (w *Writer) flush(ctx context.Context) error {
	if err := w.commit(ctx, false, nil); err != nil {
		return err
	}
	w.forget()
	return nil
}

// forget empties what is committed.
func (w *Writer) forget() {
	clear(w.known)
	for _, it := range w.queue {
		w.known[it.digest] = true
	}
	clear(w.rows)
	w.rows, w.inline = w.rows[:0], 0
}

func (w *Writer) nextSegment(ctx context.Context) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	err := w.segment.close()
	w.segment = nil
	return err
}

// Commit makes every block that was put durable. After an error the blocks still wait, and
// Commit may be tried again.
func (w *Writer) Commit(ctx context.Context) error { return w.CommitWith(ctx, nil) }

// CommitWith commits the blocks and what fn does to the database in one durable transaction, or
// nothing of it. fn may be nil. An error of fn is returned as it is. After an error the blocks
// still wait, so that it may be tried again; of a large batch some may be in the store before
// CommitWith is called, which does no harm. fn must not use this Writer, nor begin another write
// to the same database; a Get of the Store within fn does not see what fn or this commit writes.
func (w *Writer) CommitWith(ctx context.Context, fn func(*sqlite3.Conn) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("commit blocks: writer: %w", fs.ErrClosed)
	}
	if w.large {
		if err := w.place(ctx); err != nil {
			return fmt.Errorf("commit blocks: %w", err)
		}
	}
	if err := w.commit(ctx, true, fn); err != nil {
		return err
	}
	clear(w.queue)
	w.queue, w.queued, w.large = w.queue[:0], 0, false
	w.forget()
	return nil
}

// commit writes rows, and when it is the last of a batch what is still queued, in one transaction.
func (w *Writer) commit(ctx context.Context, last bool, fn func(*sqlite3.Conn) error) error {
	if w.segment != nil {
		if err := w.segment.sync(); err != nil {
			return err
		}
	}
	// In the order of their hashes they meet the pages of the index in order too.
	slices.SortFunc(w.rows, func(a, b item) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	return w.store.db.Write(ctx, last, func(c *sqlite3.Conn) error {
		if err := w.insert(c, w.rows); err != nil {
			return fmt.Errorf("commit blocks: %w", err)
		}
		if last {
			if err := w.insert(c, w.queue); err != nil {
				return fmt.Errorf("commit blocks: %w", err)
			}
		}
		if fn == nil {
			return nil
		}
		return fn(c)
	})
}

// insert adds the rows of items that are not there yet; another process may have been faster.
func (w *Writer) insert(c *sqlite3.Conn, items []item) error {
	q, err := sqlite.Stmt(c, "INSERT OR IGNORE INTO block (hash, segment, offset, length, data) VALUES (?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	var segment int64
	for i := range items {
		it := &items[i]
		if it.offset != 0 && segment == 0 {
			w.segment.named = true
			if segment, err = segmentID(c, w.segment.name); err != nil {
				return err
			}
		}
		if err := bind(q, it, segment); err != nil {
			return err
		}
		if err := q.Exec(); err != nil {
			return err
		}
	}
	return nil
}

func bind(q *sqlite3.Stmt, it *item, segment int64) error {
	if err := errors.Join(q.BindBlob(1, it.digest[:]), q.BindInt(4, it.length)); err != nil {
		return err
	}
	if it.offset != 0 {
		return errors.Join(q.BindInt64(2, segment), q.BindInt64(3, it.offset), q.BindNull(5))
	}
	err := errors.Join(q.BindNull(2), q.BindNull(3))
	if it.length == 0 {
		return errors.Join(err, q.BindZeroBlob(5, 0)) // BindBlob would take the empty slice for NULL
	}
	return errors.Join(err, q.BindBlob(5, it.data))
}

// segmentID returns the id of the segment of that name, a new one if it has none yet.
func segmentID(c *sqlite3.Conn, name string) (int64, error) {
	add, err := sqlite.Stmt(c, "INSERT OR IGNORE INTO segment (name) VALUES (?)")
	if err != nil {
		return 0, err
	}
	if err := errors.Join(add.BindText(1, name), add.Exec()); err != nil {
		return 0, err
	}
	id, err := findSegment(c, name)
	if err == nil && id == 0 {
		err = fmt.Errorf("segment %s has no row", name)
	}
	return id, err
}

// findSegment returns the id of the segment of that name; 0 if it has none.
func findSegment(c *sqlite3.Conn, name string) (id int64, err error) {
	get, err := sqlite.Stmt(c, "SELECT id FROM segment WHERE name = ?")
	if err != nil {
		return 0, err
	}
	if err := get.BindText(1, name); err != nil {
		return 0, err
	}
	if get.Step() {
		id = get.ColumnInt64(0)
	}
	return id, errors.Join(get.Err(), get.Reset())
}

// Close gives up what was not committed.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.known, w.rows, w.queue = nil, nil, nil
	if w.segment == nil {
		return nil
	}
	return w.segment.close()
}
