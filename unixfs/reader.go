package unixfs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// ErrNotFile is something other than a file where one is needed.
var ErrNotFile = errors.New("not a file")

// A Reader reads a file from wherever it is told to. It holds the blocks on the way to
// the current place and is not safe for use by several goroutines. It gives exactly as
// many bytes as the root declares, whatever the blocks below it hold: a part that is not as
// long as declared is an error.
type Reader struct {
	ctx  context.Context
	get  store.Getter
	path []span // from the root to the current leaf
	at   int64
}

// A span is a node and where its content begins in the file.
type span struct {
	node  *Node
	start uint64
}

func (s span) end() uint64             { return s.start + s.node.Size }
func (s span) contains(at uint64) bool { return at >= s.start && at < s.end() }

var (
	_ io.ReadSeeker = (*Reader)(nil)
	_ io.WriterTo   = (*Reader)(nil)
)

// NewReader reads the first block of the file c. ctx is for this and all later reads.
func NewReader(ctx context.Context, get store.Getter, c cid.Cid) (*Reader, error) {
	n, err := readFileNode(ctx, get, c)
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	return &Reader{ctx: ctx, get: get, path: []span{{node: n}}}, nil
}

func readFileNode(ctx context.Context, get store.Getter, c cid.Cid) (*Node, error) {
	n, _, err := readNode(ctx, get, c)
	if err != nil {
		return nil, err
	}
	return n, n.checkFile(c)
}

func (n *Node) checkFile(c cid.Cid) error {
	if !n.hasSize() {
		return fmt.Errorf("block %s is a %s: %w", c, n.Kind, ErrNotFile)
	}
	return nil
}

// readPart reads the node behind link i of n, which has to be as long as n declares.
func (n *Node) readPart(ctx context.Context, get store.Getter, i int) (*Node, error) {
	c := n.Links[i].Cid()
	part, err := readFileNode(ctx, get, c)
	if err != nil {
		return nil, err
	}
	if part.Size != n.BlockSizes[i] {
		return nil, fmt.Errorf("block %s: %w", c,
			malformed("%d bytes of content, the link to it declares %d", part.Size, n.BlockSizes[i]))
	}
	return part, nil
}

// Size returns the length of the file in bytes.
func (r *Reader) Size() int64 { return int64(r.path[0].node.Size) }

// Read reads from the current place on.
func (r *Reader) Read(p []byte) (int, error) {
	if r.at >= r.Size() {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && r.at < r.Size() {
		data, err := r.leaf()
		if err != nil {
			return n, fmt.Errorf("read file at %d: %w", r.at, err)
		}
		m := copy(p[n:], data)
		n += m
		r.at += int64(m)
	}
	return n, nil
}

// Seek goes to another place, in no time. A place behind the end is allowed; there is nothing.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.Size()
	default:
		return r.at, fmt.Errorf("seek in file: whence %d is unknown", whence)
	}
	if offset < 0 {
		return r.at, fmt.Errorf("seek in file: %d is before the beginning", offset)
	}
	r.at = offset
	return offset, nil
}

// WriteTo writes everything from the current place on to w.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for r.at < r.Size() {
		data, err := r.leaf()
		if err != nil {
			return written, fmt.Errorf("read file at %d: %w", r.at, err)
		}
		n, err := w.Write(data)
		written += int64(n)
		r.at += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// leaf returns the content from the current place to the end of the part that it lies in.
func (r *Reader) leaf() ([]byte, error) {
	at := uint64(r.at)
	for !r.path[len(r.path)-1].contains(at) { // the root does
		r.path = r.path[:len(r.path)-1]
	}
	for {
		s := r.path[len(r.path)-1]
		if own := s.start + uint64(len(s.node.Data)); at < own {
			return s.node.Data[at-s.start:], nil
		}
		if len(r.path) == maxDepth {
			return nil, malformed("file: more than %d levels", maxDepth)
		}
		child, err := s.descend(r.ctx, r.get, at)
		if err != nil {
			return nil, err
		}
		r.path = append(r.path, child)
	}
}

// descend reads the child in which at lies. Children without content are never read.
func (s span) descend(ctx context.Context, get store.Getter, at uint64) (span, error) {
	start := s.start + uint64(len(s.node.Data))
	for i, size := range s.node.BlockSizes {
		if at < start+size {
			n, err := s.node.readPart(ctx, get, i)
			return span{n, start}, err
		}
		start += size
	}
	return span{}, malformed("file: nothing at %d", at) // sizes were checked: cannot be
}
