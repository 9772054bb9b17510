package unixfs

import (
	"context"
	"errors"
	"fmt"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// Diff calls fn with every name whose entry differs between the directories a and b: old is nil
// where a does not have it, and updated is nil where b does not. Either directory may be
// cid.Undef and counts as empty then. The order of names is not specified. Shards that are equal
// on both sides are not read. Diff stops at the first error of fn and returns it as it is.
func Diff(ctx context.Context, get store.Getter, a, b cid.Cid, fn func(name string, old, updated *Entry) error) error {
	return diff(a, b, differ{ctx: ctx, get: get, fn: fn})
}

// DiffNew is [Diff] without the names that b does not have: the work does not grow with what a has
// besides, where b is small.
func DiffNew(ctx context.Context, get store.Getter, a, b cid.Cid, fn func(name string, old, updated *Entry) error) error {
	return diff(a, b, differ{ctx: ctx, get: get, fn: fn, onlyNew: true})
}

func diff(a, b cid.Cid, d differ) error { return d.explain(a, b, d.dirs(a, b)) }

// diffDirs is diff of directories that are open; [noDir] is an empty one.
func diffDirs(a, b *Dir, d differ) error {
	if a.cid.Equals(b.cid) {
		return nil
	}
	return d.explain(a.cid, b.cid, d.opened(a, b))
}

func (d *differ) explain(a, b cid.Cid, err error) error {
	if err == nil || err == d.fault {
		return err
	}
	return fmt.Errorf("compare directories %s and %s: %w", a, b, err)
}

type differ struct {
	ctx     context.Context
	get     store.Getter
	fn      func(name string, old, updated *Entry) error
	onlyNew bool  // names that are not in the new directory do not count
	fault   error // of fn
}

func (d *differ) dirs(a, b cid.Cid) error {
	if a.Equals(b) {
		return nil
	}
	old, err := d.open(a)
	if err != nil {
		return err
	}
	updated, err := d.open(b)
	if err != nil {
		return err
	}
	return d.opened(old, updated)
}

func (d *differ) opened(old, updated *Dir) error {
	if old.Sharded() && updated.Sharded() {
		return d.shards(old.root, updated.root)
	}
	if d.onlyNew && !updated.Sharded() {
		return d.names(old, updated.root.node.Links)
	}
	return d.compare(old.entries(), updated.entries())
}

// names looks up what stands under the names of updated in old.
func (d *differ) names(old *Dir, updated []Link) error {
	for i := range updated {
		u := &updated[i]
		o, err := old.lookup(d.ctx, u.Name)
		switch {
		case errors.Is(err, ErrNoEntry):
			o = nil
		case err != nil:
			return err
		case o.Tsize == u.Tsize && o.cid == u.cid:
			continue
		default:
			o = &Link{Name: u.Name, Tsize: o.Tsize, cid: o.cid} // in a shard it has another name
		}
		if err := d.report(o, u); err != nil {
			return err
		}
	}
	return nil
}

// noDir stands for a directory that is not there. It is like an empty one.
var noDir = &Dir{root: shardRef{node: &Node{Kind: Directory}}}

func (d *differ) open(c cid.Cid) (*Dir, error) {
	if !c.Defined() {
		return noDir, nil
	}
	return openDir(d.ctx, d.get, c)
}

// report hands on what became of one entry.
func (d *differ) report(old, updated *Link) error {
	var name string
	var o, u *Entry
	if old != nil {
		e := entryOf(*old)
		name, o = e.Name, &e
	}
	if updated != nil {
		e := entryOf(*updated)
		name, u = e.Name, &e
	}
	d.fault = d.fn(name, o, u)
	return d.fault
}

// entries are those of a directory, or in one slot of a shard: links that are ordered by name, or
// what is in a shard, which can be far more than memory should hold.
type entries struct {
	links []Link
	shard *shardRef
}

func (d *Dir) entries() entries {
	if d.Sharded() {
		return entries{shard: &d.root}
	}
	return entries{links: d.root.node.Links}
}

// compare reports how entries differ that are not in a shard on both sides.
func (d *differ) compare(old, updated entries) error {
	switch {
	case old.shard != nil:
		return d.stream(*old.shard, updated.links, d.changed)
	case updated.shard != nil:
		return d.stream(*updated.shard, old.links, func(u, o *Link) error { return d.changed(o, u) })
	}
	return d.lists(old.links, updated.links)
}

// stream calls fn with each entry of a shard and what links have under its name, and then with
// those of links that are not in the shard.
func (d *differ) stream(shard shardRef, links []Link, fn func(in, link *Link) error) error {
	met := make([]bool, len(links))
	err := shard.each(d.ctx, d.get, func(in Link) error {
		i, ok := searchLinks(links, in.Name)
		if !ok {
			return fn(&in, nil)
		}
		met[i] = true
		return fn(&in, &links[i])
	})
	for i := range links {
		if err == nil && !met[i] {
			err = fn(nil, &links[i])
		}
	}
	return err
}

// lists compares entries that are ordered by name.
func (d *differ) lists(old, updated []Link) error {
	for len(old) > 0 || len(updated) > 0 {
		var o, u *Link
		if len(updated) == 0 || len(old) > 0 && old[0].Name <= updated[0].Name {
			o = &old[0]
		}
		if len(old) == 0 || len(updated) > 0 && updated[0].Name <= old[0].Name {
			u = &updated[0]
		}
		if o != nil {
			old = old[1:]
		}
		if u != nil {
			updated = updated[1:]
		}
		if err := d.changed(o, u); err != nil {
			return err
		}
	}
	return nil
}

// changed reports what became of one entry, unless that does not count.
func (d *differ) changed(old, updated *Link) error {
	if old != nil && updated != nil && *old == *updated || updated == nil && d.onlyNew {
		return nil
	}
	return d.report(old, updated)
}

// shards compares two shards that stand in the same place.
func (d *differ) shards(old, updated shardRef) error {
	a, b := old.node.Links, updated.node.Links
	for len(a) > 0 || len(b) > 0 {
		var l, r *Link
		if len(b) == 0 || len(a) > 0 && a[0].Name[:2] <= b[0].Name[:2] {
			l = &a[0]
		}
		if len(a) == 0 || len(b) > 0 && b[0].Name[:2] <= a[0].Name[:2] {
			r = &b[0]
		}
		if l != nil {
			a = a[1:]
		}
		if r != nil {
			b = b[1:]
		}
		if err := d.slots(old, updated, l, r); err != nil {
			return err
		}
	}
	return nil
}

// slots compares what stands in one slot on both sides.
func (d *differ) slots(old, updated shardRef, l, r *Link) error {
	if r == nil && d.onlyNew {
		return nil
	}
	if l != nil && r != nil {
		if *l == *r {
			return nil
		}
		if isShardLink(l) && isShardLink(r) {
			return d.children(old, updated, l, r)
		}
	}
	before, err := d.below(old, l)
	if err != nil {
		return err
	}
	after, err := d.below(updated, r)
	if err != nil {
		return err
	}
	return d.compare(before, after)
}

func (d *differ) children(old, updated shardRef, l, r *Link) error {
	if l.cid == r.cid { // another Tsize for the same shard is no difference in entries
		return nil
	}
	a, err := old.readChild(d.ctx, d.get, l)
	if err != nil {
		return err
	}
	b, err := updated.readChild(d.ctx, d.get, r)
	if err != nil {
		return err
	}
	return d.shards(a, b)
}

// below returns what is in one slot of a shard.
func (d *differ) below(s shardRef, l *Link) (entries, error) {
	if l == nil {
		return entries{}, nil
	}
	if !isShardLink(l) {
		return entries{links: []Link{{Name: l.Name[2:], Tsize: l.Tsize, cid: l.cid}}}, nil
	}
	child, err := s.readChild(d.ctx, d.get, l)
	return entries{shard: &child}, err
}
