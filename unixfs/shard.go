package unixfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"archivecache/store"

	"github.com/ipfs/go-cid"
	"github.com/twmb/murmur3"
)

// ErrCollision is two names with the same hash, which no sharded directory can hold together.
// Nobody meets them by chance.
var ErrCollision = errors.New("names have the same hash")

// hashLen is how many levels of shards there can be.
const hashLen = 8

// HashName returns the hash of a name; its highest byte counts in the root.
func HashName(name string) uint64 { return murmur3.StringSum64(name) }

// slotAt returns the slot for a hash in a shard so many levels below the root.
func slotAt(hash uint64, depth int) int { return int(byte(hash >> (56 - 8*depth))) }

const hexDigits = "0123456789ABCDEF"

// slotOf reads the slot from the name of a link in a shard.
func slotOf(name string) (int, error) {
	if len(name) < 2 {
		return 0, malformed("shard: link %q has no slot", name)
	}
	high, low := strings.IndexByte(hexDigits, name[0]), strings.IndexByte(hexDigits, name[1])
	if high < 0 || low < 0 {
		return 0, malformed("shard: link %q has no slot", name)
	}
	return high<<4 | low, nil
}

// mustSlot is slotOf for a link that was checked.
func mustSlot(name string) int {
	slot, _ := slotOf(name)
	return slot
}

func slotName(slot int, name string) string {
	return string([]byte{hexDigits[slot>>4], hexDigits[slot&15]}) + name
}

// isShardLink says whether a link of a shard leads to a shard below it.
func isShardLink(l *Link) bool { return len(l.Name) == 2 }

// A shardRef is a shard and its place, which decides about the hashes of the names in it.
type shardRef struct {
	node  *Node
	depth int
	path  uint64 // the slots above, from the highest byte on
}

// childPath is the place of the shard behind a slot.
func (s shardRef) childPath(slot int) uint64 {
	return s.path | uint64(slot)<<(56-8*s.depth)
}

// check compares the names in the shard with its place. This is also what bounds a tree
// that repeats a shard: its names cannot be right in two places.
func (s shardRef) check() error {
	links := s.node.Links
	if s.depth > 0 && (len(links) == 0 || len(links) == 1 && !isShardLink(&links[0])) {
		return malformed("shard: has %d entries, which need no shard", len(links))
	}
	for i := range links {
		if isShardLink(&links[i]) {
			continue
		}
		// A name belongs here if its hash agrees with the path in this byte and those above.
		unused := 56 - 8*s.depth
		want := s.childPath(mustSlot(links[i].Name)) >> unused
		if name := links[i].Name[2:]; HashName(name)>>unused != want {
			return malformed("shard: name %q stands in the wrong place", name)
		}
	}
	return nil
}

// readChild reads the shard behind a link of s.
func (s shardRef) readChild(ctx context.Context, get store.Getter, l *Link) (shardRef, error) {
	child := shardRef{depth: s.depth + 1, path: s.childPath(mustSlot(l.Name))}
	c := l.Cid()
	if child.depth == hashLen {
		return child, fmt.Errorf("block %s: %w", c, malformed("shard: too deep"))
	}
	n, _, err := readNode(ctx, get, c)
	if err != nil {
		return child, err
	}
	if n.Kind != HAMTShard {
		return child, fmt.Errorf("block %s: %w", c, malformed("%s in place of a shard", n.Kind))
	}
	child.node = n
	if err := child.check(); err != nil {
		return child, fmt.Errorf("block %s: %w", c, err)
	}
	return child, nil
}

// each calls fn with all entries, plain names, in the order of their hashes.
func (s shardRef) each(ctx context.Context, get store.Getter, fn func(Link) error) error {
	for i := range s.node.Links {
		l := &s.node.Links[i]
		if !isShardLink(l) {
			if err := fn(Link{Name: l.Name[2:], Tsize: l.Tsize, cid: l.cid}); err != nil {
				return err
			}
			continue
		}
		child, err := s.readChild(ctx, get, l)
		if err != nil {
			return err
		}
		if err := child.each(ctx, get, fn); err != nil {
			return err
		}
	}
	return nil
}

// lookup returns the entry with a name, or nil.
func (s shardRef) lookup(ctx context.Context, get store.Getter, name string) (*Link, error) {
	hash := HashName(name)
	for {
		l := s.at(slotAt(hash, s.depth))
		if l == nil || !isShardLink(l) {
			if l != nil && l.Name[2:] != name {
				l = nil
			}
			return l, nil
		}
		var err error
		if s, err = s.readChild(ctx, get, l); err != nil {
			return nil, err
		}
	}
}

// sameHash returns the other name that has the same hash as name; "" if there is none.
func (s shardRef) sameHash(ctx context.Context, get store.Getter, name string) (string, error) {
	hash := HashName(name)
	for {
		l := s.at(slotAt(hash, s.depth))
		switch {
		case l == nil:
			return "", nil
		case !isShardLink(l):
			if other := l.Name[2:]; other != name && HashName(other) == hash {
				return other, nil
			}
			return "", nil
		}
		var err error
		if s, err = s.readChild(ctx, get, l); err != nil {
			return "", err
		}
	}
}

// at returns the link in a slot, or nil.
func (s shardRef) at(slot int) *Link {
	i, ok := slices.BinarySearchFunc(s.node.Links, slot, func(l Link, slot int) int {
		return mustSlot(l.Name) - slot
	})
	if !ok {
		return nil
	}
	return &s.node.Links[i]
}

// A hashedLink is an entry and the hash of its name.
type hashedLink struct {
	Link
	hash uint64
}

// byHash hashes and orders entries as shards take them.
func byHash(links []Link) []hashedLink {
	hashed := make([]hashedLink, len(links))
	for i, l := range links {
		hashed[i] = hashedLink{l, HashName(l.Name)}
	}
	slices.SortFunc(hashed, func(a, b hashedLink) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return hashed
}

// group returns how many of the first entries share a slot at a depth.
func group(entries []hashedLink, depth int) int {
	slot := slotAt(entries[0].hash, depth)
	n := 1
	for n < len(entries) && slotAt(entries[n].hash, depth) == slot {
		n++
	}
	return n
}

// A shardWriter writes shards.
type shardWriter struct {
	ctx context.Context
	put store.Putter
}

// build writes a shard with entries, in the order of their hashes, and returns a link to it.
func (w *shardWriter) build(entries []hashedLink, depth int) (Link, error) {
	if depth == hashLen {
		return Link{}, fmt.Errorf("%q and %q: %w", entries[0].Name, entries[1].Name, ErrCollision)
	}
	links, err := w.slots(make([]Link, 0, min(len(entries), fanout)), entries, depth)
	if err != nil {
		return Link{}, err
	}
	return w.write(links)
}

// slots appends to the links of a shard those for entries, in the order of their hashes, and
// writes the shards below.
func (w *shardWriter) slots(links []Link, entries []hashedLink, depth int) ([]Link, error) {
	for len(entries) > 0 {
		n, slot := group(entries, depth), slotAt(entries[0].hash, depth)
		l := entries[0].Link
		if n > 1 {
			var err error
			if l, err = w.build(entries[:n], depth+1); err != nil {
				return nil, err
			}
			l.Name = ""
		}
		l.Name = slotName(slot, l.Name)
		links = append(links, l)
		entries = entries[n:]
	}
	return links, nil
}

// write writes the shard with the given links, in the order of their slots.
func (w *shardWriter) write(links []Link) (Link, error) {
	n := &Node{Kind: HAMTShard, Links: links, Data: bitfield(links)}
	b := store.NewBlock(cid.DagProtobuf, n.Encode())
	l := NewLink("", b.Cid, n.tsize(len(b.Data)))
	return l, w.put.Put(w.ctx, b)
}

// bitfield returns the slots of links as a big-endian number without leading zeros.
func bitfield(links []Link) []byte {
	var field [fanout / 8]byte
	for i := range links {
		slot := mustSlot(links[i].Name)
		field[len(field)-1-slot/8] |= 1 << (slot % 8)
	}
	if len(links) == 0 {
		return nil
	}
	highest := mustSlot(links[len(links)-1].Name)
	return slices.Clone(field[len(field)-1-highest/8:])
}
