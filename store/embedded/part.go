package embedded

import (
	"context"
	"io"

	"github.com/ipfs/go-cid"
)

// part is a block in a segment file.
type part struct {
	files          *files
	segment        string
	offset, length int64
}

// Part returns the bytes of the block c where they stand, for who has read and verified it with Get
// just now and wants pieces of it again: they are not verified. It returns nil for a block that is
// not here, or small.
func (s *Store) Part(ctx context.Context, c cid.Cid) (io.ReaderAt, error) {
	rows, err := s.find(ctx, []cid.Cid{c})
	if err != nil || rows[0].segment == "" {
		return nil, err
	}
	return part{s.files, rows[0].segment, rows[0].offset, rows[0].length}, nil
}

// ReadAt implements [io.ReaderAt]. It fails when the segment file has gone away.
func (p part) ReadAt(buf []byte, at int64) (int, error) {
	if at < 0 || at >= p.length {
		return 0, io.EOF
	}
	short := int64(len(buf)) > p.length-at
	if short {
		buf = buf[:p.length-at]
	}
	if err := p.files.readAt(p.segment, buf, p.offset+at); err != nil {
		return 0, err
	}
	if short {
		return len(buf), io.EOF
	}
	return len(buf), nil
}
