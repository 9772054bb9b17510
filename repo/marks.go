package repo

import (
	"context"
	"errors"
	"fmt"

	"archivecache/internal/sqlite"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// Mark returns the mark of a slot, as of this commit.
func (tx *Tx) Mark(ctx context.Context, slot reference.Slot) (Mark, error) {
	if m, ok := tx.marks[slot]; ok {
		return m, nil
	}
	return tx.repo.Mark(ctx, slot)
}

// StateMark is Mark for joins of states.
func (tx *Tx) StateMark(ctx context.Context, slot reference.Slot) (state.Mark, error) {
	m, err := tx.Mark(ctx, slot)
	return m.Mark, err
}

// SetMark records a mark with this commit. A mark that is lower than the one that is known is not
// for the caller to give.
func (tx *Tx) SetMark(slot reference.Slot, m Mark) { tx.marks[slot] = m }

// Mark returns the mark of a slot; the zero Mark if there is none.
func (r *Repo) Mark(ctx context.Context, slot reference.Slot) (m Mark, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT reference, pending, forked_from, proof, complete FROM mark WHERE slot = ?")
		if err != nil {
			return err
		}
		if err := s.BindBlob(1, slot.Key()); err != nil {
			return err
		}
		if s.Step() {
			m, err = scanMark(slot, s)
		}
		return errors.Join(err, s.Err(), s.Reset())
	})
	if err != nil {
		return Mark{}, fmt.Errorf("mark: %w", explain(err))
	}
	return m, nil
}

func scanMark(slot reference.Slot, s *sqlite3.Stmt) (m Mark, err error) {
	if m.Reference, err = scanReference(s, 0); err != nil {
		return m, err
	}
	if m.Pending, err = scanReference(s, 1); err != nil {
		return m, err
	}
	m.ForkedFrom = uint64(s.ColumnInt64(2))
	if data := s.ColumnBlob(3, nil); data != nil {
		if m.Proof, err = state.DecodeProof(slot, data); err != nil {
			return m, err
		}
	}
	m.Complete = s.ColumnBool(4)
	return m, nil
}

func scanReference(s *sqlite3.Stmt, column int) (*reference.Reference, error) {
	data := s.ColumnBlob(column, nil)
	if data == nil {
		return nil, nil
	}
	return reference.Decode(data)
}

func writeMark(c *sqlite3.Conn, slot reference.Slot, m Mark) error {
	ref, err := encodeReference(m.Reference)
	if err != nil {
		return err
	}
	pending, err := encodeReference(m.Pending)
	if err != nil {
		return err
	}
	var proof []byte
	if m.Proof != nil {
		if proof, err = m.Proof.Encode(); err != nil {
			return err
		}
	}
	return exec(c, "INSERT OR REPLACE INTO mark (slot, reference, pending, forked_from, proof, complete) VALUES (?, ?, ?, ?, ?, ?)",
		slot.Key(), ref, pending, int64(m.ForkedFrom), proof, m.Complete)
}

func encodeReference(r *reference.Reference) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	return r.Encode()
}

// Proofs calls fn for every fork that is known, with its proof. It holds one of them at a time.
func (r *Repo) Proofs(ctx context.Context, fn func(reference.Slot, *state.Proof) error) error {
	slots, err := r.provenSlots(ctx)
	if err != nil {
		return fmt.Errorf("proofs: %w", explain(err))
	}
	for _, slot := range slots {
		m, err := r.Mark(ctx, slot)
		if err == nil && m.Proof != nil { // not forgotten meanwhile
			err = fn(slot, m.Proof)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// provenSlots returns the slots whose forks are known with a proof.
func (r *Repo) provenSlots(ctx context.Context) (slots []reference.Slot, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT slot FROM mark WHERE proof IS NOT NULL")
		if err != nil {
			return err
		}
		slots = nil
		for err == nil && s.Step() {
			var slot reference.Slot
			slot, err = reference.ParseSlot(s.ColumnBlob(0, nil))
			slots = append(slots, slot)
		}
		return errors.Join(err, s.Err(), s.Reset())
	})
	return slots, err
}

// SetMerged remembers that the node was the last one merged of its author.
func (tx *Tx) SetMerged(author, node cid.Cid) { tx.merged[author] = node }

// Merged returns the node that was merged last of author; undefined if none was.
func (r *Repo) Merged(ctx context.Context, author cid.Cid) (node cid.Cid, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT node FROM merged WHERE author = ?")
		if err != nil {
			return err
		}
		if err := s.BindBlob(1, author.Bytes()); err != nil {
			return err
		}
		if s.Step() {
			node, err = cid.Cast(s.ColumnBlob(0, nil))
		}
		return errors.Join(err, s.Err(), s.Reset())
	})
	return node, explain(err)
}

// AllMerged returns the nodes that were merged last, one of each author.
func (r *Repo) AllMerged(ctx context.Context) (map[cid.Cid]bool, error) {
	nodes := map[cid.Cid]bool{}
	err := r.db.Read(ctx, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT node FROM merged")
		if err != nil {
			return err
		}
		for s.Step() {
			node, err := cid.Cast(s.ColumnBlob(0, nil))
			if err != nil {
				return err
			}
			nodes[node] = true
		}
		return s.Reset()
	})
	return nodes, explain(err)
}

// forgetMerged forgets what was merged, so that it is merged again; but what was undone stays
// known, as nobody asks for that. Head is the newest entry of the log.
func forgetMerged(c *sqlite3.Conn, head int64) error {
	for last := head; last > 0; {
		// The tree came from the undo to last, and from the entries before the one that was undone.
		undo, undoes, err := lastUndo(c, last)
		if err != nil {
			return err
		}
		if err := exec(c, "DELETE FROM merged WHERE entry BETWEEN ? AND ?", undo, last); err != nil {
			return err
		}
		last = undoes - 1
	}
	return nil
}

// lastUndo returns the newest undo at or before an entry of the log, also one that was taken out of
// it, and the entry that it undid; zeros if there is none.
func lastUndo(c *sqlite3.Conn, entry int64) (undo, undoes int64, err error) {
	s, err := sqlite.Stmt(c, `SELECT id, undoes FROM log WHERE undoes IS NOT NULL AND id <= ?1
		UNION ALL SELECT id, undoes FROM undone WHERE id <= ?1 ORDER BY id DESC LIMIT 1`)
	if err != nil {
		return 0, 0, err
	}
	if err := s.BindInt64(1, entry); err != nil {
		return 0, 0, err
	}
	if s.Step() {
		undo, undoes = s.ColumnInt64(0), s.ColumnInt64(1)
	}
	return undo, undoes, errors.Join(s.Err(), s.Reset())
}

// inEffect reports whether node was the last one of its author that was merged, and the merge is
// part of the tree: not undone.
func (r *Repo) inEffect(ctx context.Context, head Head, author cid.Cid, node *reference.Reference) (in bool, err error) {
	b, err := node.Block()
	if err != nil {
		return false, err
	}
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		entry, err := mergedEntry(c, author, b.Cid)
		for last := head.Entry; err == nil && last > 0 && entry > 0 && !in; {
			// The tree came from the undo to last, and from the entries before the one that was
			// undone.
			var undo, undoes int64
			if undo, undoes, err = lastUndo(c, last); err == nil {
				in = undo <= entry && entry <= last
				last = undoes - 1
			}
		}
		return err
	})
	return in, explain(err)
}

// mergedEntry returns the entry of the log by which node was merged; 0 if it is not the last one of
// author.
func mergedEntry(c *sqlite3.Conn, author, node cid.Cid) (int64, error) {
	s, err := sqlite.Stmt(c, "SELECT entry FROM merged WHERE author = ? AND node = ?")
	if err != nil {
		return 0, err
	}
	if err := errors.Join(s.BindBlob(1, author.Bytes()), s.BindBlob(2, node.Bytes())); err != nil {
		return 0, err
	}
	entry := int64(0)
	if s.Step() {
		entry = s.ColumnInt64(0)
	}
	return entry, errors.Join(s.Err(), s.Reset())
}
