package shared

import (
	"context"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Check reads what differs between two layers of one author and returns an error if they are not
// fit for a view: a node that is malformed; directories that are deeper than paths may be; and
// directories that are not in their one form, since the view of a directory that one layer alone
// has is that directory itself. What old has was checked before; the zero Layer is none. The
// blocks have to be here.
func Check(ctx context.Context, blocks store.Getter, old, now Layer) error {
	if err := checkFiles(ctx, blocks, old.Files, now.Files, 0); err != nil {
		return err
	}
	return checkMarks(ctx, blocks, old.Marks, now.Marks, 0)
}

func checkFiles(ctx context.Context, blocks store.Getter, old, now cid.Cid, depth int) error {
	if !now.Defined() || now.Equals(old) {
		return nil
	}
	if depth > path.MaxDepth {
		return fmt.Errorf("%w: deeper than %d directories", unixfs.ErrMalformed, path.MaxDepth)
	}
	if err := unixfs.CheckDir(ctx, blocks, old, now); err != nil {
		return err
	}
	return unixfs.Diff(ctx, blocks, old, now, func(_ string, before, after *unixfs.Entry) error {
		if after == nil || after.Cid.Type() == cid.Raw {
			return nil
		}
		info, err := unixfs.Stat(ctx, blocks, after.Cid)
		if err != nil || info.Kind != unixfs.Directory {
			return err
		}
		if info.Tsize != after.Tsize {
			return fmt.Errorf("%w: a directory of %d bytes that its link says has %d", unixfs.ErrMalformed, info.Tsize, after.Tsize)
		}
		return checkFiles(ctx, blocks, directoryOf(ctx, blocks, before), after.Cid, depth+1)
	})
}

// directoryOf returns the CID of e if it is a directory.
func directoryOf(ctx context.Context, blocks store.Getter, e *unixfs.Entry) cid.Cid {
	if e == nil || e.Cid.Type() == cid.Raw {
		return cid.Undef
	}
	if info, err := unixfs.Stat(ctx, blocks, e.Cid); err != nil || info.Kind != unixfs.Directory {
		return cid.Undef
	}
	return e.Cid
}

func checkMarks(ctx context.Context, blocks store.Getter, old, now cid.Cid, depth int) error {
	if !now.Defined() || now.Equals(old) {
		return nil
	}
	if depth > path.MaxDepth {
		return fmt.Errorf("%w: marks deeper than %d directories", merkle.ErrMalformed, path.MaxDepth)
	}
	return merkle.Diff(ctx, blocks, merkle.Whole, old, now, func(key []byte, before, after dagcbor.Raw) error {
		if after == nil {
			return nil
		}
		if err := path.CheckName(string(key)); err != nil {
			return fmt.Errorf("%w: %w", merkle.ErrMalformed, err)
		}
		r, err := decodeRecord(after)
		if err != nil {
			return err
		}
		below := cid.Undef
		if before != nil {
			if b, err := decodeRecord(before); err == nil {
				below = b.Below.Target()
			}
		}
		return checkMarks(ctx, blocks, below, r.Below.Target(), depth+1)
	})
}
