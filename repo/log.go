package repo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/tree"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// A LogEntry is one commit.
type LogEntry struct {
	ID      int64 // 1, 2, 3...
	Time    time.Time
	Command string
	Head    cid.Cid // the tree after it
	Before  cid.Cid // the tree before it; undefined for the first
	Root    cid.Cid // the root after it
	Undoes  int64   // the entry that it undid, with all after that; 0 if it is no undo
}

// ErrNothingToUndo is an undo before the first commit.
var ErrNothingToUndo = errors.New("nothing to undo")

// Log returns up to limit entries of the log before the entry with the given number, the newest
// first; 0 is all, from the last.
func (r *Repo) Log(ctx context.Context, before, limit int64) (entries []LogEntry, err error) {
	if before <= 0 {
		before = 1 << 62
	}
	if limit <= 0 {
		limit = -1
	}
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		entries = nil
		s, err := sqlite.Stmt(c, "SELECT id, time, command, cid, before, root, undoes FROM log WHERE id < ? ORDER BY id DESC LIMIT ?")
		if err != nil {
			return err
		}
		if err := errors.Join(s.BindInt64(1, before), s.BindInt64(2, limit)); err != nil {
			return err
		}
		for s.Step() {
			e, err := scanLog(s)
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
		return errors.Join(s.Err(), s.Reset())
	})
	if err != nil {
		return nil, fmt.Errorf("log: %w", explain(err))
	}
	return entries, nil
}

func scanLog(s *sqlite3.Stmt) (e LogEntry, err error) {
	e.ID, e.Time, e.Command = s.ColumnInt64(0), time.Unix(s.ColumnInt64(1), 0), s.ColumnText(2)
	e.Undoes = s.ColumnInt64(6)
	for i, c := range []*cid.Cid{&e.Head, &e.Before, &e.Root} {
		data := s.ColumnBlob(3+i, nil)
		if data == nil {
			continue
		}
		if *c, err = cid.Cast(data); err != nil {
			return e, err
		}
	}
	return e, nil
}

// Undo brings back the tree as it was before the entry with the given number, and so undoes all
// entries after it as well; 0 is the last commit that is not undone and is no undo. Marks stay as
// they are. It returns the entry.
func (r *Repo) Undo(ctx context.Context, entry int64) (undone LogEntry, err error) {
	err = r.Update(ctx, "undo", func(ctx context.Context, tx *Tx) error {
		if undone, err = r.toUndo(ctx, tx.head, entry); err != nil {
			return err
		}
		tx.Tree = tree.Open(store.NewOverlay(r.store), undone.Before)
		tx.undoes = undone.ID
		return nil
	})
	return undone, err
}

func (r *Repo) toUndo(ctx context.Context, head Head, entry int64) (LogEntry, error) {
	if entry != 0 {
		return r.undoable(ctx, entry)
	}
	for id := head.Entry; ; {
		e, err := r.undoable(ctx, id)
		if err != nil || e.Undoes == 0 {
			return e, err
		}
		id = e.Undoes - 1
	}
}

func (r *Repo) undoable(ctx context.Context, id int64) (LogEntry, error) {
	entries, err := r.Log(ctx, id+1, 1)
	if err != nil {
		return LogEntry{}, err
	}
	if len(entries) > 0 && entries[0].ID == id && entries[0].Before.Defined() {
		return entries[0], nil
	}
	first, err := r.first(ctx)
	switch {
	case err != nil:
		return LogEntry{}, err
	case first > 1 && 0 < id && id <= first:
		return LogEntry{}, fmt.Errorf("commit %d: %w", first, ErrForgotten)
	}
	return LogEntry{}, fmt.Errorf("entry %d: %w", id, ErrNothingToUndo)
}

// first returns the number of the first entry of the log.
func (r *Repo) first(ctx context.Context) (id int64, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		id, err = number(c, "SELECT min(id) FROM log WHERE id >= ?", 0)
		return err
	})
	return id, explain(err)
}
