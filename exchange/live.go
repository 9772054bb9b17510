package exchange

import (
	"context"
	"errors"
	"fmt"

	"archivecache/dag"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// Live is a set of blocks: those that were added, and everything below them that is there. It takes
// some 30 bytes for a block, and does not read blocks without links. The zero value is empty.
type Live struct {
	seen   keySet
	absent []ref // blocks with links that were not there
}

// Add adds roots and what is below them in get. What is missing is passed over, and looked for
// again by the next Add, so that the set is right if blocks have come meanwhile. A block in which
// package dag finds no links, because it is malformed or of another codec, is taken by itself. One
// that is damaged is an error: what hangs from it is not known.
func (l *Live) Add(ctx context.Context, get store.Getter, roots []cid.Cid) error {
	level := l.absent
	l.absent = nil
	for _, c := range roots {
		level = l.link(level, c.Bytes())
	}
	for len(level) > 0 {
		next, err := l.open(ctx, get, level)
		if err != nil {
			return err
		}
		level = next
	}
	return nil
}

// link adds a block, and to next if it has links to follow.
func (l *Live) link(next []ref, link []byte) []ref {
	r, err := linkRef(link)
	if err != nil {
		return l.alone(next, link)
	}
	if l.seen.add(r.key()) && r.codec != cid.Raw {
		next = append(next, r)
	}
	return next
}

// alone adds a block of a codec that is not read. Only the hash counts.
func (l *Live) alone(next []ref, link []byte) []ref {
	c, err := cid.Cast(link)
	if err != nil {
		return next
	}
	if d, err := store.DigestOf(c); err == nil {
		l.seen.add((&ref{codec: cid.Raw, digest: d}).key())
	}
	return next
}

// open returns the blocks that those of a level link, and that have not been met before.
func (l *Live) open(ctx context.Context, get store.Getter, level []ref) (next []ref, err error) {
	for len(level) > 0 {
		part := level[:min(readBatch, len(level))]
		level = level[len(part):]
		list := cids(part)
		err := getMany(ctx, get, list, func(i int, data []byte, err error) error {
			switch {
			case errors.Is(err, store.ErrNotFound):
				l.absent = append(l.absent, part[i])
				return nil
			case err != nil:
				return err
			}
			err = dag.RawLinks(list[i], data, func(link []byte) error {
				next = l.link(next, link)
				return nil
			})
			if err != nil && !errors.Is(err, dag.ErrMalformed) {
				return err
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, fmt.Errorf("blocks below the roots: %w", err)
		}
	}
	return next, nil
}

// Has reports whether a block with that digest, of whatever codec, is in the set.
func (l *Live) Has(d store.Digest) bool {
	for _, codec := range [...]byte{cid.Raw, cid.DagProtobuf, cid.DagCBOR} {
		if l.seen.has((&ref{codec: codec, digest: d}).key()) {
			return true
		}
	}
	return false
}

// Len returns how many blocks were met.
func (l *Live) Len() int { return l.seen.n }
