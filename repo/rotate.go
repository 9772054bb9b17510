package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// Keys are the private keys of an identity, one for each epoch. [identity.Secret] is one.
type Keys interface {
	ID() cid.Cid
	At(epoch uint64) (*identity.Key, error)
}

// ErrNoEntry is an entry of the log that does not exist.
var ErrNoEntry = errors.New("no such entry in the log")

// signer returns the key of the epoch that counts, with the chain that leads to it.
func (tx *Tx) signer(ctx context.Context, keys Keys) (reference.Signer, reference.Chain, error) {
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return nil, reference.Chain{}, err
	}
	chain, err := root.Chain(ctx, keys.ID(), tx.StateMark)
	if err != nil {
		return nil, reference.Chain{}, err
	}
	key, err := keys.At(chain.Epoch())
	return key, chain, err
}

// A Rotation is how Rotate is to be done.
type Rotation struct {
	// AsOf is the entry of the log after which the references that count stood in root; 0 is now.
	AsOf int64
	// Drop says that what the identity has published elsewhere and is not merged here shall not
	// count. Without it that is [ErrElsewhere].
	Drop bool
}

// Rotated is what Rotate did.
type Rotated struct {
	Reference *reference.Reference
	Changes   []state.Change // what does not count any more, or again
}

// Rotate replaces the key of an identity by the next one, which keys has, as well as the one after
// that. What the old key has signed counts as far as it stands in root now, or after an entry of
// the log; of a directory that is forked, the side that was known here first.
func (tx *Tx) Rotate(ctx context.Context, keys Keys, how Rotation) (Rotated, error) {
	old, chain, err := tx.signer(ctx, keys)
	if err != nil {
		return Rotated{}, err
	}
	if err := tx.checkElsewhere(ctx, keys.ID(), chain.Epoch()); errors.Is(err, ErrElsewhere) && !how.Drop {
		return Rotated{}, err
	} else if err != nil && !errors.Is(err, ErrElsewhere) && !errors.Is(err, ErrForked) {
		return Rotated{}, err
	}
	next, err := keys.At(chain.Epoch() + 1)
	if err != nil {
		return Rotated{}, err
	}
	after, err := keys.At(chain.Epoch() + 2)
	if err != nil {
		return Rotated{}, err
	}
	last, err := tx.last(ctx, keys.ID(), how.AsOf)
	if err != nil {
		return Rotated{}, err
	}
	commitment := sha256.Sum256(after.Public())
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return Rotated{}, err
	}
	done := Rotated{}
	done.Reference, done.Changes, err = root.Rotate(ctx, tx.StateMark, tree.Rotation{
		Old: old, New: next, Commitment: commitment[:], Last: last, Time: uint64(time.Now().Unix()),
	})
	if err != nil {
		return done, err
	}
	return done, tx.markRotated(ctx, done)
}

// markRotated records a rotation of one's own, and the references that count by it.
func (tx *Tx) markRotated(ctx context.Context, done Rotated) error {
	for _, c := range done.Changes {
		mark, err := tx.Mark(ctx, c.Slot)
		if err != nil {
			return err
		}
		if c.Offered != nil {
			mark = Mark{Mark: state.Mark{Reference: c.Offered}, Complete: true}
		}
		mark.Pending = nil
		tx.SetMark(c.Slot, mark)
	}
	return nil
}

// last returns the references of an author that stand in root, now or after an entry of the log.
func (tx *Tx) last(ctx context.Context, author cid.Cid, entry int64) ([]*reference.Reference, error) {
	root, err := tx.rootAfter(ctx, entry)
	if err != nil {
		return nil, err
	}
	var last []*reference.Reference
	err = root.State().Each(ctx, func(slot reference.Slot, v state.Value) error {
		if !slot.Author.Equals(author) || slot == reference.RotationSlot(author) {
			return nil
		}
		ref := v.Reference
		if v.Fork != nil {
			mark, err := tx.Mark(ctx, slot)
			if err != nil {
				return err
			}
			ref = mark.Reference
		}
		if ref != nil {
			last = append(last, ref)
		}
		return nil
	})
	return last, err
}

// rootAfter returns the root as it was after an entry of the log; 0 is the root of the commit.
func (tx *Tx) rootAfter(ctx context.Context, entry int64) (*tree.Root, error) {
	if entry == 0 {
		return tx.EditRoot(ctx)
	}
	entries, err := tx.repo.Log(ctx, entry+1, 1)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 || entries[0].ID != entry || !entries[0].Root.Defined() {
		return nil, fmt.Errorf("entry %d: %w", entry, ErrNoEntry)
	}
	return tree.OpenRoot(ctx, tx.Blocks, entries[0].Root)
}

// Chain returns the keys of an author up to the epoch that counts by now, as far as is known here.
func (r *Repo) Chain(ctx context.Context, id cid.Cid) (reference.Chain, error) {
	t, err := r.Tree(ctx)
	if err != nil {
		return reference.Chain{}, err
	}
	root, err := t.Root(ctx)
	if err != nil {
		return reference.Chain{}, err
	}
	return root.Chain(ctx, id, func(ctx context.Context, slot reference.Slot) (state.Mark, error) {
		m, err := r.Mark(ctx, slot)
		return m.Mark, err
	})
}

// recordedChain returns the keys of an author up to the epoch that the newest rotation starts that
// is known here, in effect or not.
func (r *Repo) recordedChain(ctx context.Context, id cid.Cid) (reference.Chain, error) {
	mark, err := r.Mark(ctx, reference.RotationSlot(id))
	if err != nil || mark.Reference == nil {
		return reference.Chain{}, err
	}
	b, err := mark.Reference.Block()
	if err != nil {
		return reference.Chain{}, err
	}
	return reference.OpenChain(ctx, r.store, id, dagcbor.LinkTo(b.Cid))
}
