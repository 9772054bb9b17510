package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"archivecache/internal/sqlite"
	"archivecache/store"

	"github.com/ncruces/go-sqlite3"
)

const (
	// sweepPage is how many rows are looked at, and deleted, in one transaction.
	sweepPage = 16 << 10
	// garbageShare is the part of a segment file, one in so many, that may be garbage before it is
	// written anew.
	garbageShare = 4
	// vacuumLeast is how many bytes of the database have to be free, beside a garbageShare of it,
	// before it is written anew.
	vacuumLeast = 4 << 20
)

// usage is what of a segment is needed.
type usage struct{ blocks, bytes int64 }

// A fate is what becomes of a segment file.
type fate struct {
	id     int64 // of its row; 0 if it has none
	name   string
	size   int64 // of the file
	needed usage
}

// garbage returns how many bytes of the file no block needs.
func (f *fate) garbage() int64 {
	if f.needed.blocks == 0 {
		return f.size
	}
	return f.size - int64(len(segmentMagic)) - f.needed.bytes - f.needed.blocks*recordHead
}

// drops reports whether nothing in the file is needed.
func (f *fate) drops() bool { return f.needed.blocks == 0 }

// rewrites reports whether so much of the file is garbage that it is written anew.
func (f *fate) rewrites() bool { return !f.drops() && f.garbage() > f.size/garbageShare }

// Measure returns what [Store.Sweep] would drop.
func (s *Store) Measure(ctx context.Context, keep func(store.Digest) bool) (store.Swept, error) {
	swept, needed, err := s.scan(ctx, keep, func([]int64) error { return nil })
	if err == nil {
		_, err = s.fates(ctx, needed, &swept)
	}
	if err != nil {
		return store.Swept{}, fmt.Errorf("measure garbage: %w", err)
	}
	return swept, nil
}

// Sweep drops all blocks that keep does not want, and segment files in which nothing is left, also
// those that a killed process has left. No Writer of this store may be at work, in whatever
// process: what it has found here might go. Readers are not disturbed. Killed at any moment, it
// has dropped a part.
//
// The result, compact, writes those segment files anew in which more than a quarter is garbage.
// Others may read and write meanwhile.
func (s *Store) Sweep(ctx context.Context, keep func(store.Digest) bool) (swept store.Swept, compact func(context.Context) error, err error) {
	swept, needed, err := s.scan(ctx, keep, func(rows []int64) error { return s.deleteRows(ctx, rows) })
	if err != nil {
		return swept, nil, fmt.Errorf("sweep: %w", err)
	}
	fates, err := s.fates(ctx, needed, &swept)
	if err == nil {
		err = s.dropSegments(ctx, fates)
	}
	if err == nil {
		err = s.vacuum(ctx)
	}
	if err != nil {
		return swept, nil, fmt.Errorf("sweep: %w", err)
	}
	return swept, func(ctx context.Context) error { return s.compact(ctx, fates) }, nil
}

// scan reads all rows, calls drop with those of blocks that are not wanted, a page at a time, and
// returns what is needed of each segment.
func (s *Store) scan(ctx context.Context, keep func(store.Digest) bool, drop func(rows []int64) error) (store.Swept, map[int64]usage, error) {
	var swept store.Swept
	needed := map[int64]usage{}
	for after, more := int64(0), true; more; {
		var unwanted []int64
		more = false
		err := s.eachRow(ctx, after, func(r *scanned) {
			after, more = r.id, true
			switch {
			case !keep(r.digest):
				unwanted = append(unwanted, r.id)
				swept.Blocks, swept.Bytes = swept.Blocks+1, swept.Bytes+r.length
			case r.segment != 0:
				u := needed[r.segment]
				needed[r.segment] = usage{u.blocks + 1, u.bytes + r.length}
			}
		})
		if err == nil && len(unwanted) > 0 {
			err = drop(unwanted)
		}
		if err != nil {
			return swept, nil, err
		}
	}
	return swept, needed, nil
}

// scanned is a row as a scan sees it.
type scanned struct {
	id      int64
	digest  store.Digest
	segment int64 // 0 if the bytes are in the row
	length  int64
}

// eachRow calls fn with a page of rows, those behind after.
func (s *Store) eachRow(ctx context.Context, after int64, fn func(*scanned)) error {
	return s.db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, "SELECT rowid, hash, segment, length FROM block WHERE rowid > ? ORDER BY rowid LIMIT ?")
		if err == nil {
			err = errors.Join(q.BindInt64(1, after), q.BindInt(2, sweepPage))
		}
		if err != nil {
			return err
		}
		for q.Step() {
			raw := q.ColumnRawBlob(1)
			if len(raw) != len(store.Digest{}) {
				return fmt.Errorf("%w: a hash of %d bytes", sqlite.ErrDamaged, len(raw))
			}
			fn(&scanned{q.ColumnInt64(0), store.Digest(raw), q.ColumnInt64(2), q.ColumnInt64(3)})
		}
		return errors.Join(q.Err(), q.Reset())
	})
}

func (s *Store) deleteRows(ctx context.Context, rows []int64) error {
	return s.db.Write(ctx, false, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, "DELETE FROM block WHERE rowid = ?")
		for i := range rows {
			if err == nil {
				err = errors.Join(q.BindInt64(1, rows[i]), q.Exec())
			}
		}
		return err
	})
}

// fates returns what becomes of all segments, and adds to swept what of their files goes.
func (s *Store) fates(ctx context.Context, needed map[int64]usage, swept *store.Swept) ([]fate, error) {
	ids, err := s.segmentIDs(ctx)
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(s.files.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var fates []fate
	for _, file := range files {
		if !validName(file.Name()) {
			continue
		}
		info, err := file.Info()
		if err != nil {
			return nil, err
		}
		f := fate{id: ids[file.Name()], name: file.Name(), size: info.Size()}
		delete(ids, file.Name())
		if f.id != 0 {
			f.needed = needed[f.id]
		}
		if f.drops() || f.rewrites() {
			swept.Files += f.garbage()
		}
		fates = append(fates, f)
	}
	for name, id := range ids { // their files are gone
		fates = append(fates, fate{id: id, name: name, needed: needed[id]})
	}
	return fates, nil
}

// segmentIDs returns the ids of all segments that have a row, by name.
func (s *Store) segmentIDs(ctx context.Context) (map[string]int64, error) {
	ids := map[string]int64{}
	err := s.db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, "SELECT id, name FROM segment")
		if err != nil {
			return err
		}
		for q.Step() {
			ids[q.ColumnText(1)] = q.ColumnInt64(0)
		}
		return errors.Join(q.Err(), q.Reset())
	})
	return ids, err
}

// dropSegments deletes the rows of segments that nobody needs, makes that durable together with
// all rows of blocks that were deleted, and removes the files.
func (s *Store) dropSegments(ctx context.Context, fates []fate) error {
	err := s.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		for _, f := range fates {
			if f.drops() && f.id != 0 {
				if err := deleteSegment(c, f.id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	interrupt("files")
	for _, f := range fates {
		if f.drops() {
			if err := s.removeFile(f.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeFile removes a segment file that no row names. Who has it open can still read it.
func (s *Store) removeFile(name string) error {
	err := os.Remove(s.files.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// vacuum gives the free part of the database back to the disk, if it is large: it is filled again
// by what comes next otherwise.
func (s *Store) vacuum(ctx context.Context) error {
	var free, pages, size int64
	err := s.db.Read(ctx, func(c *sqlite3.Conn) error {
		return errors.Join(pragma(c, "PRAGMA freelist_count", &free), pragma(c, "PRAGMA page_count", &pages), pragma(c, "PRAGMA page_size", &size))
	})
	if err != nil || free <= pages/garbageShare || free*size < vacuumLeast {
		return err
	}
	interrupt("vacuum")
	return s.db.Vacuum(ctx)
}

func pragma(c *sqlite3.Conn, sql string, value *int64) error {
	q, err := sqlite.Stmt(c, sql)
	if err != nil {
		return err
	}
	if q.Step() {
		*value = q.ColumnInt64(0)
	}
	return errors.Join(q.Err(), q.Reset())
}

// interrupt is called between the steps of a sweep; tests end the process there.
var interrupt = func(step string) {}
