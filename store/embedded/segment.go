package embedded

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"archivecache/internal/sqlite"
	"archivecache/store"
)

const (
	segmentMagic  = "archivecache-s1\n"
	segmentSuffix = ".seg"
	recordHead    = 32 + 4
	// segmentBuffer is what is collected for one write, in bytes. Larger blocks are written as
	// they are.
	segmentBuffer = 256 << 10
	// writeBack is after how many bytes the disk is told to begin, so that the sync at the end is
	// short.
	writeBack = 8 << 20
)

// segment is the segment file that a Writer appends to.
type segment struct {
	file    *os.File
	buf     *bufio.Writer
	name    string
	size    int64 // bytes appended, those in buf included
	started int64 // up to where write-back was begun
	synced  int64 // up to where it is durable
	named   bool  // a row may have been committed that names it
	err     error // of the first append or sync that failed; all later ones fail
}

// createSegment makes a segment file under a new name in dir, and dir if it is missing.
func createSegment(dir string) (*segment, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	name := hex.EncodeToString(id[:]) + segmentSuffix
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	s := &segment{file: file, buf: bufio.NewWriterSize(file, segmentBuffer), name: name}
	s.buf.WriteString(segmentMagic) // fits into the buffer
	s.size = int64(len(segmentMagic))
	return s, nil
}

func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func validName(name string) bool {
	id, ok := strings.CutSuffix(name, segmentSuffix)
	return ok && len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// append adds a block and returns the offset of its bytes.
func (s *segment) append(d store.Digest, data []byte) (offset int64, err error) {
	if s.err != nil {
		return 0, s.err
	}
	var head [recordHead]byte
	copy(head[:], d[:])
	binary.BigEndian.PutUint32(head[len(d):], uint32(len(data)))
	if _, err = s.buf.Write(head[:]); err == nil {
		_, err = s.buf.Write(data)
	}
	if err != nil {
		return 0, s.fail("append to", err)
	}
	offset = s.size + recordHead
	s.size = offset + int64(len(data))
	if written := s.size - int64(s.buf.Buffered()); written-s.started >= writeBack {
		startWriteBack(s.file, s.started, written-s.started)
		s.started = written
	}
	return offset, nil
}

// sync makes everything appended durable, and the first time the name of the file too.
func (s *segment) sync() error {
	if s.err != nil || s.synced == s.size {
		return s.err
	}
	err := s.buf.Flush()
	if err == nil {
		err = s.file.Sync()
	}
	if err == nil && s.synced == 0 {
		err = syncDir(filepath.Dir(s.file.Name()))
	}
	if err != nil {
		return s.fail("sync", err)
	}
	s.synced = s.size
	return nil
}

// fail remembers err. What a failed write left is not known, and a failed
// sync may have dropped pages, so that none of what follows could be relied on.
func (s *segment) fail(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w: %w", sqlite.ErrFull, err)
	}
	s.err = fmt.Errorf("%s segment %s: %w", op, s.file.Name(), err)
	return s.err
}

// close closes the file, and removes it if no row can name it.
func (s *segment) close() error {
	err := s.file.Close() // it is synced, or not needed
	if !s.named {
		err = errors.Join(err, os.Remove(s.file.Name()))
	}
	if err != nil {
		return fmt.Errorf("close segment: %w", err)
	}
	return nil
}
