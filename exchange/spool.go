package exchange

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// A spool keeps blocks in a file without a name, until it is known whether anybody wants them. The
// zero value is empty.
type spool struct {
	file *os.File
	out  *bufio.Writer
	size int64
	at   map[key]extent
}

// extent is where a block stands in the file.
type extent struct {
	cid    cid.Cid
	offset int64
	length int
	due    bool // linked by now
}

// add keeps a block that is not there yet.
func (s *spool) add(k key, b store.Block) error {
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if _, err := s.out.Write(b.Data); err != nil {
		return fmt.Errorf("keep block %s aside: %w", b.Cid, err)
	}
	s.at[k] = extent{cid: b.Cid, offset: s.size, length: len(b.Data)}
	s.size += int64(len(b.Data))
	return nil
}

func (s *spool) open() error {
	f, err := os.CreateTemp("", "archivecache-car-*")
	if err != nil {
		return fmt.Errorf("keep blocks aside: %w", err)
	}
	os.Remove(f.Name()) // where a file that is open cannot be removed, close does it
	s.file, s.out, s.at = f, bufio.NewWriterSize(f, 1<<20), map[key]extent{}
	return nil
}

// take returns a block and forgets it. It says whether the block was there.
func (s *spool) take(k key) (store.Block, bool, error) {
	p, ok := s.at[k]
	if !ok {
		return store.Block{}, false, nil
	}
	delete(s.at, k)
	if err := s.out.Flush(); err != nil {
		return store.Block{}, false, fmt.Errorf("keep blocks aside: %w", err)
	}
	data := make([]byte, p.length)
	if _, err := io.ReadFull(io.NewSectionReader(s.file, p.offset, int64(p.length)), data); err != nil {
		return store.Block{}, false, fmt.Errorf("read block %s again: %w", p.cid, err)
	}
	return store.Block{Cid: p.cid, Data: data}, true, store.Verify(p.cid, data)
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}
