// Package tree is the tree database: what stands at which path, who may change it, and
// what a merge makes of two of them.
//
// # The tree
//
// A tree is a plain directory: a Merkle map (package merkle) from names to entries. An entry is
//
//	{"policy": "value", "value": bytes}         any JSON value, compact, with sorted keys
//	{"policy": "directory", "link": CID}        a plain directory
//	{"policy": "identity_v1", "link": CID}      an identity document (package identity)
//	{"policy": "node_v1", "link": CID}          a node (package reference)
//	{"policy": "root_v1", "link": CID}          a root record; only at the path root
//
// The CID of the tree is the head of a repository. Everything but root is local: it is edited
// freely, and never merged. The package comments of its parts go on: path, merkle, reference,
// state, shared.
//
// # The root
//
// A root record is what people publish and merge:
//
//	{"directories": [founding documents], "state": CID, "view": CID, "shared": [{"directory": CID, "view": CID}, ...],
//	 "drafts": CID}
//
// directories lists the shared directories that are there from the start, by the settings of the
// repository. state is the state. view is the UnixFS directory that follows from the two, shared
// what each shared directory shows, sorted by id. drafts, absent if there are none, is a Merkle
// map from slots to edits that are not signed yet; a published root has none. Whoever merges a
// root takes its state and computes the rest.
package tree

import (
	"context"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

// A Policy says what an entry is and who may change it.
type Policy string

// The policies of entries. Those of directories below root are in package reference.
const (
	ValuePolicy     Policy = "value"
	DirectoryPolicy Policy = "directory"
	IdentityPolicy  Policy = "identity_v1"
	NodePolicy      Policy = "node_v1"
	RootPolicy      Policy = "root_v1"
)

// Reasons why a path cannot be used as asked. They are wrapped with the path.
var (
	ErrNotFound     = errors.New("nothing there")
	ErrNotDirectory = errors.New("not a directory")
	ErrIsDirectory  = errors.New("is a directory")
	ErrForbidden    = errors.New("not allowed")
	ErrNotOwner     = errors.New("belongs to somebody else")
	ErrForked       = errors.New("the author has forked it")
)

// MaxValue is the largest JSON text of a value, in bytes.
const MaxValue = 1 << 20

// An Entry is what stands at a path.
type Entry struct {
	Policy Policy        `cbor:"policy"`
	Value  []byte        `cbor:"value,omitempty"`
	Link   *dagcbor.Link `cbor:"link,omitempty"`
}

// NewValue returns the entry of a JSON value.
func NewValue(json []byte) Entry { return Entry{Policy: ValuePolicy, Value: json} }

// NewLink returns the entry of something that stands in a block of its own.
func NewLink(policy Policy, c cid.Cid) Entry {
	return Entry{Policy: policy, Link: dagcbor.LinkTo(c)}
}

func decodeEntry(data dagcbor.Raw) (Entry, error) {
	var e Entry
	if err := dagcbor.Unmarshal(data, &e); err != nil {
		return Entry{}, err
	}
	isValue := e.Policy == ValuePolicy
	if isValue != (e.Link == nil) || isValue != (len(e.Value) > 0) {
		return Entry{}, fmt.Errorf("%w: an entry of policy %q", merkle.ErrMalformed, e.Policy)
	}
	return e, nil
}

// A Tree is a tree that is being read or edited. It is not safe for use by several goroutines.
type Tree struct {
	Blocks store.Blocks
	// Trusts returns how much of each author counts in the root of the tree, as of its head; nil is
	// all of everybody.
	Trusts func(context.Context) (Trusts, error)

	head cid.Cid
	top  *plain
}

// plain is a plain directory in memory.
type plain struct {
	m    *merkle.Map
	subs map[string]*plain // those that were opened
}

// Open returns the tree with the given head; an undefined one is empty.
func Open(blocks store.Blocks, head cid.Cid) *Tree {
	return &Tree{Blocks: blocks, head: head, top: openPlain(blocks, head)}
}

func openPlain(blocks store.Getter, c cid.Cid) *plain {
	return &plain{m: merkle.NewMap(blocks, merkle.Whole, c), subs: map[string]*plain{}}
}

// Head returns what Open was given.
func (t *Tree) Head() cid.Cid { return t.head }

func (d *plain) get(ctx context.Context, name string) (Entry, error) {
	data, ok, err := d.m.Get(ctx, []byte(name))
	if err != nil {
		return Entry{}, err
	}
	if !ok {
		return Entry{}, ErrNotFound
	}
	return decodeEntry(data)
}

func (d *plain) set(ctx context.Context, name string, e Entry) error {
	data, err := dagcbor.Marshal(e)
	if err != nil {
		return err
	}
	delete(d.subs, name)
	return d.m.Set(ctx, []byte(name), data)
}

// sub returns the plain directory with the given name.
func (d *plain) sub(ctx context.Context, blocks store.Getter, name string, create bool) (*plain, error) {
	if s := d.subs[name]; s != nil {
		return s, nil
	}
	e, err := d.get(ctx, name)
	c := cid.Undef
	switch {
	case err == nil && e.Policy == DirectoryPolicy:
		c = e.Link.Target()
	case err == nil:
		return nil, ErrNotDirectory
	case !errors.Is(err, ErrNotFound) || !create:
		return nil, err
	}
	s := openPlain(blocks, c)
	d.subs[name] = s
	return s, nil
}

// at returns the plain directory at p.
func (t *Tree) at(ctx context.Context, p path.Path, create bool) (*plain, error) {
	d := t.top
	for _, name := range p.Names() {
		var err error
		if d, err = d.sub(ctx, t.Blocks, name, create); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	return d, nil
}

// Get returns the entry at p, a path in the local part of the tree.
func (t *Tree) Get(ctx context.Context, p path.Path) (Entry, error) {
	if p.IsTop() {
		return Entry{Policy: DirectoryPolicy}, nil
	}
	d, err := t.at(ctx, p.Parent(), false)
	if err != nil {
		return Entry{}, err
	}
	if s := d.subs[p.Base()]; s != nil {
		c, err := t.flushPlain(ctx, s)
		return NewLink(DirectoryPolicy, c), err
	}
	e, err := d.get(ctx, p.Base())
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", p, err)
	}
	return e, nil
}

// Set puts e at p, a path in the local part, and makes the plain directories above it.
func (t *Tree) Set(ctx context.Context, p path.Path, e Entry) error {
	if err := checkLocal(p, e); err != nil {
		return err
	}
	d, err := t.at(ctx, p.Parent(), true)
	if err != nil {
		return err
	}
	return d.set(ctx, p.Base(), e)
}

func checkLocal(p path.Path, e Entry) error {
	first, rest := p.First()
	switch {
	case p.IsTop():
		return fmt.Errorf("the top of the tree: %w", ErrIsDirectory)
	case first == path.Root && (!rest.IsTop() || e.Policy != RootPolicy):
		return fmt.Errorf("%s: %w below %s, which holds files only; use add", p, ErrForbidden, path.Root)
	case e.Policy == RootPolicy && first != path.Root:
		return fmt.Errorf("%s: %w: a root stands at %s only", p, ErrForbidden, path.Root)
	case len(e.Value) > MaxValue:
		return fmt.Errorf("%s: a value of %d bytes, of at most %d", p, len(e.Value), MaxValue)
	}
	return nil
}

// Remove deletes the entry at p, a path in the local part, with all below it.
func (t *Tree) Remove(ctx context.Context, p path.Path) error {
	if _, err := t.Get(ctx, p); err != nil {
		return err
	}
	if p.IsTop() || p == path.MustParse(path.Root) {
		return fmt.Errorf("%s: %w: it stays", p, ErrForbidden)
	}
	d, err := t.at(ctx, p.Parent(), false)
	if err != nil {
		return err
	}
	delete(d.subs, p.Base())
	return d.m.Delete(ctx, []byte(p.Base()))
}

// Each calls fn for every entry of the plain directory at p, in no useful order.
func (t *Tree) Each(ctx context.Context, p path.Path, fn func(name string, e Entry) error) error {
	d, err := t.at(ctx, p, false)
	if err != nil {
		return err
	}
	if _, err := t.flushPlain(ctx, d); err != nil { // opened directories may not be in the map yet
		return err
	}
	return d.m.Each(ctx, func(key []byte, data dagcbor.Raw) error {
		e, err := decodeEntry(data)
		if err != nil {
			return err
		}
		return fn(string(key), e)
	})
}

// Flush writes what was changed and returns the new head.
func (t *Tree) Flush(ctx context.Context) (cid.Cid, error) {
	return t.flushPlain(ctx, t.top)
}

func (t *Tree) flushPlain(ctx context.Context, d *plain) (cid.Cid, error) {
	for name, s := range d.subs {
		c, err := t.flushPlain(ctx, s)
		if err != nil {
			return cid.Undef, err
		}
		data, err := dagcbor.Marshal(NewLink(DirectoryPolicy, c))
		if err != nil {
			return cid.Undef, err
		}
		if err := d.m.Set(ctx, []byte(name), data); err != nil {
			return cid.Undef, err
		}
	}
	return d.m.Flush(ctx, t.Blocks)
}

// Root opens the root of the tree.
func (t *Tree) Root(ctx context.Context) (*Root, error) {
	e, err := t.Get(ctx, path.MustParse(path.Root))
	if err != nil {
		return nil, err
	}
	return t.openRoot(ctx, e.Link.Target())
}

// SetRoot commits r as the root of the tree.
func (t *Tree) SetRoot(ctx context.Context, r *Root) error {
	c, err := r.Commit(ctx)
	if err != nil {
		return err
	}
	return t.Set(ctx, path.MustParse(path.Root), NewLink(RootPolicy, c))
}
