package repo

import (
	"context"
	"errors"
	"time"

	"archivecache/internal/sqlite"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// Attributes are what a workspace shows of a file, symlink or directory besides what is published.
// They stay in the repository, and count for as long as the same content stands there.
type Attributes struct {
	Cid   cid.Cid // the content; undefined for a directory
	Mode  uint32  // permission bits 0777
	Mtime time.Time
}

// Attributes returns what is known of the things in the directory at a path of the tree, by name.
func (r *Repo) Attributes(ctx context.Context, dir string) (map[string]Attributes, error) {
	all := map[string]Attributes{}
	err := r.db.Read(ctx, func(c *sqlite3.Conn) error {
		clear(all)
		s, err := sqlite.Stmt(c, "SELECT name, cid, mode, mtime FROM attribute WHERE dir = ?")
		if err != nil {
			return err
		}
		if err := s.BindBlob(1, []byte(dir)); err != nil {
			return err
		}
		for s.Step() {
			name, a, err := scanAttributes(s)
			if err != nil {
				return errors.Join(err, s.Reset())
			}
			all[name] = a
		}
		return errors.Join(s.Err(), s.Reset())
	})
	return all, explain(err)
}

// Recorded are attributes and where they belong: a name in the directory at a path of the tree.
type Recorded struct {
	Dir, Name string
	Attributes
}

// AttributesSince returns what was recorded after the commit that h is of.
func (r *Repo) AttributesSince(ctx context.Context, h Head) (all []Recorded, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		all = nil
		s, err := sqlite.Stmt(c, "SELECT name, cid, mode, mtime, dir FROM attribute WHERE generation > ?")
		if err != nil {
			return err
		}
		if err := s.BindInt64(1, h.generation); err != nil {
			return err
		}
		for s.Step() {
			name, a, err := scanAttributes(s)
			if err != nil {
				return errors.Join(err, s.Reset())
			}
			all = append(all, Recorded{string(s.ColumnBlob(4, nil)), name, a})
		}
		return errors.Join(s.Err(), s.Reset())
	})
	return all, explain(err)
}

func scanAttributes(s *sqlite3.Stmt) (name string, a Attributes, err error) {
	a = Attributes{Mode: uint32(s.ColumnInt64(2)) & 0o777, Mtime: time.Unix(0, s.ColumnInt64(3))}
	if data := s.ColumnBlob(1, nil); data != nil {
		a.Cid, err = cid.Cast(data)
	}
	return string(s.ColumnBlob(0, nil)), a, err
}

// SetAttributes records the attributes of what stands under a name in the directory at a path.
func (tx *Tx) SetAttributes(dir, name string, a Attributes) {
	var content any
	if a.Cid.Defined() {
		content = a.Cid.Bytes()
	}
	tx.attributes = append(tx.attributes, func(c *sqlite3.Conn) error {
		return exec(c, "INSERT OR REPLACE INTO attribute (dir, name, cid, mode, mtime, generation) VALUES (?, ?, ?, ?, ?, ?)",
			[]byte(dir), []byte(name), content, int64(a.Mode), nanoseconds(a.Mtime), tx.head.generation+1)
	})
}

// nanoseconds returns a time since 1970; one that is too far off for that becomes the nearest.
func nanoseconds(t time.Time) int64 {
	const far = 9_000_000_000 // seconds: the year 2255
	switch s := t.Unix(); {
	case s > far:
		return far * 1_000_000_000
	case s < -far:
		return -far * 1_000_000_000
	}
	return t.UnixNano()
}

// ForgetAttributes drops the attributes of what stood under a name, and below it.
func (tx *Tx) ForgetAttributes(dir, name string) {
	tx.attributes = append(tx.attributes, func(c *sqlite3.Conn) error { return forgetAttributes(c, dir, name) })
}

func forgetAttributes(c *sqlite3.Conn, dir, name string) error {
	at := dir + "/" + name
	if err := exec(c, "DELETE FROM attribute WHERE dir = ? AND name = ?", []byte(dir), []byte(name)); err != nil {
		return err
	}
	return exec(c, "DELETE FROM attribute WHERE dir = ? OR dir > ? AND dir < ?", []byte(at), []byte(at+"/"), []byte(at+"0"))
}

// MoveAttributes records that what stood under one name stands under another, with all below it.
func (tx *Tx) MoveAttributes(dir, name, toDir, toName string) {
	from, to := dir+"/"+name, toDir+"/"+toName
	tx.attributes = append(tx.attributes, func(c *sqlite3.Conn) error {
		if err := forgetAttributes(c, toDir, toName); err != nil {
			return err
		}
		err := exec(c, "UPDATE attribute SET dir = ?, name = ?, generation = ? WHERE dir = ? AND name = ?",
			[]byte(toDir), []byte(toName), tx.head.generation+1, []byte(dir), []byte(name))
		if err != nil {
			return err
		}
		return exec(c, "UPDATE attribute SET dir = CAST(? || substr(dir, ?) AS BLOB) WHERE dir = ? OR dir > ? AND dir < ?",
			[]byte(to), int64(len(from)+1), []byte(from), []byte(from+"/"), []byte(from+"0"))
	})
}

// writeAttributes does what was recorded, in that order.
func (tx *Tx) writeAttributes(c *sqlite3.Conn) error {
	for _, step := range tx.attributes {
		if err := step(c); err != nil {
			return err
		}
	}
	return nil
}
