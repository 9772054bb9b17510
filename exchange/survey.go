package exchange

import (
	"context"
	"errors"
	"fmt"

	"archivecache/dag"
	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Survey finds out what is missing. What must be there is named first, with Metadata and Whole,
// and then Rest looks at what may be missing. Each block is looked at once, or twice if it is part
// of both. A block takes some 30 bytes, and 34 more if it may be missing.
type Survey struct {
	store store.Store
	lost  func(cid.Cid, error) error

	met    keySet // by Metadata
	passed keySet // over by Metadata; it may have met it elsewhere
	whole  keySet // by Whole, and in the end by Rest
	rest   []ref  // those in passed
}

// NewSurvey returns a Survey of st. Lost is called with every block that must be there and is
// missing, or is there and damaged, and with why; if the block has links, more may be missing
// below.
func NewSurvey(st store.Store, lost func(cid.Cid, error) error) *Survey {
	return &Survey{store: st, lost: lost}
}

// Metadata goes down from roots, but not into the content of files. Look is told of each block with
// links, and says whether what it links must be there too.
func (s *Survey) Metadata(ctx context.Context, roots []cid.Cid, look func(c cid.Cid, data []byte) (follow bool, err error)) error {
	level, err := s.begin(roots)
	for err == nil && len(level) > 0 {
		var next []ref
		err = s.nodes(ctx, level, s.lost, func(c cid.Cid, data []byte) error {
			follow, err := look(c, data)
			if err != nil {
				return err
			}
			if isFile(c, data) {
				follow = false
			}
			return readLinks(c, data, func(r ref) {
				if follow && r.codec != cid.Raw {
					next = s.meet(next, r)
				} else if s.passed.add(r.key()) {
					s.rest = append(s.rest, r)
				}
			})
		})
		level = next
	}
	return err
}

// begin returns those of the roots that have links and were not met; the others wait for Rest.
func (s *Survey) begin(roots []cid.Cid) (level []ref, err error) {
	for _, c := range roots {
		r, err := refOf(c)
		if err != nil {
			return nil, err
		}
		if r.codec != cid.Raw {
			level = s.meet(level, r)
		} else if s.passed.add(r.key()) {
			s.rest = append(s.rest, r)
		}
	}
	return level, nil
}

// meet adds a block to a level, if it is in none yet.
func (s *Survey) meet(level []ref, r ref) []ref {
	if !s.met.add(r.key()) {
		return level
	}
	return append(level, r)
}

func isFile(c cid.Cid, data []byte) bool {
	if c.Type() != cid.DagProtobuf {
		return false
	}
	n, err := unixfs.DecodeNode(data)
	return err == nil && n.Kind == unixfs.File
}

// Whole goes down from roots: all of it must be there.
func (s *Survey) Whole(ctx context.Context, roots []cid.Cid) error {
	return s.all(ctx, refsOf(roots), func(ref) bool { return false }, s.lost)
}

// Rest goes down from roots, and from what Metadata has passed over, as far as it is there. It
// returns how many blocks are missing, not counting those below them.
func (s *Survey) Rest(ctx context.Context, roots []cid.Cid) (absent int64, err error) {
	begin := append(s.rest, refsOf(roots)...)
	s.rest = nil
	met := func(r ref) bool { return s.met.has(r.key()) }
	err = s.all(ctx, begin, met, func(c cid.Cid, err error) error {
		if errors.Is(err, store.ErrNotFound) {
			absent++
			return nil
		}
		return s.lost(c, err)
	})
	return absent, err
}

// refsOf leaves out what is of another codec, which a CAR may have brought.
func refsOf(list []cid.Cid) []ref {
	var refs []ref
	for _, c := range list {
		if r, err := refOf(c); err == nil {
			refs = append(refs, r)
		}
	}
	return refs
}

// all goes down from the given blocks, past those that were done before, and calls lost with what
// is not there.
func (s *Survey) all(ctx context.Context, begin []ref, done func(ref) bool, lost func(cid.Cid, error) error) error {
	var level, leaves []ref
	add := func(next []ref, r ref) []ref {
		if done(r) || !s.whole.add(r.key()) {
			return next
		}
		if r.codec == cid.Raw {
			leaves = append(leaves, r)
			return next
		}
		return append(next, r)
	}
	for _, r := range begin {
		level = add(level, r)
	}
	for len(level)+len(leaves) > 0 {
		var next []ref
		err := s.nodes(ctx, level, lost, func(c cid.Cid, data []byte) error {
			return readLinks(c, data, func(r ref) { next = add(next, r) })
		})
		if err == nil {
			err = s.leaves(ctx, leaves, lost)
		}
		if err != nil {
			return err
		}
		level, leaves = next, leaves[:0]
	}
	return nil
}

// nodes reads blocks with links.
func (s *Survey) nodes(ctx context.Context, level []ref, lost func(cid.Cid, error) error, fn func(cid.Cid, []byte) error) error {
	for len(level) > 0 {
		part := level[:min(readBatch, len(level))]
		level = level[len(part):]
		list := cids(part)
		err := getMany(ctx, s.store, list, func(i int, data []byte, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return lost(list[i], err)
			}
			return fn(list[i], data)
		})
		if err != nil {
			return fmt.Errorf("survey of blocks: %w", err)
		}
	}
	return nil
}

// readLinks calls fn with what a block links, as far as it can be read.
func readLinks(c cid.Cid, data []byte, fn func(ref)) error {
	err := dag.RawLinks(c, data, func(link []byte) error {
		if r, err := linkRef(link); err == nil {
			fn(r)
		}
		return nil
	})
	if errors.Is(err, dag.ErrMalformed) {
		return nil
	}
	return err
}

// leaves asks for the presence of blocks without links.
func (s *Survey) leaves(ctx context.Context, leaves []ref, lost func(cid.Cid, error) error) error {
	for len(leaves) > 0 {
		part := leaves[:min(batch, len(leaves))]
		leaves = leaves[len(part):]
		list := cids(part)
		has, err := s.store.Has(ctx, list)
		if err != nil {
			return err
		}
		for i := range list {
			if has[i] {
				continue
			}
			if err := lost(list[i], &store.MissingError{Cid: list[i]}); err != nil {
				return err
			}
		}
	}
	return nil
}
