package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// setup is what every connection starts with. The page size only counts for a new file.
// A schema from elsewhere must not run anything: a repository may be a copied folder.
const setup = `
PRAGMA page_size = 4096;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 1000;
PRAGMA journal_size_limit = 16777216;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
`

// conn is a connection and what it is set to.
type conn struct {
	*sqlite3.Conn
	full   bool // synchronous is FULL
	broken bool // the state of the transaction is unknown: close it
}

// connect opens a connection for reading and writing.
func connect(path string) (*conn, error) {
	_, noWal := os.Lstat(path + "-wal")
	c, err := open(path, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return nil, err
	}
	err = c.enterWAL()
	if err == nil && noWal != nil {
		err = syncDir(path) // the log is new, and must be found again with what will be in it
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func open(name string, flags sqlite3.OpenFlag) (*conn, error) {
	raw, err := sqlite3.OpenFlags(name, flags)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw}
	if err := c.configure(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *conn) configure() error {
	if err := c.BusyTimeout(BusyTimeout); err != nil {
		return err
	}
	for _, op := range []sqlite3.DBConfig{sqlite3.DBCONFIG_ENABLE_TRIGGER, sqlite3.DBCONFIG_ENABLE_VIEW} {
		if _, err := c.Config(op, false); err != nil {
			return err
		}
	}
	if err := c.Exec(setup); err != nil {
		return err
	}
	// The last one to close moves the log into the database and empties it, but leaves the file:
	// making it anew in each command would cost as much as the rest of opening.
	_, err := c.FileControl("main", sqlite3.FCNTL_PERSIST_WAL, true)
	return err
}

// enterWAL puts a new database into WAL mode; in one that is there it reads the first page. SQLite
// gives up at once where two connections that do this at the same time would wait for each other.
func (c *conn) enterWAL() error {
	for begin := time.Now(); ; {
		err := c.Exec("PRAGMA journal_mode = WAL; SELECT 1 FROM sqlite_schema LIMIT 1")
		busy := errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.PROTOCOL)
		if !busy || time.Since(begin) > BusyTimeout {
			return err
		}
		time.Sleep(rand.N(5 * time.Millisecond))
	}
}

// connectReadOnly opens a connection to a database that cannot be written to. While others
// have it open it works as any; else what the log holds could not be read without
// writing the shared index beside it, so the log has to be empty.
func connectReadOnly(path string) (*conn, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	c, err := open(path, sqlite3.OPEN_READONLY)
	if err == nil {
		if err = c.Exec("SELECT 1 FROM sqlite_schema LIMIT 1"); err == nil {
			return c, nil
		}
		c.close()
	}
	if info, serr := os.Stat(path + "-wal"); serr == nil && info.Size() > 0 {
		return nil, fmt.Errorf("in a folder that cannot be written to, with changes in its log: %w", err)
	} else if serr != nil && !errors.Is(serr, fs.ErrNotExist) {
		return nil, serr
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: "immutable=1"}
	return open(u.String(), sqlite3.OPEN_READONLY|sqlite3.OPEN_URI)
}

// write runs fn in a write transaction.
func (c *conn) write(ctx context.Context, durable bool, fn func(*sqlite3.Conn) error) error {
	if err := c.setFull(durable); err != nil {
		return &opError{err}
	}
	before := c.TotalChanges()
	return c.transact(ctx, "BEGIN IMMEDIATE", func(raw *sqlite3.Conn) error {
		if err := fn(raw); err != nil {
			return err
		}
		if !durable || c.TotalChanges() != before {
			return nil
		}
		return c.touch()
	})
}

// touch writes a page without changing it: a transaction that has written nothing does not
// sync the log either, and those before it may need that.
func (c *conn) touch() error {
	s, err := Stmt(c.Conn, "PRAGMA user_version")
	if err != nil {
		return &opError{err}
	}
	s.Step()
	version := s.ColumnInt(0)
	if err := s.Reset(); err != nil {
		return &opError{err}
	}
	if err := c.Exec(fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return &opError{err}
	}
	return nil
}

func (c *conn) setFull(full bool) error {
	if c.full == full {
		return nil
	}
	level := "NORMAL"
	if full {
		level = "FULL"
	}
	if err := c.Exec("PRAGMA synchronous = " + level); err != nil {
		return err
	}
	c.full = full
	return nil
}

// transact runs begin, fn and COMMIT, or ROLLBACK if anything fails or panics.
func (c *conn) transact(ctx context.Context, begin string, fn func(*sqlite3.Conn) error) error {
	c.SetInterrupt(ctx)
	defer c.SetInterrupt(context.Background())
	if err := c.run(begin); err != nil {
		return &opError{err}
	}
	committed := false
	defer func() {
		if !committed {
			c.rollback()
		}
	}()
	if err := fn(c.Conn); err != nil {
		return err
	}
	c.resetAll()
	if err := ctx.Err(); err != nil {
		return &opError{err}
	}
	c.SetInterrupt(context.Background()) // from here on it is decided by the disk alone
	if err := c.run("COMMIT"); err != nil {
		return &opError{err}
	}
	committed = true
	return nil
}

func (c *conn) rollback() {
	c.SetInterrupt(context.Background())
	c.resetAll()
	if c.GetAutocommit() {
		return // some errors undo the transaction by themselves
	}
	c.broken = c.run("ROLLBACK") != nil
}

// resetAll ends statements that fn left in the middle: they would hold the transaction open.
func (c *conn) resetAll() {
	for s := range c.Stmts() {
		if s.Busy() {
			s.Reset() // returns the error of the last step again, which fn has seen
		}
	}
}

func (c *conn) run(sql string) error {
	s, err := Stmt(c.Conn, sql)
	if err != nil {
		return err
	}
	return s.Exec()
}

func (c *conn) close() error {
	for {
		var last *sqlite3.Stmt
		for s := range c.Stmts() {
			last = s
		}
		if last == nil {
			return c.Close()
		}
		last.Close() // returns the error of its last step again
	}
}

// Stmt returns the prepared statement of sql on c, reset and without what was bound before; it is
// prepared once for each connection. The same text gives the same statement, so two uses of it
// must not overlap. The caller must not close it.
func Stmt(c *sqlite3.Conn, sql string) (*sqlite3.Stmt, error) {
	for s := range c.Stmts() {
		if s.SQL() == sql {
			s.Reset() // returns the error of its last step again
			return s, s.ClearBindings()
		}
	}
	s, tail, err := c.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err == nil && (s == nil || tail != "") {
		s.Close()
		err = errors.New("not a single statement")
	}
	if err != nil {
		return nil, fmt.Errorf("prepare a statement: %w", err)
	}
	return s, nil
}
