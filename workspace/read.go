package workspace

import (
	"context"
	"errors"
	"io"

	"archivecache/unixfs"
)

// readAt reads from f; behind its end there is nothing.
func (f *file) readAt(ctx context.Context, p []byte, at int64) (int, error) {
	for {
		if err := f.load(ctx); err != nil {
			return 0, err
		}
		f.mu.RLock()
		if f.loaded {
			break
		}
		f.mu.RUnlock() // it was replaced meanwhile
	}
	defer f.mu.RUnlock()
	if at >= f.size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), f.size-at)]
	if f.text != nil {
		return copy(p, f.text[at:]), nil
	}
	for done := 0; done < len(p); {
		part, err := f.readPart(ctx, p[done:], at+int64(done))
		if err != nil {
			return done, err
		}
		done += part
	}
	return len(p), nil
}

// readPart reads as much as there is in one place.
func (f *file) readPart(ctx context.Context, p []byte, at int64) (int, error) {
	i := at / unixfs.ChunkSize
	local, end := f.isLocal(i), i+1
	for last := (at + int64(len(p)) - 1) / unixfs.ChunkSize; end <= last && f.isLocal(end) == local; {
		end++
	}
	p = p[:min(int64(len(p)), end*unixfs.ChunkSize-at)]
	if !local {
		if err := f.base.readAt(ctx, p, at); err != nil {
			return 0, f.node.unreadable(err)
		}
		f.node.readable()
		return len(p), nil
	}
	n, err := f.local.ReadAt(p, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	clear(p[n:])
	return len(p), nil
}
