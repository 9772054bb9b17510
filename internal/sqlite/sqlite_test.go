package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// TestMain lets the tests start this binary as further processes.
func TestMain(m *testing.M) {
	if path := os.Getenv("SQLITE_TEST_COUNT"); path != "" {
		if err := countTo(path, 25); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv("SQLITE_TEST_READ"); path != "" {
		db, err := Open(path)
		if err == nil {
			err = readSome(db)
		}
		if err == nil && !db.readOnly {
			err = errors.New("open for writing")
		}
		if err == nil && !errors.Is(increment(db, true), ErrReadOnly) {
			err = errors.New("a write to a read-only database is not ErrReadOnly")
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const schema = "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY, n INTEGER) STRICT; INSERT OR IGNORE INTO counter VALUES (1, 0)"

func increment(db *DB, durable bool) error {
	return db.Write(context.Background(), durable, func(c *sqlite3.Conn) error {
		s, err := Stmt(c, "UPDATE counter SET n = n + 1")
		if err != nil {
			return err
		}
		return s.Exec()
	})
}

// countTo opens the database anew for each step, as short commands do.
func countTo(path string, n int) error {
	for i := range n {
		db, err := Open(path)
		if err != nil {
			return err
		}
		err = db.Write(context.Background(), false, func(c *sqlite3.Conn) error { return c.Exec(schema) })
		if err == nil {
			err = increment(db, i%2 == 0)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			return err
		}
	}
	return nil
}

func count(db *DB) (n int, err error) {
	err = db.Read(context.Background(), func(c *sqlite3.Conn) error {
		s, err := Stmt(c, "SELECT n FROM counter WHERE id = 1")
		if err != nil {
			return err
		}
		if s.Step() {
			n = s.ColumnInt(0)
		}
		return s.Err()
	})
	return n, err
}

func readSome(db *DB) error {
	n, err := count(db)
	if err == nil && n == 0 {
		err = errors.New("nothing in the counter")
	}
	return err
}

func newDB(t testing.TB) *DB {
	t.Helper()
	db, err := Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Write(t.Context(), true, func(c *sqlite3.Conn) error { return c.Exec(schema) }); err != nil {
		t.Fatal(err)
	}
	return db
}

func wantCount(t *testing.T, db *DB, want int) {
	t.Helper()
	if got, err := count(db); err != nil || got != want {
		t.Errorf("counter is %d, %v; want %d", got, err, want)
	}
}

func TestWriteUndoes(t *testing.T) {
	db := newDB(t)
	own := errors.New("mine")
	err := db.Write(t.Context(), true, func(c *sqlite3.Conn) error {
		if err := c.Exec("UPDATE counter SET n = 100"); err != nil {
			return err
		}
		return own
	})
	if err != own {
		t.Errorf("error of fn came back as %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic of fn did not come through")
			}
		}()
		db.Write(t.Context(), true, func(c *sqlite3.Conn) error {
			c.Exec("UPDATE counter SET n = 100")
			panic("fn")
		})
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err = db.Write(ctx, true, func(c *sqlite3.Conn) error {
		defer cancel()
		return c.Exec("UPDATE counter SET n = 100")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("write whose context ended inside: %v", err)
	}
	wantCount(t, db, 0)
	if err := increment(db, false); err != nil {
		t.Errorf("write after undone ones: %v", err)
	}
	wantCount(t, db, 1)
}

func TestReadIsOneMoment(t *testing.T) {
	db := newDB(t)
	err := db.Read(t.Context(), func(c *sqlite3.Conn) error {
		for range 2 {
			s, err := Stmt(c, "SELECT n FROM counter")
			if err != nil {
				return err
			}
			if !s.Step() || s.ColumnInt(0) != 0 {
				return fmt.Errorf("counter within a read is %d, %v", s.ColumnInt(0), s.Err())
			}
			// The statement is left in the middle on purpose.
			if err := increment(db, true); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantCount(t, db, 2)
}

// TestDurableWritesLog checks that a durable write syncs what earlier ones left, though it changes
// nothing itself: SQLite only syncs the log with a page in it.
func TestDurableWritesLog(t *testing.T) {
	db := newDB(t)
	size := func() int64 {
		info, err := os.Stat(db.Path() + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	nothing := func(*sqlite3.Conn) error { return nil }
	before := size()
	if err := db.Write(t.Context(), false, nothing); err != nil || size() != before {
		t.Errorf("an empty write: %v, log grew by %d bytes", err, size()-before)
	}
	if err := db.Write(t.Context(), true, nothing); err != nil || size() == before {
		t.Errorf("an empty durable write: %v, log grew by %d bytes", err, size()-before)
	}
}

func TestStmt(t *testing.T) {
	db := newDB(t)
	err := db.Read(t.Context(), func(c *sqlite3.Conn) error {
		a, err := Stmt(c, "SELECT ?1 IS NULL")
		if err != nil {
			return err
		}
		a.BindInt(1, 5)
		a.Step()
		b, err := Stmt(c, "SELECT ?1 IS NULL")
		if err != nil {
			return err
		}
		if a != b || !b.Step() || !b.ColumnBool(0) {
			t.Error("a statement does not come back the same, reset and unbound")
		}
		for _, bad := range []string{"", "SELECT 1; SELECT 2", "SELEC"} {
			if _, err := Stmt(c, bad); err == nil {
				t.Errorf("Stmt takes %q", bad)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClosed(t *testing.T) {
	db := newDB(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := count(db); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if err := increment(db, true); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

func TestGoroutines(t *testing.T) {
	db := newDB(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				if err := increment(db, false); err != nil {
					t.Error(err)
				}
				if _, err := count(db); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantCount(t, db, 400)
}

// TestProcesses has several processes make the same database, and open and close it at every step.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "SQLITE_TEST_COUNT="+path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	wantCount(t, db, 200)
}

func TestDamaged(t *testing.T) {
	tests := []struct {
		why    string
		damage func(data []byte) []byte
	}{
		{"no database at all", func(data []byte) []byte { return bytes.Repeat([]byte("text\n"), 2000) }},
		{"the first page is zeros", func(data []byte) []byte { clear(data[:4096]); return data }},
		{"the page of the table is zeros", func(data []byte) []byte { clear(data[4096:]); return data }},
		{"cut in the first page", func(data []byte) []byte { return data[:1000] }},
		{"cut after the first page", func(data []byte) []byte { return data[:4096] }},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			db := newDB(t)
			if err := increment(db, true); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(db.Path())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(db.Path(), test.damage(data), 0o666); err != nil {
				t.Fatal(err)
			}
			again, err := Open(db.Path())
			if err == nil {
				defer again.Close()
				_, err = count(again)
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), db.Path()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFull(t *testing.T) {
	db := newDB(t)
	err := db.Write(t.Context(), true, func(c *sqlite3.Conn) error {
		if err := c.Exec("PRAGMA max_page_count = 5; CREATE TABLE big (b BLOB)"); err != nil {
			return err
		}
		return c.Exec("INSERT INTO big VALUES (zeroblob(100000))")
	})
	if !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	if err := classify(&fs.PathError{Op: "write", Path: "elsewhere", Err: syscall.ENOSPC}); errors.Is(err, ErrFull) {
		t.Error("a full disk that the database knows nothing of is named as its own")
	}
	if err := increment(db, true); err != nil {
		t.Errorf("after the transaction was undone: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none", "db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder is missing: %v", err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a folder was opened as a database")
	}
}

// copyFolder copies the files of a folder as cp does.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d files in %s, %v", len(entries), from, err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCopied opens copies of a folder, one with all of its last changes in the log as after a kill.
func TestCopied(t *testing.T) {
	db := newDB(t)
	if err := increment(db, false); err != nil {
		t.Fatal(err)
	}
	copies := []string{t.TempDir(), t.TempDir()}
	copyFolder(t, filepath.Dir(db.Path()), copies[0])
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	copyFolder(t, filepath.Dir(db.Path()), copies[1])
	for _, dir := range copies {
		again, err := Open(filepath.Join(dir, "db"))
		if err != nil {
			t.Fatal(err)
		}
		wantCount(t, again, 1)
		if err := increment(again, true); err != nil {
			t.Error(err)
		}
		again.Close()
	}
}

// TestBusyInterrupted checks that waiting for another's transaction ends with the context.
func TestBusyInterrupted(t *testing.T) {
	db := newDB(t)
	other, err := Open(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = db.Write(t.Context(), false, func(*sqlite3.Conn) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return other.Write(ctx, false, func(*sqlite3.Conn) error { return nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestReadOnlyError checks what a write to a database that SQLite itself will not write to returns.
func TestReadOnlyError(t *testing.T) {
	db := newDB(t)
	err := db.Write(t.Context(), false, func(c *sqlite3.Conn) error {
		return c.Exec("PRAGMA query_only = ON; UPDATE counter SET n = 5")
	})
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v", err)
	}
}
