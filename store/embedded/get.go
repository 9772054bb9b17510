package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"archivecache/internal/sqlite"
	"archivecache/store"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// row is what the database says of a block.
type row struct {
	found          bool
	length, offset int64
	segment        string // name of the file; "" if the bytes are in data
	data           []byte
}

// Get returns the bytes of the block c, verified, or a [*store.MissingError]. If what is stored
// are other bytes, or too few, the error is a [*store.MismatchError] and says where they are.
func (s *Store) Get(ctx context.Context, c cid.Cid) (data []byte, err error) {
	d, err := store.DigestOf(c)
	if err == nil {
		if data, ok := s.cache.get(d); ok {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("get block %s: %w", c, err)
			}
			return data, nil
		}
	}
	err = s.GetMany(ctx, []cid.Cid{c}, func(_ int, got []byte, err error) error {
		data = got
		return err
	})
	if err == nil && len(data) <= maxCached {
		s.cache.put(d, data)
	}
	return data, err
}

// GetMany calls fn, in order, with what Get returns of each block: its bytes, which are valid until
// fn returns, or an error. All are looked up in one transaction, which is over when fn is called
// first, and the small ones of them are in memory together. It ends with the first error of fn,
// which it returns as it is.
func (s *Store) GetMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error {
	rows, err := s.find(ctx, cids)
	var buf []byte // for one block after the other
	for i, c := range cids {
		var data []byte
		rowErr := err
		if rowErr == nil {
			data, rowErr = s.bytes(ctx, c, &rows[i], &buf)
		} else {
			rowErr = fmt.Errorf("get block %s: %w", c, err)
		}
		if err := fn(i, data, rowErr); err != nil {
			return err
		}
	}
	return nil
}

// maxMoves is how often a block is looked up again because its segment file went away just then.
const maxMoves = 5

// bytes returns the bytes of a block whose row is known, in buf if they come from a file. Where
// the file is gone the row is looked up again: a sweep may have moved the block, or dropped it.
func (s *Store) bytes(ctx context.Context, c cid.Cid, r *row, buf *[]byte) ([]byte, error) {
	for range maxMoves {
		data, err := s.bytesAt(c, r, buf)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
		again, findErr := s.find(ctx, []cid.Cid{c})
		if findErr != nil {
			return nil, fmt.Errorf("get block %s: %w", c, findErr)
		}
		if again[0].segment == r.segment {
			break
		}
		*r = again[0]
	}
	return s.bytesAt(c, r, buf)
}

func (s *Store) bytesAt(c cid.Cid, r *row, buf *[]byte) ([]byte, error) {
	if data, ok := store.Identity(c); ok {
		return data, nil
	}
	if _, err := store.DigestOf(c); err != nil {
		return nil, err
	}
	if !r.found {
		return nil, &store.MissingError{Cid: c}
	}
	if r.segment != "" {
		return s.files.read(c, r, buf)
	}
	data := r.data
	r.data = nil
	if err := store.Verify(c, data); err != nil {
		return nil, fmt.Errorf("in database %s: %w", s.db.Path(), err)
	}
	return data, nil
}

// find returns the rows of blocks; those that need none, or have none, stay not found.
func (s *Store) find(ctx context.Context, cids []cid.Cid) ([]row, error) {
	type wanted struct {
		digest store.Digest
		place  int
	}
	rows, todo := make([]row, len(cids)), make([]wanted, 0, len(cids))
	for i, c := range cids {
		if d, err := store.DigestOf(c); err == nil {
			todo = append(todo, wanted{d, i})
		}
	}
	if len(todo) == 0 {
		return rows, nil
	}
	// In the order of their hashes they meet the pages of the index in order too.
	slices.SortFunc(todo, func(a, b wanted) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	return rows, s.db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, `SELECT b.segment IS NOT NULL, b.length, b.offset, s.name, b.data
			FROM block b LEFT JOIN segment s ON s.id = b.segment WHERE b.hash = ?`)
		for i := range todo {
			if err == nil {
				err = rows[todo[i].place].read(q, &todo[i].digest)
			}
		}
		return err
	})
}

// read looks up one row.
func (r *row) read(q *sqlite3.Stmt, d *store.Digest) error {
	if err := q.BindBlob(1, d[:]); err != nil {
		return err
	}
	if q.Step() {
		r.found, r.length, r.offset = true, q.ColumnInt64(1), q.ColumnInt64(2)
		if !q.ColumnBool(0) {
			r.data = q.ColumnBlob(4, nil)
		} else if r.segment = q.ColumnText(3); r.segment == "" {
			return errors.New("its segment has no name")
		}
	}
	return q.Reset()
}
