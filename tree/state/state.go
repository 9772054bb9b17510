// Package state keeps the newest reference of every author for every directory, and joins
// what two people know.
//
// A state is a Merkle map (package merkle, keys of two parts) from slots, (directory id, author),
// to values:
//
//	{"reference": {...}}                                       the newest reference known
//	{"fork": {"directory": {...}, "epoch": n, "owner": link}}  the author has forked the directory in that epoch
//
// # Joining
//
// The join of two values of a slot, drawn as histories with the newest reference at the right:
//
//	ours    1 - 2 - 3            ours    1 - 2 - 3            ours    1 - 2 - 3
//	theirs  1 - 2 - 3 - 4 - 5    theirs  1 - 2                theirs  1 - 2 - 3'
//	joined  5 (newer)            joined  3 (theirs is stale)  joined  fork
//
// A fork absorbs every reference of the same and of lower epochs. So for references whose
// histories can be read, the join is the maximum of a partial order with the fork on top:
// commutative, associative and idempotent. What arrives takes part only if its author is accepted
// here and the signature is right; a fork that somebody reports takes part only with its proof,
// two references that are signed and do not continue each other.
//
// # Rotations
//
// The rotations of all authors stand in the state as well, in slots of their own. A rotation sets
// all other slots of its author to what it names: references that an old key signed beside that
// are taken out, and do not come back. So for each author the join is first that of the rotations,
// of which the later one wins, and then that of what was signed since. Two rotations that do not
// continue each other are a fork of the identity itself: nothing of that author counts any more.
//
// Beside the state stands the mark of each slot: the newest reference that was ever recorded here,
// kept outside the tree. What is offered is compared with the mark as well, so neither an undo nor
// a restored copy of the tree makes an old reference new again.
package state

import (
	"context"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// A Value is what a state holds for a slot: one of the two.
type Value struct {
	Reference *reference.Reference `cbor:"reference,omitempty"`
	Fork      *Fork                `cbor:"fork,omitempty"`
}

// A Fork says that an author has signed, in that epoch, two references for the directory that do
// not continue each other.
type Fork struct {
	Directory reference.Founding `cbor:"directory"`
	Epoch     uint64             `cbor:"epoch"`
	Owner     dagcbor.Link       `cbor:"owner"`
}

// forkOf returns the fork that r takes part in. An identity is forked for good, so that the epoch
// says nothing.
func forkOf(r *reference.Reference) *Fork {
	f := &Fork{Directory: r.Founding(), Epoch: r.Epoch, Owner: r.Owner}
	if r.Policy == reference.RotationPolicy {
		f.Epoch = 0
	}
	return f
}

// Decode reads a value and checks that it belongs to slot.
func Decode(slot reference.Slot, data dagcbor.Raw) (Value, error) {
	var v Value
	if err := dagcbor.Unmarshal(data, &v); err != nil {
		return Value{}, err
	}
	var holds reference.Slot
	switch {
	case (v.Reference == nil) == (v.Fork == nil):
		return Value{}, fmt.Errorf("%w: a value has either a reference or a fork", merkle.ErrMalformed)
	case v.Fork != nil:
		holds = reference.Slot{Directory: v.Fork.Directory.ID(), Author: v.Fork.Owner.Cid}
	default:
		if err := v.Reference.Check(); err != nil {
			return Value{}, err
		}
		if v.Reference.Policy == reference.NodePolicy {
			return Value{}, fmt.Errorf("%w: a node in a state", merkle.ErrMalformed)
		}
		holds = v.Reference.Slot()
	}
	if !holds.Author.Equals(slot.Author) {
		return Value{}, fmt.Errorf("%w: a reference of %s in the slot of %s", reference.ErrWrongOwner, holds.Author, slot.Author)
	}
	if holds != slot {
		return Value{}, fmt.Errorf("%w: a value stands in the slot of another", merkle.ErrMalformed)
	}
	return v, nil
}

// A State is a state that is being read or joined. It is not safe for use by several goroutines.
type State struct {
	blocks store.Getter
	root   cid.Cid
	m      *merkle.Map
}

var position = merkle.Split(reference.DirectoryKeySize)

// Open returns the state with the given root; an undefined one is the empty state.
func Open(blocks store.Getter, root cid.Cid) *State {
	return &State{blocks: blocks, root: root, m: merkle.NewMap(blocks, position, root)}
}

// Get returns what the state holds for slot; the zero Value if nothing.
func (s *State) Get(ctx context.Context, slot reference.Slot) (Value, error) {
	data, ok, err := s.m.Get(ctx, slot.Key())
	if err != nil || !ok {
		return Value{}, err
	}
	return Decode(slot, data)
}

// Set puts v into slot without any check; [State.Offer] is the way in for what comes from outside.
func (s *State) Set(ctx context.Context, slot reference.Slot, v Value) error {
	data, err := dagcbor.Marshal(v)
	if err != nil {
		return err
	}
	return s.m.Set(ctx, slot.Key(), data)
}

// Remove empties a slot.
func (s *State) Remove(ctx context.Context, slot reference.Slot) error {
	return s.m.Delete(ctx, slot.Key())
}

// Each calls fn for every slot.
func (s *State) Each(ctx context.Context, fn func(reference.Slot, Value) error) error {
	return s.m.Each(ctx, decoding(fn))
}

// EachOf calls fn for every slot of one directory.
func (s *State) EachOf(ctx context.Context, directory cid.Cid, fn func(reference.Slot, Value) error) error {
	return s.m.EachWith(ctx, directory.Bytes(), decoding(fn))
}

func decoding(fn func(reference.Slot, Value) error) func([]byte, dagcbor.Raw) error {
	return func(key []byte, data dagcbor.Raw) error {
		slot, err := reference.ParseSlot(key)
		if err != nil {
			return err
		}
		v, err := Decode(slot, data)
		if err != nil {
			return err
		}
		return fn(slot, v)
	}
}

// Restrict removes the slots of all authors that are not accepted, and returns how many.
func (s *State) Restrict(ctx context.Context, accepted func(cid.Cid) bool) (int, error) {
	var drop [][]byte
	err := s.m.Each(ctx, func(key []byte, _ dagcbor.Raw) error {
		slot, err := reference.ParseSlot(key)
		if err == nil && !accepted(slot.Author) {
			drop = append(drop, key)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, key := range drop {
		if err := s.m.Delete(ctx, key); err != nil {
			return 0, err
		}
	}
	return len(drop), nil
}

// Flush writes what was changed and returns the root.
func (s *State) Flush(ctx context.Context, blocks store.Putter) (cid.Cid, error) {
	return s.m.Flush(ctx, blocks)
}

// In returns the references in a block of a state; nothing if it is another block.
func In(data []byte) []*reference.Reference {
	var leaf struct {
		Entries []struct {
			_     struct{} `cbor:",toarray"`
			Key   []byte
			Value Value
		} `cbor:"entries"`
	}
	if dagcbor.Unmarshal(data, &leaf) != nil {
		return nil
	}
	var found []*reference.Reference
	for _, e := range leaf.Entries {
		if e.Value.Reference != nil {
			found = append(found, e.Value.Reference)
		}
	}
	return found
}
