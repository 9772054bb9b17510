package embedded

import (
	"context"
	"errors"
	"fmt"

	"archivecache/internal/sqlite"
	"archivecache/store"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// checkBatch is how many blocks are looked up at a time when all are read.
const checkBatch = 64

// Check reads every block from the disk, in the order in which they came, and calls fn with its
// size and an error if it is not what its hash says, or cannot be read.
func (s *Store) Check(ctx context.Context, fn func(d store.Digest, size int64, err error) error) error {
	for after, more := int64(0), true; more; {
		var rows []scanned
		err := s.eachRow(ctx, after, func(r *scanned) { rows = append(rows, *r) })
		if err != nil {
			return fmt.Errorf("check blocks: %w", err)
		}
		more = len(rows) > 0
		for len(rows) > 0 {
			part := rows[:min(checkBatch, len(rows))]
			rows, after = rows[len(part):], part[len(part)-1].id
			if err := s.checkRows(ctx, part, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) checkRows(ctx context.Context, rows []scanned, fn func(store.Digest, int64, error) error) error {
	cids := make([]cid.Cid, len(rows))
	for i := range rows {
		cids[i] = store.RawCid(rows[i].digest)
	}
	return s.GetMany(ctx, cids, func(i int, _ []byte, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil // swept meanwhile
		}
		return fn(rows[i].digest, rows[i].length, err)
	})
}

// CheckDatabase returns what is wrong with the inner structure of the database, at most a hundred
// findings.
func (s *Store) CheckDatabase(ctx context.Context) ([]string, error) { return s.db.Check(ctx) }

// Drop takes blocks out, such as damaged ones, so that they count as missing and can be put again.
// As with [Store.Sweep], no Writer may be at work.
func (s *Store) Drop(ctx context.Context, digests []store.Digest) error {
	err := s.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, "DELETE FROM block WHERE hash = ?")
		for i := range digests {
			if err == nil {
				err = errors.Join(q.BindBlob(1, digests[i][:]), q.Exec())
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("drop %d blocks: %w", len(digests), err)
	}
	return nil
}
