// Package repo is a repository on disk: one person's tree, keys and settings.
//
// # Folder
//
//	format          "archivecache 2\n"; written last, so a folder without it is no repository
//	repository.db   SQLite: head, log, marks, settings, and the small blocks (package store/embedded)
//	segments/       the large blocks, unless they are elsewhere: see below
//	keys/           private keys (package identity), never in the tree nor in a block
//	names/          IPNS names of nodes, once there are any (package exchange/name)
//	workspaces/     what was written to a mounted tree and is not committed yet (package workspace)
//	tokens/         by which pinning services know the user, if they need that; never in the tree either
//	lock            nothing; those who lost a race for the head take turns by it
//	writers, gate   nothing; by them those who write and those who sweep keep out of each other's way
//
// A copy of the folder is a repository as well. Any number of processes may use it at the same
// time; nothing runs while no command does.
//
// With a daemon as the store the format is "archivecache 3\n", and the settings store, store.api and
// store.pins say where it is and what its pins are named after (package store/tiered); store.peer is
// the daemon and store.folder this folder, by which a copy of it knows that it is one.
//
// # Commits
//
// A commit computes a new tree from the head and, in one durable transaction, adds the small
// blocks, moves the head if it is still the same, and writes the log and the marks. Large blocks
// are durable before. If the head has moved meanwhile, the change is done again on the new one.
// So what was killed has either happened or not.
//
// # Sweeping
//
// What has to stay is what hangs from the head, from the entries of the log, from what marks point
// to, from the nodes that were merged, and from what was imported of late; everything else is
// garbage, which a sweep drops. Blocks of what is not committed yet look like garbage too, so a
// sweep waits until nobody writes, and those who want to write wait until it has deleted the rows.
// Who only reads never waits.
//
// # Tables
//
//	head(id = 1, cid BLOB, entry, generation)
//	log(id, time, command, cid, before, root, undoes)
//	mark(slot BLOB, reference, pending, forked_from, proof, complete)
//	merged(author BLOB, node BLOB, entry INTEGER)
//	setting(name TEXT, value)
//	size(cid BLOB, entries, bytes)
//	undone(id, undoes)
//	imported(cid BLOB, time)
//	pinning(name TEXT, address, replicas)
//	attribute(dir BLOB, name BLOB, cid BLOB, mode, mtime, generation)
//
// CIDs are binary. The head has the tree, and the entry of the log that made it; generation
// counts all commits, also those that change marks alone, and is what compare-and-swap compares
// with them. A mark has the newest reference that was recorded of a slot, whatever became of it
// in the tree; pending is a newer one whose history could not be read yet; forked_from is one
// more than the highest epoch that is forked, and proof proves it; complete says that all content
// of reference was here. merged has the node that was merged last of each author, and the entry
// of the log by then, so that an undone merge is not done again unasked. size has how much there
// is in directories, and in trees of marks, of authors with a quota (package tree/shared). undone
// has the undos among the entries that were taken out of the log, of which the first that is left
// has no before. imported has the tops of CARs, from which all of their blocks hang, and when they
// came, in seconds since 1970. pinning has the services that keep what is published. attribute has
// modes and times of modification, in nanoseconds since 1970, which are not published (package workspace).
package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"archivecache/identity"
	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/embedded"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

const (
	formatFile   = "format"
	format       = "archivecache 2\n" // with all blocks in the folder
	formatTiered = "archivecache 3\n" // with most blocks elsewhere
	formatStart  = "archivecache "
)

// Reasons why a folder cannot be opened as a repository, or be made one.
var (
	ErrNone    = errors.New("no repository here")
	ErrExists  = errors.New("already a repository")
	ErrFormat  = errors.New("a repository of another format")
	ErrDamaged = errors.New("the repository is damaged")
)

// A Repo is an open repository. It is safe for use by several goroutines.
type Repo struct {
	dir   string
	db    *sqlite.DB
	local *embedded.Store
	store blocks

	daemon *daemon // nil unless it is the store

	writing sync.Mutex
	writers *os.File // locked from the first block on; nil before; guarded by writing
}

const schema = `
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), cid BLOB NOT NULL, entry INTEGER NOT NULL, generation INTEGER NOT NULL) STRICT;
CREATE TABLE log (
	id INTEGER PRIMARY KEY, time INTEGER NOT NULL, command TEXT NOT NULL,
	cid BLOB NOT NULL, before BLOB, root BLOB, undoes INTEGER
) STRICT;
CREATE TABLE mark (
	slot BLOB PRIMARY KEY, reference BLOB, pending BLOB, forked_from INTEGER NOT NULL, proof BLOB, complete INTEGER NOT NULL
) STRICT;
CREATE TABLE merged (author BLOB PRIMARY KEY, node BLOB NOT NULL, entry INTEGER NOT NULL) STRICT;
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE size (cid BLOB PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
` + laterSchema

// laterSchema has the tables that the first repositories of this format do not have.
const laterSchema = `
CREATE TABLE IF NOT EXISTS undone (id INTEGER PRIMARY KEY, undoes INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS imported (cid BLOB PRIMARY KEY, time INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS pinning (name TEXT PRIMARY KEY, address TEXT NOT NULL, replicas INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS attribute (
	dir BLOB NOT NULL, name BLOB NOT NULL, cid BLOB, mode INTEGER NOT NULL, mtime INTEGER NOT NULL, generation INTEGER NOT NULL,
	PRIMARY KEY (dir, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attribute_generation ON attribute (generation);
`

// Initialize makes a repository in the folder dir, which is made too unless it is there, with the
// given shared directories in its root, and its blocks where place says. What a killed Initialize
// left is used.
func Initialize(ctx context.Context, dir string, directories []reference.Founding, place Place) (*Repo, error) {
	switch _, err := os.Stat(filepath.Join(dir, formatFile)); {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", dir, ErrExists)
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("make repository: %s: it is or stands in a file, not a folder", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("make repository: %w", err)
	}
	if err := place.check(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return nil, fmt.Errorf("make repository: %w", err)
	}
	r, err := open(dir)
	if err != nil {
		return nil, err
	}
	if err := r.firstCommit(ctx, directories, place); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := writeFormat(dir, place.format()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Repo) firstCommit(ctx context.Context, directories []reference.Founding, place Place) error {
	err := r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'head'")
		if err != nil || s.Step() {
			return err
		}
		return errors.Join(s.Err(), c.Exec(schema))
	})
	if err != nil {
		return err
	}
	if head, err := r.Head(ctx); err != nil || head.Cid.Defined() {
		return err
	}
	if err := r.setPlace(ctx, place); err != nil {
		return err
	}
	return r.Update(ctx, "initialize", func(ctx context.Context, tx *Tx) error {
		empty, _ := unixfs.EmptyDir()
		if err := tx.Blocks.Put(ctx, empty); err != nil {
			return err
		}
		return tx.Tree.SetRoot(ctx, tree.NewRoot(tx.Blocks, directories))
	})
}

// writeFormat makes dir a repository: temporary file, sync, rename, sync.
func writeFormat(dir, text string) error {
	f, err := os.CreateTemp(dir, formatFile+"-*")
	if err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, formatFile))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make repository: %w", err), os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open opens the repository in the folder dir.
func Open(dir string) (*Repo, error) {
	text, err := os.ReadFile(filepath.Join(dir, formatFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", dir, ErrNone)
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("%s: %w: it is or stands in a file, not a folder", dir, ErrNone)
	case err != nil:
		return nil, fmt.Errorf("open repository: %w", err)
	case !strings.HasPrefix(string(text), formatStart):
		return nil, fmt.Errorf("%s: %w: its format file reads %.40q", dir, ErrDamaged, text)
	case string(text) != format && string(text) != formatTiered:
		return nil, fmt.Errorf("%s: %w: %.40q, and this program knows %q%s", dir, ErrFormat, text, format, leaving(string(text)))
	}
	if _, err := os.Stat(filepath.Join(dir, "repository.db")); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", dir, ErrDamaged, err)
	}
	r, err := open(dir)
	if err != nil {
		return nil, err
	}
	err = r.checkHead()
	if err == nil {
		err = r.addTables(context.Background())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), r.Close())
	}
	if string(text) == formatTiered {
		if err := r.openPlace(context.Background()); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), r.Close())
		}
	}
	return r, nil
}

// addTables makes the tables that a repository lacks that an earlier program made.
func (r *Repo) addTables(ctx context.Context) error {
	found, err := r.hasTable(ctx, "attribute") // the newest of them
	if err != nil || found {
		return explain(err)
	}
	err = r.db.Write(ctx, true, func(c *sqlite3.Conn) error { return c.Exec(laterSchema) })
	if errors.Is(err, sqlite.ErrReadOnly) {
		return nil // for most of what reads they are not needed
	}
	return explain(err)
}

func (r *Repo) hasTable(ctx context.Context, name string) (found bool, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")
		if err != nil {
			return err
		}
		if err := s.BindText(1, name); err != nil {
			return err
		}
		found = s.Step()
		return errors.Join(s.Err(), s.Reset())
	})
	return found, err
}

// leaving says how to go on with a repository of an older format.
func leaving(text string) string {
	if text == "archivecache 1\n" {
		return "; export its files and its keys with the program that wrote it, and add them to a new repository"
	}
	return ""
}

// checkHead returns an error if there is no head, as in a database that was emptied. It is there
// before the format file.
func (r *Repo) checkHead() error {
	head, err := r.Head(context.Background())
	switch {
	case errors.Is(err, sqlite3.ERROR): // such as no table of that name
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case err == nil && !head.Cid.Defined():
		return fmt.Errorf("%w: it has no head", ErrDamaged)
	}
	return err
}

func open(dir string) (*Repo, error) {
	db, err := sqlite.Open(filepath.Join(dir, "repository.db"))
	if err != nil {
		return nil, explain(err)
	}
	st, err := embedded.New(db, filepath.Join(dir, "segments"))
	if err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	return &Repo{dir: dir, db: db, local: st, store: inFolder{st}}, nil
}

func explain(err error) error {
	if errors.Is(err, sqlite.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Close closes the repository.
func (r *Repo) Close() error {
	return errors.Join(r.store.Close(), r.local.Close(), r.db.Close(), r.EndWriting())
}

// Dir returns the folder of the repository.
func (r *Repo) Dir() string { return r.dir }

// Store returns the blocks of the repository. What its Writers put stays until the Repo is closed,
// and longer if something points to it then.
func (r *Repo) Store() store.Store { return guarded{r.store, r} }

// Keys returns the private keys of the repository.
func (r *Repo) Keys() *identity.Keyring { return identity.OpenKeyring(filepath.Join(r.dir, "keys")) }

// Names returns the folder of the IPNS names, which need not be there.
func (r *Repo) Names() string { return filepath.Join(r.dir, "names") }

// A Head is the tree as of the last commit.
type Head struct {
	Cid   cid.Cid // undefined before the first commit
	Entry int64   // of the log

	// generation counts the commits, also those that change marks alone.
	generation int64
}

// Head returns the head.
func (r *Repo) Head(ctx context.Context) (h Head, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		h, err = readHead(c)
		return err
	})
	return h, explain(err)
}

func readHead(c *sqlite3.Conn) (Head, error) {
	s, err := sqlite.Stmt(c, "SELECT cid, entry, generation FROM head")
	if err != nil {
		return Head{}, err
	}
	if !s.Step() {
		return Head{}, s.Err()
	}
	h := Head{Entry: s.ColumnInt64(1), generation: s.ColumnInt64(2)}
	h.Cid, err = cid.Cast(s.ColumnBlob(0, nil))
	return h, errors.Join(err, s.Reset())
}

// Tree returns the tree of the head, for reading.
func (r *Repo) Tree(ctx context.Context) (*tree.Tree, error) {
	h, err := r.Head(ctx)
	if err != nil {
		return nil, err
	}
	return r.TreeAt(h.Cid), nil
}

// Setting returns a setting of the repository; "" if it is not set.
func (r *Repo) Setting(ctx context.Context, name string) (value string, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT value FROM setting WHERE name = ?")
		if err != nil {
			return err
		}
		if err := s.BindText(1, name); err != nil {
			return err
		}
		if s.Step() {
			value = s.ColumnText(0)
		}
		return errors.Join(s.Err(), s.Reset())
	})
	return value, explain(err)
}

// TreeOfHead is Tree, with the head that it is of.
func (r *Repo) TreeOfHead(ctx context.Context) (*tree.Tree, Head, error) {
	h, err := r.Head(ctx)
	if err != nil {
		return nil, Head{}, err
	}
	return r.TreeAt(h.Cid), h, nil
}

// TreeAt returns the tree of a version, for reading: the head, or that of an entry of the log.
func (r *Repo) TreeAt(head cid.Cid) *tree.Tree {
	blocks := store.NewOverlay(r.store)
	t := tree.Open(blocks, head)
	t.Trusts = r.trusts(tree.Open(blocks, head))
	return t
}
