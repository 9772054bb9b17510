package exchange

import (
	"context"
	"slices"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Finder finds out where blocks are. It looks at each block once, so that a block in several
// places is found in the first.
type Finder struct {
	get    store.Getter
	wanted func(cid.Cid) bool
	seen   keySet
}

// NewFinder returns a Finder of the blocks that wanted wants.
func NewFinder(get store.Getter, wanted func(cid.Cid) bool) *Finder {
	return &Finder{get: get, wanted: wanted}
}

// A trail is a path, from its end.
type trail struct {
	up   *trail
	name string
}

func (t *trail) String() string {
	if t.up == nil {
		return t.name
	}
	return t.up.String() + "/" + t.name
}

// place is a block, and where it is.
type place struct {
	ref
	at *trail
}

// Below calls fn with all wanted blocks at and below root that were not found before, and with
// their path: that of root, which is given, and names of files and directories. What cannot be read
// is passed over.
func (f *Finder) Below(ctx context.Context, path string, root cid.Cid, fn func(path string, c cid.Cid)) error {
	r, err := refOf(root)
	if err != nil {
		return nil
	}
	stack := []place{{r, &trail{name: path}}}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !f.seen.add(p.key()) {
			continue
		}
		c := p.cid()
		if f.wanted(c) {
			fn(p.at.String(), c)
		}
		if p.codec == cid.Raw {
			continue
		}
		data, err := f.get.Get(ctx, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			stack = append(stack, p.links(c, data)...)
		}
	}
	return nil
}

// links returns what a block links, the first last.
func (p place) links(c cid.Cid, data []byte) []place {
	var next []place
	node, err := unixfs.DecodeNode(data)
	if c.Type() != cid.DagProtobuf || err != nil {
		readLinks(c, data, func(r ref) { next = append(next, place{r, p.at}) })
		slices.Reverse(next)
		return next
	}
	for _, l := range node.Links {
		r, err := refOf(l.Cid())
		if err != nil {
			continue
		}
		at, name := p.at, l.Name
		if node.Kind == unixfs.HAMTShard {
			name = name[min(2, len(name)):] // behind the place in the shard
		}
		if name != "" && node.Kind != unixfs.File {
			at = &trail{at, name}
		}
		next = append(next, place{r, at})
	}
	slices.Reverse(next)
	return next
}
