package repo

import (
	"context"
	"errors"
	"fmt"

	"archivecache/internal/sqlite"

	"github.com/ncruces/go-sqlite3"
)

// ErrForgotten is a version that was taken out of the log.
var ErrForgotten = errors.New("what was before it is forgotten")

// ForgetBefore takes the entries before the one with that number out of the log, so that it is the
// first; nothing goes back behind it. It returns how many entries that were. What only they need is
// garbage. Marks stay, so that old references of others stay old.
func (r *Repo) ForgetBefore(ctx context.Context, entry int64) (forgotten int64, err error) {
	err = r.forgetBefore(ctx, func(*sqlite3.Conn) (int64, error) { return entry, nil }, &forgotten)
	return forgotten, err
}

// ForgetAllBut takes all entries but the newest n out of the log.
func (r *Repo) ForgetAllBut(ctx context.Context, n int64) (forgotten int64, err error) {
	err = r.forgetBefore(ctx, func(c *sqlite3.Conn) (int64, error) {
		return number(c, "SELECT min(id) FROM (SELECT id FROM log ORDER BY id DESC LIMIT ?)", max(1, n))
	}, &forgotten)
	return forgotten, err
}

// forgetBefore forgets what was before the entry that first returns.
func (r *Repo) forgetBefore(ctx context.Context, first func(*sqlite3.Conn) (int64, error), forgotten *int64) error {
	if err := r.BeginWriting(ctx); err != nil {
		return err
	}
	err := r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		entry, err := first(c)
		if err != nil {
			return err
		}
		found, err := number(c, "SELECT count(*) FROM log WHERE id = ?", entry)
		if err != nil {
			return err
		}
		if found == 0 {
			return fmt.Errorf("entry %d: %w", entry, ErrNoEntry)
		}
		if *forgotten, err = number(c, "SELECT count(*) FROM log WHERE id < ?", entry); err != nil {
			return err
		}
		return cutLog(c, entry)
	})
	if err != nil {
		return fmt.Errorf("forget: %w", explain(err))
	}
	return nil
}

// cutLog makes entry the first of the log. What was undone stays known, since it decides which
// merges are in effect. Commits that are being made are done again: an undo must not bring back
// what is forgotten.
func cutLog(c *sqlite3.Conn, entry int64) error {
	for _, sql := range []string{
		"INSERT INTO undone (id, undoes) SELECT id, undoes FROM log WHERE undoes IS NOT NULL AND id < ?",
		"DELETE FROM log WHERE id < ?",
		"UPDATE log SET before = NULL WHERE id = ?",
	} {
		if err := exec(c, sql, entry); err != nil {
			return err
		}
	}
	return exec(c, "UPDATE head SET generation = generation + 1")
}

// number returns the one number that a query with one parameter returns.
func number(c *sqlite3.Conn, sql string, param int64) (n int64, err error) {
	s, err := sqlite.Stmt(c, sql)
	if err != nil {
		return 0, err
	}
	if err := s.BindInt64(1, param); err != nil {
		return 0, err
	}
	if s.Step() {
		n = s.ColumnInt64(0)
	}
	return n, errors.Join(s.Err(), s.Reset())
}
