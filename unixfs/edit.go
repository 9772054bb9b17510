package unixfs

import (
	"context"
	"fmt"
	"slices"

	"archivecache/dag"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// Edit returns the directory dir with changes: an entry with a CID is set, one whose CID is
// cid.Undef is removed if it is there. Names come at most once, in any order. Only the
// shards that change are read and written; blocks must give back what was put. Without an
// actual change the result is dir itself and nothing is written.
//
// If dir is what [Build] makes of its entries, so is the result. Whatever dir was,
// a directory that ends in one block is.
func Edit(ctx context.Context, blocks store.Blocks, dir cid.Cid, changes []Entry) (Entry, error) {
	links, err := linksOf(changes)
	if err == nil {
		err = checkCids(changes, true)
	}
	var d *Dir
	if err == nil {
		d, err = openDir(ctx, blocks, dir)
	}
	var edited Entry
	if err == nil {
		edited, err = d.edit(ctx, blocks, links)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("edit directory %s: %w", dir, err)
	}
	return edited, nil
}

// checkCids says whether all CIDs may stand in a link; cid.Undef is a removal.
func checkCids(entries []Entry, removals bool) error {
	for _, e := range entries {
		if removals && !e.Cid.Defined() {
			continue
		}
		if err := dag.CheckCid(e.Cid.Bytes()); err != nil {
			return fmt.Errorf("entry %q: %w", e.Name, err)
		}
	}
	return nil
}

// removes says whether a change is a removal.
func (l *Link) removes() bool { return l.cid == "" }

func (d *Dir) edit(ctx context.Context, blocks store.Blocks, changes []Link) (Entry, error) {
	if !d.Sharded() {
		links, changed := mergeLinks(d.root.node.Links, changes)
		if !changed {
			return d.Entry(), nil
		}
		l, err := buildDir(ctx, blocks, links)
		return entryOf(l), err
	}
	e := editor{blocks: blocks, shardWriter: shardWriter{ctx: ctx, put: blocks}}
	links, err := e.shard(d.root, byHash(changes))
	if err != nil {
		return Entry{}, err
	}
	if !e.changed {
		return d.Entry(), nil
	}
	root := shardRef{node: &Node{Kind: HAMTShard, Links: links}}
	if e.growth < 0 {
		small, err := fits(ctx, blocks, root)
		if err != nil {
			return Entry{}, err
		}
		if small {
			return e.flatten(root)
		}
	}
	l, err := e.write(links)
	return entryOf(l), err
}

// mergeLinks applies changes to links, both ordered by name.
func mergeLinks(links, changes []Link) (merged []Link, changed bool) {
	merged = make([]Link, 0, len(links)+len(changes))
	for len(links) > 0 || len(changes) > 0 {
		switch {
		case len(changes) == 0 || len(links) > 0 && links[0].Name < changes[0].Name:
			merged = append(merged, links[0])
			links = links[1:]
			continue
		case len(links) > 0 && links[0].Name == changes[0].Name:
			changed = changed || links[0] != changes[0]
			links = links[1:]
		default:
			changed = changed || !changes[0].removes()
		}
		if !changes[0].removes() {
			merged = append(merged, changes[0])
		}
		changes = changes[1:]
	}
	return merged, changed
}

// An editor changes a sharded directory.
type editor struct {
	shardWriter
	blocks  store.Blocks
	growth  int // change of the size that all entries would have in one block
	changed bool
}

// shard applies changes, ordered by hash, to a shard and returns the links that it has then.
func (e *editor) shard(s shardRef, changes []hashedLink) ([]Link, error) {
	old := s.node.Links
	links := make([]Link, 0, min(len(old)+len(changes), fanout))
	for len(changes) > 0 {
		n, slot := group(changes, s.depth), slotAt(changes[0].hash, s.depth)
		for len(old) > 0 && mustSlot(old[0].Name) < slot {
			links, old = append(links, old[0]), old[1:]
		}
		var here *Link
		if len(old) > 0 && mustSlot(old[0].Name) == slot {
			here, old = &old[0], old[1:]
		}
		l, err := e.slot(s, here, changes[:n])
		if err != nil {
			return nil, err
		}
		if l != nil {
			l.Name = slotName(slot, l.Name)
			links = append(links, *l)
		}
		changes = changes[n:]
	}
	return append(links, old...), nil
}

// slot applies changes that all belong into one slot of s, in which here stands, if not nil.
// It returns what stands there then, with the plain name of an entry or no name for a shard.
func (e *editor) slot(s shardRef, here *Link, changes []hashedLink) (*Link, error) {
	if here == nil || !isShardLink(here) {
		return e.values(s.depth, here, changes)
	}
	child, err := s.readChild(e.ctx, e.blocks, here)
	if err != nil {
		return nil, err
	}
	links, err := e.shard(child, changes)
	if err != nil {
		return nil, err
	}
	switch {
	case len(links) == 0:
		return nil, nil
	case len(links) == 1 && !isShardLink(&links[0]):
		only := links[0]
		only.Name = only.Name[2:]
		return &only, nil
	case slices.Equal(links, child.node.Links):
		return &Link{Tsize: here.Tsize, cid: here.cid}, nil
	}
	l, err := e.write(links)
	return &l, err
}

// values is slot where no shard stands yet.
func (e *editor) values(depth int, here *Link, changes []hashedLink) (*Link, error) {
	var old, set []Link
	if here != nil {
		old = []Link{{Name: here.Name[2:], Tsize: here.Tsize, cid: here.cid}}
	}
	for _, c := range changes {
		set = append(set, c.Link)
	}
	sortLinks(set)
	merged, changed := mergeLinks(old, set)
	e.changed = e.changed || changed
	e.growth += blockSize(merged) - blockSize(old)
	switch len(merged) {
	case 0:
		return nil, nil
	case 1:
		return &merged[0], nil
	}
	l, err := e.build(byHash(merged), depth+1)
	return &l, err
}

// leastEntry is the size of the smallest entry: one byte of name, a CIDv0, no Tsize to speak of.
var leastEntry = linkSize(1, 34, 0)

// fits says whether the entries below root fit into one block. It reads shards only until it
// knows: one that was not read counts for the two entries that it has at least.
func fits(ctx context.Context, get store.Getter, root shardRef) (bool, error) {
	type unread struct {
		parent shardRef
		link   *Link
	}
	size := emptySize
	queue := []unread{}
	count := func(s shardRef) {
		for i := range s.node.Links {
			l := &s.node.Links[i]
			if isShardLink(l) {
				queue = append(queue, unread{s, l})
				size += 2 * leastEntry
			} else {
				size += linkSize(len(l.Name)-2, len(l.cid), l.Tsize)
			}
		}
	}
	count(root)
	for size <= MaxDirectory && len(queue) > 0 {
		child, err := queue[0].parent.readChild(ctx, get, queue[0].link)
		if err != nil {
			return false, err
		}
		queue = queue[1:]
		size -= 2 * leastEntry
		count(child)
	}
	return size <= MaxDirectory, nil
}

// flatten writes the entries below root as a directory in one block.
func (e *editor) flatten(root shardRef) (Entry, error) {
	var links []Link
	err := root.each(e.ctx, e.blocks, func(l Link) error {
		links = append(links, l)
		return nil
	})
	if err != nil {
		return Entry{}, err
	}
	sortLinks(links)
	l, err := buildDir(e.ctx, e.blocks, links)
	return entryOf(l), err
}
