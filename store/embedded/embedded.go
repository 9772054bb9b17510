// Package embedded keeps blocks in a repository folder: an SQLite database with the index and the
// small blocks, and a folder of segment files with the others. Any number of processes may have
// the same store open; there is no daemon, and readers never wait.
//
// # Tables
//
//	block(hash BLOB UNIQUE, segment INTEGER, offset INTEGER, length INTEGER, data BLOB)
//	segment(id INTEGER PRIMARY KEY, name TEXT UNIQUE)
//
// A row of block is a block; there are no others. hash is its SHA-256 and length its size in
// bytes, at most 2 MiB. If segment is NULL, data has the bytes. Otherwise data is NULL, and the
// bytes are at offset in the file of the segment with that id. The codec of a CID is not kept:
// CIDs that differ in version or codec share a block.
//
// # Segment files
//
// A segment file is written by one [Writer] and by no other, and never again once that has ended.
// Its name is 32 lower-case hexadecimal digits, drawn at random so that it is new in every
// process and every copy of the folder, and ".seg". It begins with the 16 bytes
// "archivecache-s1\n". Then follow records without gaps:
//
//	32 bytes   SHA-256 of the block
//	 4 bytes   length of the block, big-endian
//	           the block
//
// The heads of the records are there to save blocks should the database be lost; beside that, only
// a sweep reads them. Bytes that no row names are garbage, such as what a process wrote that was
// killed, and the last record may be cut.
//
// # Order of writing
//
// A segment file is synced, and its name in the folder, before a row that names it is committed.
// So a row that can be seen has its bytes on the disk. Rows of a long batch are committed a part
// at a time, and only the last commit of a batch is durable: it makes all before it durable too.
//
// A sweep deletes the rows of blocks, and then, in a durable transaction, those of segments of
// which nothing is left; after that it removes their files, and all that no row names. Of a segment
// file with much garbage it copies what is needed into a new one, syncs that, moves the rows in a
// durable transaction, and removes the old file then. So a row that can be seen has its bytes on
// the disk here too, and what a killed sweep leaves is garbage for the next one. While rows are
// deleted no Writer may be at work, which is for the caller to see to; copying needs no care. A
// reader that finds a file gone looks the row up again. The database is written anew (VACUUM) if
// more than a quarter of it, and 4 MiB, are free; else the free pages are filled again by what comes.
//
// # Small and large
//
// Blocks under 1 KiB go into the database. So do all blocks of a batch in which the others have
// less than 64 KiB together: that saves a file and the wait for its sync.
package embedded

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"

	"archivecache/internal/sqlite"
	"archivecache/store"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

const schema = `
CREATE TABLE IF NOT EXISTS segment (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS block (
	hash BLOB NOT NULL UNIQUE,
	segment INTEGER,
	offset INTEGER,
	length INTEGER NOT NULL,
	data BLOB
) STRICT;
`

// A Store is a [store.Store] in a database and a folder of segment files.
type Store struct {
	db    *sqlite.DB
	files *files
	cache cache
}

var _ store.Store = (*Store)(nil)

// New returns the store in db, with its segment files in the folder segmentDir. It makes its
// tables if they are missing; the folder is made when it is needed. db stays the caller's, who
// closes it after the store.
func New(db *sqlite.DB, segmentDir string) (*Store, error) {
	dir, err := filepath.Abs(segmentDir)
	if err != nil {
		return nil, fmt.Errorf("open block store %s: %w", segmentDir, err)
	}
	if err := makeTables(db); err != nil {
		return nil, fmt.Errorf("open block store: %w", err)
	}
	return &Store{db: db, files: newFiles(dir)}, nil
}

func makeTables(db *sqlite.DB) error {
	ctx := context.Background()
	found := false
	err := db.Read(ctx, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'block'")
		if err != nil {
			return err
		}
		found = s.Step()
		return s.Err()
	})
	if err != nil || found {
		return err
	}
	return db.Write(ctx, true, func(c *sqlite3.Conn) error { return c.Exec(schema) })
}

// Close closes the files that are open for reading. It leaves the database open.
func (s *Store) Close() error { return s.files.close() }

// Has says for each CID whether its block is here, all as of one moment. It does not look at the
// bytes.
func (s *Store) Has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	has := make([]bool, len(cids))
	digests := make([]store.Digest, len(cids))
	for i, c := range cids {
		if _, has[i] = store.Identity(c); has[i] {
			continue
		}
		var err error
		if digests[i], err = store.DigestOf(c); err != nil {
			return nil, err
		}
	}
	if err := s.has(ctx, digests, has); err != nil {
		return nil, fmt.Errorf("has %d blocks: %w", len(cids), err)
	}
	return has, nil
}

// has sets what is not set in has and is in the database.
func (s *Store) has(ctx context.Context, digests []store.Digest, has []bool) error {
	return s.db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, "SELECT 1 FROM block WHERE hash = ?")
		if err != nil {
			return err
		}
		for i := range digests {
			if has[i] {
				continue
			}
			if err := q.BindBlob(1, digests[i][:]); err != nil {
				return err
			}
			has[i] = q.Step()
			if err := q.Reset(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Stat is how much a store holds.
type Stat struct {
	Blocks int64
	Bytes  int64 // of the blocks alone
}

// Stat counts the blocks. It reads all rows.
func (s *Store) Stat(ctx context.Context) (Stat, error) {
	var st Stat
	err := s.db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, "SELECT count(*), coalesce(sum(length), 0) FROM block")
		if err != nil {
			return err
		}
		if q.Step() {
			st = Stat{Blocks: q.ColumnInt64(0), Bytes: q.ColumnInt64(1)}
		}
		return q.Err()
	})
	if err != nil {
		return Stat{}, fmt.Errorf("count blocks: %w", err)
	}
	return st, nil
}

// All yields the digests of all blocks in ascending order, reading a thousand at a time. A block
// that is added meanwhile may be among them or not. After an error it ends.
func (s *Store) All(ctx context.Context) iter.Seq2[store.Digest, error] {
	return Digests(ctx, s.db, "SELECT hash FROM block WHERE hash > ? ORDER BY hash LIMIT 1000")
}

// Digests yields what a query returns page by page, in ascending order. Its parameter is the last
// digest of the page before.
func Digests(ctx context.Context, db *sqlite.DB, query string) iter.Seq2[store.Digest, error] {
	return func(yield func(store.Digest, error) bool) {
		var after []byte
		for {
			page, err := digestPage(ctx, db, query, after)
			if err != nil {
				yield(store.Digest{}, fmt.Errorf("list blocks: %w", err))
				return
			}
			for _, d := range page {
				if !yield(d, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
			after = page[len(page)-1][:]
		}
	}
}

func digestPage(ctx context.Context, db *sqlite.DB, query string, after []byte) (page []store.Digest, err error) {
	err = db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, query)
		if err != nil {
			return err
		}
		if after == nil {
			err = q.BindZeroBlob(1, 0)
		} else {
			err = q.BindBlob(1, after)
		}
		if err != nil {
			return err
		}
		for q.Step() {
			raw := q.ColumnRawBlob(0)
			if len(raw) != len(store.Digest{}) {
				return fmt.Errorf("%w: a hash of %d bytes", sqlite.ErrDamaged, len(raw))
			}
			page = append(page, store.Digest(raw))
		}
		return q.Err()
	})
	return page, err
}
