package unixfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// ErrNoEntry is a name that a directory does not have.
var ErrNoEntry = errors.New("no such entry")

// ErrNotDirectory is something other than a directory where one is needed.
var ErrNotDirectory = errors.New("not a directory")

// A Dir is a directory that is open for reading. Its methods may be called from
// several goroutines.
type Dir struct {
	get  store.Getter
	cid  cid.Cid
	root shardRef // of a directory in one block, only the node counts
	size int      // bytes of the root block
}

// OpenDir reads the first block of the directory c.
func OpenDir(ctx context.Context, get store.Getter, c cid.Cid) (*Dir, error) {
	d, err := openDir(ctx, get, c)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return d, nil
}

func openDir(ctx context.Context, get store.Getter, c cid.Cid) (*Dir, error) {
	if c.Type() != cid.DagProtobuf { // a raw block need not be fetched to know
		return nil, fmt.Errorf("block %s: %w", c, ErrNotDirectory)
	}
	n, size, err := readNode(ctx, get, c)
	if err != nil {
		return nil, err
	}
	return newDir(get, c, n, size)
}

func newDir(get store.Getter, c cid.Cid, n *Node, size int) (*Dir, error) {
	d := &Dir{get: get, cid: c, root: shardRef{node: n}, size: size}
	switch n.Kind {
	case Directory:
		return d, nil
	case HAMTShard:
		if err := d.root.check(); err != nil {
			return nil, fmt.Errorf("block %s: %w", c, err)
		}
		return d, nil
	}
	return nil, fmt.Errorf("block %s is a %s: %w", c, n.Kind, ErrNotDirectory)
}

// Cid returns what OpenDir was given.
func (d *Dir) Cid() cid.Cid { return d.cid }

// Entry returns the directory as an entry without a name.
func (d *Dir) Entry() Entry { return Entry{Cid: d.cid, Tsize: d.root.node.tsize(d.size)} }

// Sharded says whether the directory is in more than one block.
func (d *Dir) Sharded() bool { return d.root.node.Kind == HAMTShard }

// Lookup returns the entry with a name. A name that is not there is an ErrNoEntry.
func (d *Dir) Lookup(ctx context.Context, name string) (Entry, error) {
	l, err := d.lookup(ctx, name)
	if err != nil {
		return Entry{}, fmt.Errorf("look up %q in directory %s: %w", name, d.cid, err)
	}
	return Entry{Name: name, Cid: l.Cid(), Tsize: l.Tsize}, nil
}

// SameHash returns the name of an entry because of which one with the given name could not be
// added: both have the same hash, and the directory is sharded. Else it returns "".
func (d *Dir) SameHash(ctx context.Context, name string) (string, error) {
	if !d.Sharded() {
		return "", nil
	}
	other, err := d.root.sameHash(ctx, d.get, name)
	if err != nil {
		return "", fmt.Errorf("look up %q in directory %s: %w", name, d.cid, err)
	}
	return other, nil
}

func (d *Dir) lookup(ctx context.Context, name string) (*Link, error) {
	var l *Link
	if d.Sharded() {
		var err error
		if l, err = d.root.lookup(ctx, d.get, name); err != nil {
			return nil, err
		}
	} else if i, ok := searchLinks(d.root.node.Links, name); ok {
		l = &d.root.node.Links[i]
	}
	if l == nil {
		return nil, ErrNoEntry
	}
	return l, nil
}

// searchLinks looks for a name in links that are ordered by name.
func searchLinks(links []Link, name string) (int, bool) {
	return slices.BinarySearchFunc(links, name, func(l Link, name string) int {
		return strings.Compare(l.Name, name)
	})
}

// Each calls fn with every entry and stops at its first error, which it returns as it is.
// A directory in one block is in the order of names, a sharded one in the order of
// hashes. Memory does not grow with the directory.
func (d *Dir) Each(ctx context.Context, fn func(Entry) error) error {
	var fault error
	err := d.each(ctx, func(l Link) error {
		fault = fn(entryOf(l))
		return fault
	})
	if err != nil && err != fault {
		return fmt.Errorf("list directory %s: %w", d.cid, err)
	}
	return err
}

func entryOf(l Link) Entry { return Entry{Name: l.Name, Cid: l.Cid(), Tsize: l.Tsize} }

func (d *Dir) each(ctx context.Context, fn func(Link) error) error {
	if d.Sharded() {
		return d.root.each(ctx, d.get, fn)
	}
	for _, l := range d.root.node.Links {
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

// List returns all entries in the order of the bytes of their names. A directory with more than
// limit entries is an error; 0 is no limit.
func (d *Dir) List(ctx context.Context, limit int) ([]Entry, error) {
	var links []Link
	err := d.each(ctx, func(l Link) error {
		if limit > 0 && len(links) == limit {
			return fmt.Errorf("more than %d entries", limit)
		}
		links = append(links, l)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list directory %s: %w", d.cid, err)
	}
	if d.Sharded() {
		sortLinks(links)
	}
	entries := make([]Entry, len(links))
	for i, l := range links {
		entries[i] = entryOf(l)
	}
	return entries, nil
}

func sortLinks(links []Link) {
	slices.SortFunc(links, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
}

// emptyDir is the block of the directory without entries.
var emptyDir = store.NewBlock(cid.DagProtobuf, (&Node{Kind: Directory}).Encode())

// EmptyDir returns the block of the directory without entries, and its entry without a name.
func EmptyDir() (store.Block, Entry) {
	b := store.Block{Cid: emptyDir.Cid, Data: slices.Clone(emptyDir.Data)}
	return b, Entry{Cid: b.Cid, Tsize: uint64(len(b.Data))}
}

// Build writes the directory with the given entries, in any order. A name that is not allowed
// or comes twice, and an entry without a CID of SHA-256, are errors.
func Build(ctx context.Context, put store.Putter, entries []Entry) (Entry, error) {
	links, err := linksOf(entries)
	if err == nil {
		err = checkCids(entries, false)
	}
	var l Link
	if err == nil {
		l, err = buildDir(ctx, put, links)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("build directory: %w", err)
	}
	return entryOf(l), nil
}

// linksOf returns entries as links, checked and ordered by name.
func linksOf(entries []Entry) ([]Link, error) {
	links := make([]Link, len(entries))
	for i, e := range entries {
		if err := CheckName(e.Name); err != nil {
			return nil, err
		}
		links[i] = NewLink(e.Name, e.Cid, e.Tsize)
	}
	if !slices.IsSortedFunc(links, func(a, b Link) int { return strings.Compare(a.Name, b.Name) }) {
		sortLinks(links)
	}
	for i := 1; i < len(links); i++ {
		if links[i].Name == links[i-1].Name {
			return nil, fmt.Errorf("name %q comes twice", links[i].Name)
		}
	}
	return links, nil
}

// buildDir writes the directory with links, which are ordered by name.
func buildDir(ctx context.Context, put store.Putter, links []Link) (Link, error) {
	if blockSize(links) <= MaxDirectory {
		return putNode(ctx, put, &Node{Kind: Directory, Links: links})
	}
	w := shardWriter{ctx: ctx, put: put}
	return w.build(byHash(links), 0)
}

// emptySize is the length of a directory block without links.
const emptySize = 4

// blockSize is the length of the block that a directory with these links would have.
func blockSize(links []Link) int {
	size := emptySize
	for i := range links {
		size += entrySize(&links[i])
	}
	return size
}

// entrySize is what a link with a plain name adds to a directory in one block.
func entrySize(l *Link) int { return linkSize(len(l.Name), len(l.cid), l.Tsize) }
