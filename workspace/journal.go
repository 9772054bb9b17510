package workspace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"archivecache/dagcbor"
)

// maxRecord is the longest record of a journal, in bytes: a renamed directory with all that was
// changed in it.
const maxRecord = 256 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A journal is the file that all changes since the last commit are written to: records of a length,
// a CRC-32C, both as four bytes in big-endian order, and that many bytes of DAG-CBOR, an array of
// statements that hold together. A nil journal is none.
type journal struct {
	mu     sync.Mutex
	file   *os.File
	number uint64
	size   int64
	synced int64
}

const journalSuffix = ".journal"

func journalPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", number, journalSuffix))
}

func newJournal(dir string, number uint64) (*journal, error) {
	f, err := os.OpenFile(journalPath(dir, number), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin a journal: %w", err)
	}
	return &journal{file: f, number: number}, nil
}

// append writes statements as one record, with one call, so that the kernel has all of it or, if
// there is no room, none counts.
func (j *journal) append(all ...statement) error {
	if j == nil || len(all) == 0 {
		return nil
	}
	body, err := dagcbor.Marshal(all)
	if err != nil {
		return err
	}
	record := make([]byte, 0, 8+len(body))
	record = binary.BigEndian.AppendUint32(record, uint32(len(body)))
	record = binary.BigEndian.AppendUint32(record, crc32.Checksum(body, castagnoli))
	record = append(record, body...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.WriteAt(record, j.size); err != nil {
		return fmt.Errorf("write the journal: %w", errors.Join(err, j.file.Truncate(j.size)))
	}
	j.size += int64(len(record))
	return nil
}

// sync makes all that was appended durable.
func (j *journal) sync() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	size, done := j.size, j.synced == j.size
	j.mu.Unlock()
	if done {
		return nil
	}
	if err := datasync(j.file); err != nil {
		return fmt.Errorf("sync the journal: %w", err)
	}
	j.mu.Lock()
	j.synced = max(j.synced, size)
	j.mu.Unlock()
	return nil
}

// close closes the journal. It does not remove it.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.file.Close()
}

// readJournal calls fn for every record of a journal, up to the first that is not whole, and returns
// how many bytes are left from there: nobody was told that they are there, or they are damaged.
func readJournal(path string, fn func([]statement) error) (rest int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read a journal: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("read a journal: %w", err)
	}
	rest = info.Size()
	for r := bufio.NewReader(f); ; {
		body, err := readRecord(r)
		if err != nil || body == nil {
			return rest, err
		}
		all, err := decodeRecord(body)
		if err != nil {
			return rest, fmt.Errorf("journal %s: %w", path, err)
		}
		if err := fn(all); err != nil {
			return rest, err
		}
		rest -= int64(8 + len(body))
	}
}

// readRecord returns the body of the next record; nil if there is none that is whole.
func readRecord(r io.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, atEnd(err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > maxRecord {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil || len(body) < int(size) || crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, err
	}
	return body, nil
}

func atEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
