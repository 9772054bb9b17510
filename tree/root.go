package tree

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// A rootRecord is a root as it stands in a block; the package comment has the format.
type rootRecord struct {
	Directories []reference.Founding `cbor:"directories"`
	State       dagcbor.Link         `cbor:"state"`
	View        dagcbor.Link         `cbor:"view"`
	Shared      []sharedView         `cbor:"shared"`
	Drafts      *dagcbor.Link        `cbor:"drafts,omitempty"`
}

type sharedView struct {
	Directory dagcbor.Link `cbor:"directory"`
	View      dagcbor.Link `cbor:"view"`
}

// maxShared bounds the shared directories of a root record.
const maxShared = 10_000

func decodeRoot(data []byte) (rootRecord, error) {
	var r rootRecord
	if err := dagcbor.Unmarshal(data, &r); err != nil {
		return rootRecord{}, fmt.Errorf("root: %w", err)
	}
	switch {
	case len(r.Directories) > maxShared || len(r.Shared) > maxShared:
		return rootRecord{}, fmt.Errorf("root: %w: more than %d shared directories", merkle.ErrMalformed, maxShared)
	case r.State.Type() != cid.DagCBOR || r.View.Type() != cid.DagProtobuf:
		return rootRecord{}, fmt.Errorf("root: %w: state and view have wrong codecs", merkle.ErrMalformed)
	}
	for _, f := range r.Directories {
		if f.Policy != reference.SharedPolicy || f.Owner != nil {
			return rootRecord{}, fmt.Errorf("root: %w: a directory from the start that is not shared", merkle.ErrMalformed)
		}
		if err := path.CheckPublished(f.Path); err != nil {
			return rootRecord{}, fmt.Errorf("root: %w", err)
		}
	}
	return r, nil
}

// A Draft is an edit that is committed and not signed yet: what the next reference of the slot
// will hold.
type Draft struct {
	Directory reference.Founding `cbor:"directory"`
	Author    dagcbor.Link       `cbor:"author"`
	Path      string             `cbor:"path"`
	Content   *dagcbor.Link      `cbor:"content,omitempty"`
	Marks     *dagcbor.Link      `cbor:"marks,omitempty"`
	Deleted   bool               `cbor:"deleted,omitempty"`
	// Base is the block of the reference that the draft was made on.
	Base *dagcbor.Link `cbor:"base,omitempty"`
}

// Slot returns what the reference that d becomes competes for.
func (d *Draft) Slot() reference.Slot {
	return reference.Slot{Directory: d.Directory.ID(), Author: d.Author.Cid}
}

// A Root is a root that is being read or edited. Edits are drafts; [Root.Commit] computes the view.
type Root struct {
	blocks store.Blocks
	cid    cid.Cid
	record rootRecord
	state  *state.State
	drafts *merkle.Map
	before []*Directory // as of record, with views; nil until it is needed
	opened Trusts       // by which the record was made that was opened
	trusts Trusts       // by which the next one is made

	// What was changed since: only that is read again.
	touched    map[cid.Cid]reference.Founding // directory id -> founding document
	allTouched bool
}

// touch notes that a slot of the directory was changed.
func (r *Root) touch(f *reference.Founding) {
	if f == nil {
		return // a node, which is no directory
	}
	if r.touched == nil {
		r.touched = map[cid.Cid]reference.Founding{}
	}
	r.touched[f.ID()] = *f
}

var draftPosition = merkle.Split(reference.DirectoryKeySize)

// NewRoot returns an empty root in which the given shared directories are there from the start.
func NewRoot(blocks store.Blocks, directories []reference.Founding) *Root {
	return &Root{
		blocks: blocks,
		record: rootRecord{Directories: directories},
		state:  state.Open(blocks, cid.Undef),
		drafts: merkle.NewMap(blocks, draftPosition, cid.Undef),
		before: []*Directory{},
	}
}

// OpenRoot reads the root record c.
func OpenRoot(ctx context.Context, blocks store.Blocks, c cid.Cid) (*Root, error) {
	data, err := blocks.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	record, err := decodeRoot(data)
	if err != nil {
		return nil, err
	}
	return &Root{
		blocks: blocks, cid: c, record: record,
		state:  state.Open(blocks, record.State.Cid),
		drafts: merkle.NewMap(blocks, draftPosition, record.Drafts.Target()),
	}, nil
}

// Cid returns the CID of the root as it was opened.
func (r *Root) Cid() cid.Cid { return r.cid }

// View returns the CID of the UnixFS directory that the root shows, as of its last commit.
func (r *Root) View() cid.Cid { return r.record.View.Cid }

// StateCid returns the CID of the state, as of the last commit.
func (r *Root) StateCid() cid.Cid { return r.record.State.Cid }

// State returns the state, for reading.
func (r *Root) State() *state.State { return r.state }

// Drafts calls fn for every draft.
func (r *Root) Drafts(ctx context.Context, fn func(*Draft) error) error {
	return r.drafts.Each(ctx, func(key []byte, data dagcbor.Raw) error {
		d, err := decodeDraft(data)
		if err != nil {
			return err
		}
		return fn(d)
	})
}

func decodeDraft(data dagcbor.Raw) (*Draft, error) {
	d := new(Draft)
	if err := dagcbor.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	return d, nil
}

func (r *Root) draft(ctx context.Context, slot reference.Slot) (*Draft, error) {
	data, ok, err := r.drafts.Get(ctx, slot.Key())
	if err != nil || !ok {
		return nil, err
	}
	return decodeDraft(data)
}

// setDraft records d, made on the reference that the state holds now. A draft that equals that
// reference is none.
func (r *Root) setDraft(ctx context.Context, d *Draft) error {
	slot := d.Slot()
	r.touch(&d.Directory)
	held, err := r.state.Get(ctx, slot)
	if err != nil {
		return err
	}
	if held.Fork != nil {
		return fmt.Errorf("%s: %w", d.Path, ErrForked)
	}
	d.Base = nil
	if base := held.Reference; base != nil {
		if d.equals(base) {
			return r.drafts.Delete(ctx, slot.Key())
		}
		b, err := base.Block()
		if err != nil {
			return err
		}
		if err := r.blocks.Put(ctx, b); err != nil {
			return err
		}
		d.Base = dagcbor.LinkTo(b.Cid)
	} else if d.Deleted || d.Directory.Policy == reference.SharedPolicy && d.Content == nil && d.Marks == nil {
		return r.drafts.Delete(ctx, slot.Key()) // it was never published
	}
	data, err := dagcbor.Marshal(d)
	if err != nil {
		return err
	}
	return r.drafts.Set(ctx, slot.Key(), data)
}

func (d *Draft) equals(ref *reference.Reference) bool {
	return d.Path == ref.Path && d.Deleted == ref.Deleted &&
		d.Content.Target().Equals(ref.Content.Target()) && d.Marks.Target().Equals(ref.Marks.Target())
}

// Commit computes the view that follows from the state and the drafts, writes the root and
// returns its CID. What was not changed since the last commit is not computed again.
func (r *Root) Commit(ctx context.Context) (cid.Cid, error) {
	if r.cid.Defined() && len(r.touched) == 0 && !r.allTouched {
		return r.cid, nil
	}
	before, err := r.directoriesBefore(ctx)
	if err != nil {
		return cid.Undef, err
	}
	now, err := r.directories(ctx)
	if err != nil {
		return cid.Undef, err
	}
	next := rootRecord{Directories: r.record.Directories}
	for _, d := range now {
		if d.Founding.Policy != reference.SharedPolicy {
			continue
		}
		if err := r.computeShared(ctx, before, d); err != nil {
			return cid.Undef, fmt.Errorf("%s: %w", d.Founding.Path, err)
		}
		if _, err := merkle.PutNode(ctx, r.blocks, d.Founding); err != nil { // what the link below leads to
			return cid.Undef, err
		}
		next.Shared = append(next.Shared, sharedView{dagcbor.Link{Cid: d.ID}, dagcbor.Link{Cid: d.Content}})
	}
	slices.SortFunc(next.Shared, func(a, b sharedView) int {
		return bytes.Compare(a.Directory.Bytes(), b.Directory.Bytes())
	})
	return r.write(ctx, now, next)
}

func (r *Root) write(ctx context.Context, now []*Directory, next rootRecord) (cid.Cid, error) {
	view, err := writeView(ctx, r.blocks, now)
	if err != nil {
		return cid.Undef, err
	}
	next.View = dagcbor.Link{Cid: view}
	st, err := r.state.Flush(ctx, r.blocks)
	if err != nil {
		return cid.Undef, err
	}
	next.State = dagcbor.Link{Cid: st}
	if n, err := r.drafts.Len(ctx); err != nil {
		return cid.Undef, err
	} else if n > 0 {
		drafts, err := r.drafts.Flush(ctx, r.blocks)
		if err != nil {
			return cid.Undef, err
		}
		next.Drafts = dagcbor.LinkTo(drafts)
	}
	c, err := merkle.PutNode(ctx, r.blocks, next)
	if err != nil {
		return cid.Undef, err
	}
	r.cid, r.record, r.before, r.touched, r.allTouched = c, next, now, nil, false
	r.state = state.Open(r.blocks, st)
	return c, nil
}

// computeShared sets the content of d to what its layers show now.
func (r *Root) computeShared(ctx context.Context, before []*Directory, d *Directory) error {
	old := shared.Directory{}
	oldView := cid.Undef
	for _, b := range before {
		if b.ID.Equals(d.ID) {
			old, oldView = b.shared(), b.Content
		}
	}
	view, err := shared.View(ctx, r.blocks, old, oldView, d.shared())
	d.Content = view
	return err
}

// directoriesBefore returns the directories as of the last commit.
func (r *Root) directoriesBefore(ctx context.Context) ([]*Directory, error) {
	if r.before != nil {
		return r.before, nil
	}
	committed := &Root{
		blocks: r.blocks, record: r.record,
		state:  state.Open(r.blocks, r.record.State.Cid),
		drafts: merkle.NewMap(r.blocks, draftPosition, r.record.Drafts.Target()),
		trusts: r.opened,
	}
	dirs, err := committed.directories(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		for _, s := range r.record.Shared {
			if s.Directory.Equals(d.ID) {
				d.Content = s.View.Cid
			}
		}
	}
	r.before = dirs
	return dirs, nil
}
