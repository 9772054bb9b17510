// Package sqlite opens the database file of a repository and runs short transactions on it.
//
// The file is an ordinary SQLite 3 database in WAL mode: any SQLite reads it. Beside it stand
// FILE-wal, which may hold committed transactions and belongs to it, and FILE-shm, which is
// scratch. A copy of all of them made while nobody has the database open is a database;
// a copy without FILE-wal may lack the newest commits, so copy the folder.
//
// Any number of processes may have the same file open. Readers never wait for writers. Writers
// take turns: within a process in the order they came, among processes by polling the lock of the
// database at random intervals of about a millisecond, for [BusyTimeout] at most.
//
// What a transaction changed is there for every later one, also after the process was
// killed. It survives a loss of power when it, or any later transaction of any
// process, was durable. Without that, a loss of power may undo the latest transactions, in
// the reverse of their order, and never half of one.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// BusyTimeout is how long a transaction waits for those of other processes before it fails.
const BusyTimeout = 30 * time.Second

// maxConns is how many transactions of one process run at the same time.
// Each takes some 2 MiB of memory at most.
const maxConns = 8

var (
	// ErrDamaged is a file that is not a database, or one whose inner structure is broken.
	ErrDamaged = errors.New("the database is damaged")
	// ErrFull is a transaction that failed, and was undone, because the disk is full.
	ErrFull = errors.New("the disk is full")
	// ErrReadOnly is a write to a database that could only be opened for reading.
	ErrReadOnly = errors.New("the database cannot be written to")
)

// A DB is one database file. It is safe for use by several goroutines.
type DB struct {
	path     string
	readOnly bool
	slots    chan struct{} // one element for each connection in use
	writing  chan struct{} // one element while a Write runs
	mu       sync.Mutex
	idle     []*conn // guarded by mu; the last one used comes last
	closed   bool    // guarded by mu
}

// Open opens the database at path and makes an empty one if there is none; its folder must exist.
// Several processes may do so at the same moment. A database in a folder that cannot be
// written to is opened for reading. A damaged file is [ErrDamaged].
func Open(path string) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db := &DB{path: abs, slots: make(chan struct{}, maxConns), writing: make(chan struct{}, 1)}
	c, err := connect(abs)
	if unwritable(err) {
		db.readOnly = true
		c, err = connectReadOnly(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, classify(err))
	}
	db.idle = append(db.idle, c)
	return db, nil
}

// Path returns the absolute path of the database file.
func (db *DB) Path() string { return db.path }

// Close closes the database. Transactions that still run are allowed to end.
func (db *DB) Close() error {
	db.mu.Lock()
	idle := db.idle
	db.idle, db.closed = nil, true
	db.mu.Unlock()
	var errs []error
	for _, c := range idle {
		errs = append(errs, c.close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close database %s: %w", db.path, err)
	}
	return nil
}

// Read calls fn within a read transaction: all that fn reads is from one moment. The transaction
// should be short, because the write-ahead log grows while it is open. fn
// must not keep the connection or call Read or Write of the same DB.
//
// An error of fn is returned as it is, unless it comes from a damaged database.
func (db *DB) Read(ctx context.Context, fn func(*sqlite3.Conn) error) error {
	c, err := db.acquire(ctx)
	if err != nil {
		return fmt.Errorf("read database %s: %w", db.path, err)
	}
	defer db.release(c)
	return db.explain(ctx, "read", c.transact(ctx, "BEGIN", fn))
}

// Write calls fn within a write transaction and commits it. An error or a panic of fn, or the end
// of ctx before fn returns, undoes all of it. Once fn has returned, ctx is not looked at any
// more. fn must not keep the connection or call Write of the same DB; what a Read called by fn
// sees is the state before.
//
// If durable is set, what this and all earlier transactions of all processes changed
// is on the disk when Write returns nil, even if fn changed nothing.
//
// An error of fn is returned as it is, unless it comes from a damaged database or a full disk.
// After an error of the COMMIT itself, such as a failed sync, what is on the disk is not certain.
func (db *DB) Write(ctx context.Context, durable bool, fn func(*sqlite3.Conn) error) error {
	if db.readOnly {
		return fmt.Errorf("write database %s: %w", db.path, ErrReadOnly)
	}
	select {
	case db.writing <- struct{}{}:
		defer func() { <-db.writing }()
	case <-ctx.Done():
		return fmt.Errorf("write database %s: %w", db.path, ctx.Err())
	}
	c, err := db.acquire(ctx)
	if err != nil {
		return fmt.Errorf("write database %s: %w", db.path, err)
	}
	defer db.release(c)
	return db.explain(ctx, "write", c.write(ctx, durable, fn))
}

// Vacuum writes the database anew, without its free pages. It needs as much room once more beside
// the file, and again in the folder for temporary files. Readers go on; writers wait.
func (db *DB) Vacuum(ctx context.Context) error {
	return db.alone(ctx, "vacuum", func(c *conn) error {
		// In memory it would not fit.
		return errors.Join(c.Exec("PRAGMA temp_store = FILE; VACUUM"), c.Exec("PRAGMA temp_store = MEMORY; PRAGMA wal_checkpoint(TRUNCATE)"))
	})
}

// Check returns what is wrong with the inner structure of the database, at most a hundred findings;
// nothing if it is sound. It reads all of it.
func (db *DB) Check(ctx context.Context) (findings []string, err error) {
	err = db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := Stmt(c, "PRAGMA integrity_check(100)")
		if err != nil {
			return err
		}
		for q.Step() {
			if text := q.ColumnText(0); text != "ok" {
				findings = append(findings, text)
			}
		}
		return q.Err()
	})
	return findings, err
}

// alone calls fn, outside of a transaction, while nobody of this process writes.
func (db *DB) alone(ctx context.Context, op string, fn func(*conn) error) error {
	if db.readOnly {
		return fmt.Errorf("%s database %s: %w", op, db.path, ErrReadOnly)
	}
	select {
	case db.writing <- struct{}{}:
		defer func() { <-db.writing }()
	case <-ctx.Done():
		return fmt.Errorf("%s database %s: %w", op, db.path, ctx.Err())
	}
	c, err := db.acquire(ctx)
	if err != nil {
		return fmt.Errorf("%s database %s: %w", op, db.path, err)
	}
	defer db.release(c)
	c.SetInterrupt(ctx)
	defer c.SetInterrupt(context.Background())
	if err := fn(c); err != nil {
		return db.explain(ctx, op, &opError{err})
	}
	return nil
}

// acquire returns an idle connection or a new one. Connections are all alike, so that
// a command that reads and then writes opens a single one.
func (db *DB) acquire(ctx context.Context) (*conn, error) {
	select {
	case db.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := db.take()
	if err != nil {
		<-db.slots
		return nil, classify(err)
	}
	return c, nil
}

func (db *DB) take() (*conn, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, fs.ErrClosed
	}
	if n := len(db.idle); n > 0 {
		c := db.idle[n-1]
		db.idle = db.idle[:n-1]
		return c, nil
	}
	if db.readOnly {
		return connectReadOnly(db.path)
	}
	return connect(db.path)
}

func (db *DB) release(c *conn) {
	db.mu.Lock()
	keep := !db.closed && !c.broken
	if keep {
		db.idle = append(db.idle, c)
	}
	db.mu.Unlock()
	if !keep {
		c.close() // what it did is committed or undone; nothing is left to fail
	}
	<-db.slots
}

// opError is a failure of the database itself, as opposed to one of the caller's fn.
type opError struct{ err error }

func (e *opError) Error() string { return e.err.Error() }
func (e *opError) Unwrap() error { return e.err }

// explain adds what a caller can act upon, and leaves errors of the caller's fn alone.
func (db *DB) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && (errors.Is(err, sqlite3.INTERRUPT) || errors.Is(err, sqlite3.BUSY)) {
		return fmt.Errorf("%s database %s: %w", op, db.path, ctx.Err())
	}
	known := classify(err)
	if own := (*opError)(nil); known != err || errors.As(err, &own) {
		return fmt.Errorf("%s database %s: %w", op, db.path, known)
	}
	return err
}

// classify puts one of the errors of this package in front of err where one applies.
func classify(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrDamaged), errors.Is(err, ErrFull), errors.Is(err, ErrReadOnly):
		return err
	case isSQLite(err) && errors.Is(err, sqlite3.READONLY):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case isSQLite(err) && (errors.Is(err, sqlite3.FULL) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

func isSQLite(err error) bool {
	e := (*sqlite3.Error)(nil)
	code := sqlite3.ErrorCode(0)
	return errors.As(err, &e) || errors.As(err, &code)
}

// unwritable says whether a database may be there that just cannot be opened for writing.
func unwritable(err error) bool {
	return errors.Is(err, sqlite3.READONLY) || errors.Is(err, sqlite3.CANTOPEN) ||
		errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// syncDir makes the names in the folder of path durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
