package workspace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"archivecache/dagcbor"
	"archivecache/unixfs"
)

// A statement of a journal says what stands at a path from then on, whatever stood there before,
// so that reading it twice does no harm.
type statement struct {
	Op     string        `cbor:"op"` // one of those below
	Path   []byte        `cbor:"path,omitempty"`
	From   []byte        `cbor:"from,omitempty"` // where it was moved from just now
	Kind   uint64        `cbor:"kind,omitempty"`
	Base   *dagcbor.Link `cbor:"base,omitempty"`   // what is committed of it, or of what it came from
	Tsize  uint64        `cbor:"tsize,omitempty"`  // for the link to base
	Local  uint64        `cbor:"local,omitempty"`  // the local file with what was written
	Chunks uint64        `cbor:"chunks,omitempty"` // of base that count
	Have   []uint64      `cbor:"have,omitempty"`   // first and last chunks that are in the local file
	Target []byte        `cbor:"target,omitempty"`
	Mode   uint64        `cbor:"mode,omitempty"` // permission bits, plus one
	Mtime  []byte        `cbor:"mtime,omitempty"`
}

// Operations of statements.
const (
	opPut    = "put"    // a file, symlink or directory stands at the path
	opRemove = "remove" // nothing does
	opChunks = "chunks" // more of a file is in its local file
	opAttr   = "attr"   // mode and time of modification
)

func decodeRecord(body []byte) (all []statement, err error) {
	if err := dagcbor.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	for i := range all {
		if err := all[i].check(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

var errStatement = errors.New("malformed statement")

// check refuses statements that no program writes.
func (s *statement) check() error {
	switch s.Op {
	case opPut, opRemove, opAttr:
		if len(s.Path) == 0 {
			return fmt.Errorf("%w: %s without a path", errStatement, s.Op)
		}
	case opChunks:
		if s.Local == 0 {
			return fmt.Errorf("%w: chunks of no file", errStatement)
		}
	default:
		return fmt.Errorf("%w: %q", errStatement, s.Op)
	}
	kind := unixfs.Kind(s.Kind)
	isKind := s.Kind < 256 && (kind == unixfs.File || kind == unixfs.Directory || kind == unixfs.Symlink)
	if (s.Op == opPut) != isKind || len(s.Have)%2 != 0 || s.Mode > 0o1000 || len(s.Mtime) != 0 && len(s.Mtime) != 8 {
		return fmt.Errorf("%w: %s of %q", errStatement, s.Op, s.Path)
	}
	for i := 0; i < len(s.Have); i += 2 {
		if s.Have[i] > s.Have[i+1] || s.Have[i+1] > maxChunks || i > 0 && s.Have[i] <= s.Have[i-1] {
			return fmt.Errorf("%w: chunks of %q", errStatement, s.Path)
		}
	}
	return nil
}

// setAttributes puts mode and time of n into s.
func (s *statement) setAttributes(n *Node) {
	s.Mode = uint64(n.wanted()) + 1
	if n.mtime.isSet() {
		s.Mtime = binary.BigEndian.AppendUint64(nil, uint64(n.mtime.or(time.Time{}).UnixNano()))
	}
}

// attributes puts what s says of mode and time into n.
func (s *statement) attributes(n *Node) {
	if s.Mode != 0 {
		n.mode, n.fresh = uint32(s.Mode-1), true
	}
	if len(s.Mtime) == 8 {
		n.mtime.set(time.Unix(0, int64(binary.BigEndian.Uint64(s.Mtime))))
		n.fresh = true
	}
}

func (s *statement) base() unixfs.Entry {
	return unixfs.Entry{Cid: s.Base.Target(), Tsize: s.Tsize}
}

// ranges returns the numbers in set as first and last ones.
func ranges(set map[int64]struct{}) []uint64 {
	all := make([]int64, 0, len(set))
	for i := range set {
		all = append(all, i)
	}
	slices.Sort(all)
	var pairs []uint64
	for _, i := range all {
		if n := len(pairs); n > 0 && pairs[n-1]+1 == uint64(i) {
			pairs[n-1]++
			continue
		}
		pairs = append(pairs, uint64(i), uint64(i))
	}
	return pairs
}

func (s *statement) setBase(e unixfs.Entry) {
	s.Base, s.Tsize = dagcbor.LinkTo(e.Cid), e.Tsize
}
