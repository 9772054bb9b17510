package repo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"archivecache/dag"
	"archivecache/internal/sqlite"
	"archivecache/store"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// Roots calls fn with everything that has to stay, together with what is below it: the trees of the
// head and of the log, what marks point to, the nodes that were merged, and what was imported since
// the given time. All are as of one moment. fn must not use the repository.
func (r *Repo) Roots(ctx context.Context, since time.Time, fn func(cid.Cid) error) error {
	err := r.db.Read(ctx, func(c *sqlite3.Conn) error {
		return errors.Join(
			eachCid(c, "SELECT cid, NULL, NULL FROM head", nil, fn),
			eachCid(c, "SELECT cid, before, root FROM log", nil, fn),
			eachCid(c, "SELECT node, NULL, NULL FROM merged", nil, fn),
			eachCid(c, "SELECT cid, NULL, NULL FROM imported WHERE time >= ?", since.Unix(), fn),
			eachMarked(c, fn),
		)
	})
	if err != nil {
		return fmt.Errorf("what has to stay: %w", explain(err))
	}
	return nil
}

// eachCid calls fn with the CIDs that a query returns in its three columns. Its parameter is param,
// unless that is nil.
func eachCid(c *sqlite3.Conn, sql string, param any, fn func(cid.Cid) error) error {
	s, err := sqlite.Stmt(c, sql)
	if err == nil && param != nil {
		err = bind(s, 1, param)
	}
	for err == nil && s.Step() {
		for column := range 3 {
			if data := s.ColumnBlob(column, nil); err == nil && data != nil {
				err = castTo(fn)(data)
			}
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(s.Err(), s.Reset())
}

func castTo(fn func(cid.Cid) error) func([]byte) error {
	return func(data []byte) error {
		c, err := cid.Cast(data)
		if err != nil {
			return err
		}
		return fn(c)
	}
}

// eachMarked calls fn with what the references of all marks point to, and with their own blocks,
// which need not be there.
func eachMarked(c *sqlite3.Conn, fn func(cid.Cid) error) error {
	s, err := sqlite.Stmt(c, "SELECT reference, pending FROM mark")
	for err == nil && s.Step() {
		for column := range 2 {
			if data := s.ColumnRawBlob(column); err == nil && len(data) > 0 {
				own := store.Sum(cid.DagCBOR, data)
				err = errors.Join(fn(own), dag.RawLinks(own, data, castTo(fn)))
			}
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(s.Err(), s.Reset())
}

// RecordImport lets sweeps pass over blocks that were imported just now, with what is below them,
// as long as their import is not longer ago than is asked for: nothing may point to them until they
// are merged.
func (r *Repo) RecordImport(ctx context.Context, roots []cid.Cid) error {
	if err := r.BeginWriting(ctx); err != nil {
		return err
	}
	err := r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		for _, root := range roots {
			if err := exec(c, "INSERT OR REPLACE INTO imported (cid, time) VALUES (?, ?)", root.Bytes(), time.Now().Unix()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the import: %w", explain(err))
	}
	return nil
}

// Measure returns what a sweep would drop that keeps what keep wants.
func (r *Repo) Measure(ctx context.Context, keep func(store.Digest) bool) (store.Swept, error) {
	swept, err := r.store.Measure(ctx, keep)
	return swept, explain(err)
}

// Sweep drops all blocks that keep does not want. First it waits until nobody writes, for a minute;
// then it calls last, after which nothing changes in what has to stay, and others wait who want to
// write. Imports before since are forgotten.
func (r *Repo) Sweep(ctx context.Context, since time.Time, last func() error, keep func(store.Digest) bool) (swept store.Swept, err error) {
	var compact func(context.Context) error
	err = r.alone(ctx, func() error {
		if err := last(); err != nil {
			return err
		}
		err := r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
			return exec(c, "DELETE FROM imported WHERE time < ?", since.Unix())
		})
		if err == nil {
			swept, compact, err = r.store.Sweep(ctx, keep)
		}
		return err
	})
	if err == nil {
		err = r.BeginWriting(ctx) // the copies of blocks are garbage to other sweeps
	}
	if err == nil {
		err = errors.Join(compact(ctx), r.EndWriting())
	}
	return swept, explain(err)
}

// Check reads every block from the disk and calls fn with its size and an error if it is not what
// its hash says, or cannot be read.
func (r *Repo) Check(ctx context.Context, fn func(d store.Digest, size int64, err error) error) error {
	return explain(r.store.Check(ctx, fn))
}

// CheckDatabase returns what is wrong with the inner structure of the database.
func (r *Repo) CheckDatabase(ctx context.Context) ([]string, error) {
	findings, err := r.store.CheckDatabase(ctx)
	return findings, explain(err)
}

// Drop takes damaged blocks out, so that they are fetched again, or put again.
func (r *Repo) Drop(ctx context.Context, damaged []store.Digest) error {
	return r.alone(ctx, func() error { return explain(r.store.Drop(ctx, damaged)) })
}
