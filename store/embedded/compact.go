package embedded

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"archivecache/internal/sqlite"
	"archivecache/store"

	"github.com/ncruces/go-sqlite3"
)

// A compactor copies what is needed of some segment files into a new one.
type compactor struct {
	store *Store
	out   *segment // nil until one is needed
	moved []move   // copied, and not in the database yet
}

// move is a block that has a copy in the new segment.
type move struct {
	digest   store.Digest
	from, to int64 // offsets
}

// compact writes those segment files anew in which much is garbage. All of them are sealed: nobody
// appends to them any more.
func (s *Store) compact(ctx context.Context, fates []fate) error {
	c := &compactor{store: s}
	for i := range fates {
		if !fates[i].rewrites() {
			continue
		}
		if err := c.segment(ctx, &fates[i]); err != nil {
			return errors.Join(fmt.Errorf("compact segment %s: %w", s.files.path(fates[i].name), err), c.end())
		}
	}
	return c.end()
}

// end closes the new segment; if no row names it, it goes away.
func (c *compactor) end() error {
	if c.out == nil {
		return nil
	}
	err := c.out.close()
	c.out = nil
	return err
}

// segment moves the needed blocks of one segment, and removes its file when all were moved. If not,
// because it is damaged or somebody else moves them too, it stays.
func (c *compactor) segment(ctx context.Context, f *fate) error {
	file, err := os.Open(c.store.files.path(f.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	moved := int64(0)
	err = eachRecord(file, f.size, func(r *record) error {
		if named, err := c.store.names(ctx, r.digest, f.name, r.offset); err != nil || !named {
			return err
		}
		data, err := r.read()
		if err != nil || store.Verify(store.RawCid(r.digest), data) != nil {
			return err // a damaged block stays where it is: some of it may be saved
		}
		if err := c.copy(r, data); err != nil || len(c.moved) < maxRows {
			return err
		}
		n, err := c.commit(ctx, f, moved)
		moved += n
		return err
	})
	if err != nil {
		return err
	}
	n, err := c.commit(ctx, f, moved)
	if moved += n; err != nil || moved < f.needed.blocks {
		return err
	}
	interrupt("old file")
	return c.store.removeFile(f.name)
}

func (c *compactor) copy(r *record, data []byte) (err error) {
	if c.out == nil {
		if c.out, err = createSegment(c.store.files.dir); err != nil {
			return err
		}
	}
	to, err := c.out.append(r.digest, data)
	c.moved = append(c.moved, move{r.digest, r.offset, to})
	return err
}

// commit makes the copies durable, and then lets the rows name them. With the last row the segment
// loses its own. It returns how many rows were moved; before is how many of the segment were moved
// before.
func (c *compactor) commit(ctx context.Context, f *fate, before int64) (n int64, err error) {
	if len(c.moved) == 0 {
		return 0, nil
	}
	interrupt("copies")
	if err := c.out.sync(); err != nil {
		return 0, err
	}
	interrupt("rows")
	c.out.named = true
	err = c.store.db.Write(ctx, true, func(conn *sqlite3.Conn) error {
		n, err = c.moveRows(conn, f, before)
		return err
	})
	c.moved = c.moved[:0]
	if err == nil && c.out.size >= maxSegment {
		err = c.end()
	}
	return n, err
}

// moveRows lets rows name the copies, unless somebody else was faster. The old segment is looked up
// by its name: ids are used again.
func (c *compactor) moveRows(conn *sqlite3.Conn, f *fate, before int64) (n int64, err error) {
	from, err := findSegment(conn, f.name)
	if err != nil || from == 0 {
		return 0, err
	}
	to, err := segmentID(conn, c.out.name)
	if err != nil {
		return 0, err
	}
	for i := range c.moved {
		if err := c.moved[i].update(conn, from, to); err != nil {
			return 0, err
		}
		n += conn.Changes()
	}
	if before+n < f.needed.blocks {
		return n, nil
	}
	return n, deleteSegment(conn, from)
}

func (m *move) update(c *sqlite3.Conn, from, to int64) error {
	q, err := sqlite.Stmt(c, "UPDATE block SET segment = ?, offset = ? WHERE hash = ? AND segment = ? AND offset = ?")
	if err != nil {
		return err
	}
	err = errors.Join(q.BindInt64(1, to), q.BindInt64(2, m.to), q.BindBlob(3, m.digest[:]), q.BindInt64(4, from), q.BindInt64(5, m.from))
	if err != nil {
		return err
	}
	return q.Exec()
}

func deleteSegment(c *sqlite3.Conn, id int64) error {
	q, err := sqlite.Stmt(c, "DELETE FROM segment WHERE id = ?")
	if err != nil {
		return err
	}
	return errors.Join(q.BindInt64(1, id), q.Exec())
}

// names reports whether the row of a block names that place.
func (s *Store) names(ctx context.Context, d store.Digest, segment string, offset int64) (named bool, err error) {
	err = s.db.Read(ctx, func(c *sqlite3.Conn) error {
		q, err := sqlite.Stmt(c, "SELECT 1 FROM block b JOIN segment s ON s.id = b.segment WHERE b.hash = ? AND s.name = ? AND b.offset = ?")
		if err != nil {
			return err
		}
		if err := errors.Join(q.BindBlob(1, d[:]), q.BindText(2, segment), q.BindInt64(3, offset)); err != nil {
			return err
		}
		named = q.Step()
		return errors.Join(q.Err(), q.Reset())
	})
	return named, err
}

// A record is one of a segment file, of which the head was read.
type record struct {
	digest store.Digest
	offset int64 // of the bytes
	data   []byte
	in     io.Reader
	done   bool // the bytes were read
}

// read returns the bytes, which are valid until the next record.
func (r *record) read() ([]byte, error) {
	r.done = true
	_, err := io.ReadFull(r.in, r.data)
	return r.data, err
}

// eachRecord calls fn with each whole record in a segment file of that size. It ends without an
// error where what follows cannot be a record.
func eachRecord(file io.Reader, size int64, fn func(*record) error) error {
	in := bufio.NewReaderSize(file, segmentBuffer)
	var head [max(recordHead, len(segmentMagic))]byte
	if _, err := io.ReadFull(in, head[:len(segmentMagic)]); err != nil || string(head[:len(segmentMagic)]) != segmentMagic {
		return cutOff(err)
	}
	buf := make([]byte, store.MaxBlock)
	for offset := int64(len(segmentMagic)); ; {
		if _, err := io.ReadFull(in, head[:recordHead]); err != nil {
			return cutOff(err)
		}
		r := &record{digest: store.Digest(head[:]), offset: offset + recordHead, in: in}
		length := int64(binary.BigEndian.Uint32(head[len(r.digest):]))
		if offset = r.offset + length; length > store.MaxBlock || offset > size {
			return nil
		}
		r.data = buf[:length]
		err := fn(r)
		if err == nil && !r.done {
			_, err = in.Discard(int(length))
		}
		if err != nil {
			return cutOff(err)
		}
	}
}

// cutOff takes the end of a file for no error.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
