package exchange

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"archivecache/dag"
	"archivecache/dagcbor"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// An IncompleteError is blocks that an export needs and that are not there.
type IncompleteError struct {
	Missing []cid.Cid // the first 20
	Count   int       // of all that are known to be missing; there may be more below them
}

func (e *IncompleteError) Error() string {
	text := fmt.Sprintf("%d blocks are not here:", e.Count)
	for _, c := range e.Missing {
		text += " " + c.String()
	}
	if e.Count > len(e.Missing) {
		text += " ..."
	}
	return text
}

// Is reports whether target is store.ErrNotFound.
func (e *IncompleteError) Is(target error) bool { return target == store.ErrNotFound }

// haser is what a Getter that is a Store has besides.
type haser interface {
	Has(ctx context.Context, cids []cid.Cid) ([]bool, error)
}

// ExportCAR writes the roots and everything below them to w, as a CAR of version 1. It looks
// first whether all of it is there: if not, the error is an [*IncompleteError] and nothing was
// written. Where get is a Store, it is asked for the presence of raw blocks; else they are read
// twice.
func ExportCAR(ctx context.Context, get store.Getter, roots []cid.Cid, w io.Writer) (Stats, error) {
	if err := checkPresent(ctx, get, roots); err != nil {
		return Stats{}, fmt.Errorf("export of CAR: %w", err)
	}
	out := bufio.NewWriterSize(w, 1<<20)
	e := &exporter{get: get, w: out}
	err := e.run(ctx, roots)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return e.stats, fmt.Errorf("export of CAR: %w", err)
	}
	return e.stats, nil
}

// checkPresent goes through all that an export needs.
func checkPresent(ctx context.Context, get store.Getter, roots []cid.Cid) error {
	w := &walk{
		local: func(ctx context.Context, cids []cid.Cid, fn func(int, []byte, error) error) error {
			return getMany(ctx, get, cids, fn)
		},
		get:      get.Get,
		has:      hasBy(get),
		stats:    func() Stats { return Stats{} },
		scope:    Scope{MaxBlocks: math.MaxInt64},
		parallel: 8,
		patient:  true,
	}
	err := w.run(ctx, roots, nil)
	if missing := (*UnavailableError)(nil); errors.As(err, &missing) {
		return &IncompleteError{Missing: missing.Missing, Count: missing.Count}
	}
	return err
}

// hasBy returns how the presence of blocks is found out. A Getter that cannot say is
// asked for the bytes, later.
func hasBy(get store.Getter) func(context.Context, []cid.Cid) ([]bool, error) {
	if h, ok := get.(haser); ok {
		return h.Has
	}
	return func(_ context.Context, cids []cid.Cid) ([]bool, error) { return make([]bool, len(cids)), nil }
}

// carHeader is the header of CAR version 1.
type carHeader struct {
	Roots   []dagcbor.Link `cbor:"roots"`
	Version uint64         `cbor:"version"`
}

type exporter struct {
	get   store.Getter
	w     io.Writer
	seen  keySet
	stats Stats
}

func (e *exporter) run(ctx context.Context, roots []cid.Cid) error {
	h := carHeader{Roots: []dagcbor.Link{}, Version: 1}
	for _, c := range roots {
		h.Roots = append(h.Roots, dagcbor.Link{Cid: c})
	}
	header, err := dagcbor.Marshal(h)
	if err != nil {
		return err
	}
	if err := writeSection(e.w, header); err != nil {
		return err
	}
	for _, c := range roots {
		if err := e.below(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// below writes root and all below it that is not written yet, depth first.
func (e *exporter) below(ctx context.Context, root cid.Cid) error {
	if _, ok := store.Identity(root); ok {
		return nil
	}
	first, err := refOf(root)
	if err != nil {
		return err
	}
	stack := []ref{first}
	for len(stack) > 0 {
		var next []ref
		next, stack = e.pop(stack)
		var links []ref
		err := getMany(ctx, e.get, cids(next), func(i int, data []byte, err error) error {
			if err == nil {
				links, err = e.write(next[i].cid(), data)
			}
			return err
		})
		if err != nil {
			return err
		}
		slices.Reverse(links)
		stack = append(stack, links...)
	}
	return nil
}

// pop takes from the stack the next block that is not written yet, and further ones as long as none
// of them has links: they follow each other, and are read together.
func (e *exporter) pop(stack []ref) (next, rest []ref) {
	for len(stack) > 0 && len(next) < readBatch {
		r := stack[len(stack)-1]
		if len(next) > 0 && r.codec != cid.Raw {
			break
		}
		stack = stack[:len(stack)-1]
		if !e.seen.add(r.key()) {
			continue
		}
		if next = append(next, r); r.codec != cid.Raw {
			break
		}
	}
	return next, stack
}

// write writes one block and returns its links.
func (e *exporter) write(c cid.Cid, data []byte) (links []ref, err error) {
	if err := writeSection(e.w, c.Bytes(), data); err != nil {
		return nil, err
	}
	e.stats.Blocks++
	e.stats.Bytes += int64(len(data))
	err = dag.RawLinks(c, data, func(link []byte) error {
		r, err := linkRef(link)
		links = append(links, r)
		return err
	})
	return links, err
}

// writeSection writes the length of the parts together, and the parts.
func writeSection(w io.Writer, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if _, err := w.Write(binary.AppendUvarint(nil, uint64(size))); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}
