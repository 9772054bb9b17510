package unixfs

import (
	"context"
	"fmt"

	"archivecache/store"
)

// Slots is how many slots the root of a sharded directory has.
const Slots = fanout

// Slot returns the slot, from 0 on, into which an entry with this name belongs in the root of a
// sharded directory.
func Slot(name string) int { return slotAt(HashName(name), 0) }

// A DirWriter writes a directory whose entries come in pieces, in the order of their slots, so that
// a huge one need not be in memory. It keeps as many as fit into one block, and those of one piece.
// What it writes is what [Build] writes for the same entries.
type DirWriter struct {
	shards shardWriter
	size   int          // of the block that all entries so far would make
	kept   []hashedLink // all entries so far while they fit into one block
	links  []Link       // of the root shard, once they do not
	next   int          // the lowest slot that may come
}

// NewDirWriter returns a DirWriter of a directory without entries.
func NewDirWriter(ctx context.Context, put store.Putter) *DirWriter {
	return &DirWriter{shards: shardWriter{ctx: ctx, put: put}, size: emptySize}
}

// Add adds entries, in any order among themselves. Their slots must lie behind those of all that
// were added before; that they do not, and what Build refuses, are errors.
func (w *DirWriter) Add(entries []Entry) error {
	if err := w.add(entries); err != nil {
		return fmt.Errorf("build directory: %w", err)
	}
	return nil
}

func (w *DirWriter) add(entries []Entry) error {
	links, err := linksOf(entries)
	if err == nil {
		err = checkCids(entries, false)
	}
	if err != nil || len(links) == 0 {
		return err
	}
	hashed := byHash(links)
	if first := slotAt(hashed[0].hash, 0); first < w.next {
		return fmt.Errorf("%q belongs into slot %d, and those before %d are written", hashed[0].Name, first, w.next)
	}
	w.next = slotAt(hashed[len(hashed)-1].hash, 0) + 1
	w.size += blockSize(links) - emptySize
	w.kept = append(w.kept, hashed...)
	if w.size <= MaxDirectory {
		return nil
	}
	if w.links, err = w.shards.slots(w.links, w.kept, 0); err != nil {
		return err
	}
	w.kept = nil
	return nil
}

// Finish writes what is left, and returns the directory as an entry without a name.
func (w *DirWriter) Finish() (Entry, error) {
	var l Link
	var err error
	if w.size <= MaxDirectory {
		links := make([]Link, len(w.kept))
		for i, h := range w.kept {
			links[i] = h.Link
		}
		sortLinks(links)
		l, err = putNode(w.shards.ctx, w.shards.put, &Node{Kind: Directory, Links: links})
	} else {
		l, err = w.shards.write(w.links)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("build directory: %w", err)
	}
	return entryOf(l), nil
}
