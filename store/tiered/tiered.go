// Package tiered keeps blocks in two tiers: all of them in a [Remote], such as an IPFS daemon, and
// those that trees are made of, which a merge reads again and again, in an embedded store as well.
//
// # Table
//
//	remote(hash BLOB PRIMARY KEY, length INTEGER)
//
// A row of remote is a block that this store has put into the remote, where it is kept. What
// others have put there does not count as there: they may take it away again.
//
// # Order of writing
//
// A block is durable in the remote before a row says that it is there, and the rows of a batch, its
// small blocks and what its caller adds are one transaction.
package tiered

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/embedded"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// Schema makes the table, if it is not there.
const Schema = `CREATE TABLE IF NOT EXISTS remote (hash BLOB PRIMARY KEY, length INTEGER NOT NULL) STRICT, WITHOUT ROWID;`

// A Remote keeps blocks elsewhere. What a Commit of one of its writers has made durable it keeps.
type Remote interface {
	store.Getter
	// GetMany calls fn with what Get returns of each block, in any order. The bytes are valid
	// until fn returns.
	GetMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error
	Writer() store.Writer
	io.Closer
}

// A Store is a [store.Store] over two tiers.
type Store struct {
	db      *sqlite.DB
	local   *embedded.Store
	connect func(context.Context) (Remote, error)

	mu     sync.Mutex
	remote Remote // nil until it is needed
}

var _ store.Store = (*Store)(nil)

// New returns the store whose table and upper tier are in db. Connect is called when the remote is
// needed first, so that it need not be there for what the upper tier can do alone. The caller
// closes local and db, after the store.
func New(db *sqlite.DB, local *embedded.Store, connect func(context.Context) (Remote, error)) *Store {
	return &Store{db: db, local: local, connect: connect}
}

// Remote returns the lower tier, which it connects to if need be.
func (s *Store) Remote(ctx context.Context) (Remote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.remote == nil {
		remote, err := s.connect(ctx)
		if err != nil {
			return nil, err
		}
		s.remote = remote
	}
	return s.remote, nil
}

// Close closes the connection to the remote.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.remote == nil {
		return nil
	}
	return s.remote.Close()
}

// Get implements [store.Getter].
func (s *Store) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := s.local.Get(ctx, c)
	if !errors.Is(err, store.ErrNotFound) {
		return data, err
	}
	kept, keptErr := s.kept(ctx, []cid.Cid{c})
	if keptErr != nil || !kept[0] {
		return nil, errors.Join(keptErr, err)
	}
	remote, err := s.Remote(ctx)
	if err != nil {
		return nil, fmt.Errorf("get block %s: %w", c, err)
	}
	return remote.Get(ctx, c)
}

// GetMany calls fn, in any order, with what Get returns of each block: its bytes, which are valid
// until fn returns, or an error. It ends with the first error of fn, which it returns as it is.
func (s *Store) GetMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error {
	var absent []cid.Cid
	var places []int
	err := s.local.GetMany(ctx, cids, func(i int, data []byte, err error) error {
		if !errors.Is(err, store.ErrNotFound) {
			return fn(i, data, err)
		}
		absent, places = append(absent, cids[i]), append(places, i)
		return nil
	})
	if err != nil || len(absent) == 0 {
		return err
	}
	return s.getRemote(ctx, absent, func(i int, data []byte, err error) error { return fn(places[i], data, err) })
}

// getRemote is GetMany of what the upper tier does not have.
func (s *Store) getRemote(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error {
	kept, err := s.kept(ctx, cids)
	if err != nil {
		return err
	}
	var wanted []cid.Cid
	var places []int
	for i, c := range cids {
		if kept[i] {
			wanted, places = append(wanted, c), append(places, i)
		} else if err := fn(i, nil, &store.MissingError{Cid: c}); err != nil {
			return err
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	remote, err := s.Remote(ctx)
	if err != nil {
		return fmt.Errorf("get block %s: %w", wanted[0], err)
	}
	return remote.GetMany(ctx, wanted, func(i int, data []byte, err error) error { return fn(places[i], data, err) })
}

// Has implements [store.Store], by the table.
func (s *Store) Has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	has, err := s.local.Has(ctx, cids)
	if err != nil {
		return nil, err
	}
	kept, err := s.kept(ctx, cids)
	for i := range kept {
		has[i] = has[i] || kept[i]
	}
	return has, err
}

// kept says for each block whether it was put into the remote.
func (s *Store) kept(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	kept := make([]bool, len(cids))
	return kept, s.db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, "SELECT 1 FROM remote WHERE hash = ?")
		if err != nil {
			return err
		}
		for i := range cids {
			d, err := store.DigestOf(cids[i])
			if err != nil {
				continue // an identity CID, or one that no store has
			}
			if err := q.BindBlob(1, d[:]); err != nil {
				return err
			}
			kept[i] = q.Step()
			if err := q.Reset(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Kept yields the digests of all blocks that were put into the remote, as [embedded.Store.All] does.
func (s *Store) Kept(ctx context.Context) iter.Seq2[store.Digest, error] {
	return embedded.Digests(ctx, s.db, "SELECT hash FROM remote WHERE hash > ? ORDER BY hash LIMIT 1000")
}

// Keeps says whether a block was put into the remote.
func (s *Store) Keeps(ctx context.Context, c cid.Cid) (bool, error) {
	kept, err := s.kept(ctx, []cid.Cid{c})
	return kept[0], err
}

// Unwanted counts the blocks that were put into the remote and that keep does not want, and forgets
// them if it is told to: they are not there any more then, for this store. No Writer may be at work
// while it does.
func (s *Store) Unwanted(ctx context.Context, keep func(store.Digest) bool, forget bool) (swept store.Swept, err error) {
	var unwanted []store.Digest
	for d, err := range s.Kept(ctx) {
		if err != nil {
			return swept, err
		}
		if !keep(d) {
			unwanted = append(unwanted, d)
		}
	}
	err = s.db.Read(ctx, func(c *sqlite3.Conn) error {
		swept = store.Swept{}
		return eachRow(c, "SELECT length FROM remote WHERE hash = ?", unwanted, func(q *sqlite3.Stmt) {
			swept.Blocks, swept.Bytes = swept.Blocks+1, swept.Bytes+q.ColumnInt64(0)
		})
	})
	if err != nil || !forget {
		return swept, err
	}
	return swept, s.Forget(ctx, unwanted)
}

// Forget takes blocks out of the table, as those that the remote has lost: they are not there for
// this store until they are put again.
func (s *Store) Forget(ctx context.Context, digests []store.Digest) error {
	return s.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		return eachRow(c, "DELETE FROM remote WHERE hash = ?", digests, func(*sqlite3.Stmt) {})
	})
}

// eachRow runs a statement with each of the digests, and calls fn with each row.
func eachRow(c *sqlite3.Conn, sql string, digests []store.Digest, fn func(*sqlite3.Stmt)) error {
	q, err := sqlite.Stmt(c, sql)
	if err != nil {
		return err
	}
	for i := range digests {
		if err := q.BindBlob(1, digests[i][:]); err != nil {
			return err
		}
		for q.Step() {
			fn(q)
		}
		if err := errors.Join(q.Err(), q.Reset()); err != nil {
			return err
		}
	}
	return nil
}
