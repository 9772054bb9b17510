package cmd_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"
)

const (
	// writerVariable has the file of the database for the process that writes rows, and
	// journalVariable how.
	writerVariable  = "ARCHIVECACHE_TEST_DATABASE"
	journalVariable = "ARCHIVECACHE_TEST_JOURNAL"
	// databaseRounds is how often the writer is killed, in each mode.
	databaseRounds = 5
	// rowsInBetween is how many rows are acknowledged before that, at least.
	rowsInBetween = 25
)

// TestMountDatabaseWriter is no test: it is the process that is killed. It prints the number of each
// row once it is committed.
func TestMountDatabaseWriter(t *testing.T) {
	file := os.Getenv(writerVariable)
	if file == "" {
		t.Skip("it is the process of other tests")
	}
	db := openDatabase(t, file)
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode=" + os.Getenv(journalVariable)).Scan(&mode); err != nil || !strings.EqualFold(mode, os.Getenv(journalVariable)) {
		t.Fatalf("the journal mode is %s, %v", mode, err)
	}
	for _, pragma := range []string{"synchronous=FULL", "wal_autocheckpoint=20"} {
		if _, err := db.Exec("PRAGMA " + pragma); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	for {
		result, err := db.Exec("INSERT INTO rows (text) SELECT 'row ' || (coalesce(max(id), 0) + 1) || hex(zeroblob(3000)) FROM rows")
		if err != nil {
			t.Fatal(err)
		}
		id, err := result.LastInsertId()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("row %d\n", id)
	}
}

func openDatabase(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// A writer is a process that writes rows.
type writer struct {
	cmd  *exec.Cmd
	rows *bufio.Scanner
	last int // that was acknowledged
}

func (m *mounting) startWriter(file, mode string) *writer {
	m.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMountDatabaseWriter$")
	cmd.Env = append(os.Environ(), "ARCHIVECACHE_BIN="+bin, writerVariable+"="+m.path(file), journalVariable+"="+mode)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { cmd.Process.Kill() })
	return &writer{cmd: cmd, rows: bufio.NewScanner(out)}
}

// read reads what is acknowledged, at most so many rows; it reports whether there are as many.
func (w *writer) read(rows int) bool {
	for ; rows > 0 && w.rows.Scan(); rows-- {
		if digits, ok := strings.CutPrefix(w.rows.Text(), "row "); ok {
			w.last, _ = strconv.Atoi(digits)
		}
	}
	return rows == 0
}

// finish reads to the end of what the process has said.
func (w *writer) finish() int {
	for w.read(1) {
	}
	w.cmd.Wait()
	return w.last
}

// checkRows checks a database: it is sound, and has all rows that were acknowledged.
func (m *mounting) checkRows(file string, last int) {
	m.Helper()
	db := openDatabase(m.T, m.path(file))
	defer db.Close()
	var sound string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
		m.Fatalf("the integrity check says %q, %v", sound, err)
	}
	var rows, most int
	if err := db.QueryRow("SELECT count(*), coalesce(max(id), 0) FROM rows WHERE text LIKE 'row ' || id || '000%' AND length(text) > 6000").Scan(&rows, &most); err != nil {
		m.Fatal(err)
	}
	if rows < last || rows != most {
		m.Fatalf("there are %d rows up to %d, and %d were acknowledged", rows, most, last)
	}
}

func inModes(t *testing.T, test func(m *mounting, mode string)) {
	for _, mode := range []string{"DELETE", "TRUNCATE", "PERSIST", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			m := newMount(t)
			m.mkdir("root/mine")
			test(m, mode)
			m.unmount()
			m.fsck()
		})
	}
}

// TestMountDatabaseKilled kills who writes to a database in the mount, again and again.
func TestMountDatabaseKilled(t *testing.T) {
	inModes(t, func(m *mounting, mode string) {
		for round := range databaseRounds {
			w := m.startWriter("root/mine/db", mode)
			if !w.read(rowsInBetween) {
				m.Fatal("the writer ended")
			}
			w.cmd.Process.Kill()
			m.checkRows("root/mine/db", w.finish())
			if round == databaseRounds/2 {
				m.remount()
				m.checkRows("root/mine/db", w.last)
			}
		}
	})
}

// TestMountKilledUnderDatabase kills the mount while a database in it is written to, and mounts
// again.
func TestMountKilledUnderDatabase(t *testing.T) {
	inModes(t, func(m *mounting, mode string) {
		for round := range databaseRounds {
			w := m.startWriter("root/mine/db", mode)
			if !w.read(rowsInBetween + round) {
				m.Fatal("the writer ended")
			}
			m.crash()
			last := w.finish()
			m.start()
			m.checkRows("root/mine/db", last)
		}
	})
}

// TestMountKilled kills the mount while files are made, renamed, written to and removed. All that a
// call has returned from is there.
func TestMountKilled(t *testing.T) {
	inFolders(t, func(m *mounting, dir string) {
		next := 0
		for round := range 4 {
			ended := time.AfterFunc(time.Duration(200+150*round)*time.Millisecond, func() { m.cmd.Process.Kill() })
			for m.step(dir, next) == nil {
				next++
			}
			ended.Stop()
			<-m.ended
			m.start()
			for i := range next {
				m.wantFile(fmt.Sprintf("%s/d%d/file", dir, i), fmt.Sprintf("file %d, written twice", i))
			}
			os.RemoveAll(m.path(fmt.Sprintf("%s/d%d", dir, next))) // half of a step
			os.RemoveAll(m.path(fmt.Sprintf("%s/tmp%d", dir, next)))
		}
		if next < 40 {
			m.Errorf("only %d steps were done", next)
		}
		if entries, err := os.ReadDir(m.path(dir)); err != nil || len(entries) != next {
			m.Errorf("%d folders, %v; there should be %d", len(entries), err, next)
		}
	})
}

// step does something in several steps, of which the last makes it count.
func (m *mounting) step(dir string, i int) error {
	tmp := m.path(fmt.Sprintf("%s/tmp%d", dir, i))
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(tmp+"/part", fmt.Appendf(nil, "file %d", i), 0o644); err != nil {
		return err
	}
	f, err := os.OpenFile(tmp+"/part", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(", written twice"); err != nil {
		return err
	}
	if err := os.Rename(tmp+"/part", tmp+"/file"); err != nil {
		return err
	}
	return os.Rename(tmp, m.path(fmt.Sprintf("%s/d%d", dir, i)))
}
