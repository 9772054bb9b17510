package workspace

import (
	"context"
	"maps"
	"syscall"
	"time"

	"archivecache/unixfs"
)

// writeAt writes p to f.
func (f *file) writeAt(ctx context.Context, p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > maxChunks*unixfs.ChunkSize {
		return 0, syscall.EFBIG
	}
	if err := f.begin(ctx); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	taken, err := f.take(ctx, at, at+int64(len(p)))
	if err != nil {
		return 0, err
	}
	if _, err = f.local.WriteAt(p, at); err == nil {
		err = f.tookChunks(taken)
	}
	if err != nil {
		f.spoiled(at, at+int64(len(p)))
		return 0, err
	}
	f.wrote(at, at+int64(len(p)))
	return len(p), nil
}

// spoiled notes that a write has failed, and may have written a part. Of chunks that were not in the
// local file that does not count; others differ from what is committed; and what was behind the end
// goes away.
func (f *file) spoiled(from, to int64) {
	f.local.Truncate(f.size) // to a length that it had fits on any disk
	for i := from / unixfs.ChunkSize; i <= (to-1)/unixfs.ChunkSize && i < chunksOf(f.size); i++ {
		if f.isLocal(i) {
			f.dirty[i] = struct{}{}
		}
	}
}

// take copies what a write from one place to another leaves of the chunks that it touches, and
// returns those that were not in the local file.
func (f *file) take(ctx context.Context, from, to int64) (taken []int64, err error) {
	for i := from / unixfs.ChunkSize; i <= (to-1)/unixfs.ChunkSize; i++ {
		if f.isLocal(i) {
			continue
		}
		start := i * unixfs.ChunkSize
		if from > start || to < min(start+unixfs.ChunkSize, f.base.size()) {
			if err := f.copyUp(ctx, i); err != nil {
				return nil, err
			}
		}
		taken = append(taken, i)
	}
	return taken, nil
}

// isLocal reports whether chunk i has to be read from the local file.
func (f *file) isLocal(i int64) bool {
	_, have := f.have[i]
	return f.local != nil && (have || i >= f.baseChunks)
}

// copyUp writes chunk i of base to the local file.
func (f *file) copyUp(ctx context.Context, i int64) error {
	start := i * unixfs.ChunkSize
	size := min(unixfs.ChunkSize, f.base.size()-start, f.size-start)
	if size <= 0 {
		return nil
	}
	buf := make([]byte, size)
	if err := f.base.readAt(ctx, buf, start); err != nil {
		return f.node.unreadable(err)
	}
	_, err := f.local.WriteAt(buf, start)
	return err
}

// wrote notes that the local file has new bytes.
func (f *file) wrote(from, to int64) {
	for i := from / unixfs.ChunkSize; i <= (to-1)/unixfs.ChunkSize; i++ {
		f.dirty[i] = struct{}{}
	}
	f.size = max(f.size, to)
	f.touched()
}

// touched sets the times of f to now.
func (f *file) touched() {
	f.last, f.synced = time.Now(), false
	f.node.mtime.set(f.last)
	f.node.ctime.set(f.last)
}

// tookChunks notes that the local file has more chunks.
func (f *file) tookChunks(taken []int64) error {
	if len(taken) == 0 {
		return nil
	}
	set := make(map[int64]struct{}, len(taken))
	for _, i := range taken {
		set[i] = struct{}{}
	}
	if err := f.node.ws.write(statement{Op: opChunks, Local: f.localID, Have: ranges(set)}); err != nil {
		return err
	}
	maps.Copy(f.have, set)
	return nil
}

// truncate makes f as long as size says.
func (f *file) truncate(ctx context.Context, size int64) error {
	if size < 0 || size > maxChunks*unixfs.ChunkSize {
		return syscall.EFBIG
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if size >= f.size {
		if err := f.local.Truncate(size); err != nil {
			return err
		}
		f.size = size
		f.touched()
		return nil
	}
	return f.cut(ctx, size)
}

// cut makes f shorter. The local file is cut before the journal says what of base is left, so that
// whoever reads both after a crash finds the file before or after.
func (f *file) cut(ctx context.Context, size int64) error {
	i, inside := size/unixfs.ChunkSize, size%unixfs.ChunkSize != 0
	if inside && !f.isLocal(i) {
		if err := f.copyUp(ctx, i); err != nil {
			return err
		}
		if err := f.tookChunks([]int64{i}); err != nil {
			return err
		}
	}
	if err := f.local.Truncate(size); err != nil {
		return err
	}
	left := chunksOf(size)
	f.size, f.baseChunks, f.savedChunks = size, min(f.baseChunks, left), min(f.savedChunks, left)
	for _, set := range []map[int64]struct{}{f.have, f.dirty} {
		maps.DeleteFunc(set, func(i int64, _ struct{}) bool { return i >= left })
	}
	if inside {
		f.dirty[i] = struct{}{}
	}
	f.touched()
	return f.node.ws.write(statement{Op: opChunks, Local: f.localID, Chunks: uint64(f.baseChunks) + 1})
}
