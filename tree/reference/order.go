package reference

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
)

// An Order says how an offered reference stands to the one that is known of the same slot.
type Order int

// The orders. In an incomplete one, history that decides it could not be read.
const (
	Same Order = iota
	Newer
	Stale
	Forked
	Incomplete
)

func (o Order) String() string {
	return [...]string{"same", "newer", "stale", "forked", "incomplete"}[o]
}

// ErrOtherSlot is a comparison of references that do not compete.
var ErrOtherSlot = errors.New("references of different directories or authors")

// Compare says how offered stands to known. Both have to be verified, and of epochs after the
// first to continue what their rotation names, so that the later epoch is the newer one. With
// Incomplete comes an error that names the missing block.
func Compare(ctx context.Context, blocks store.Getter, known, offered *Reference) (Order, error) {
	if known.Slot() != offered.Slot() {
		return 0, ErrOtherSlot
	}
	knownHash, err := known.Hash()
	if err != nil {
		return 0, err
	}
	offeredHash, err := offered.Hash()
	if err != nil {
		return 0, err
	}
	if bytes.Equal(knownHash, offeredHash) {
		return Same, nil
	}
	epochs := cmp.Compare(offered.Epoch, known.Epoch)
	if epochs != 0 && known.Policy != RotationPolicy {
		return map[int]Order{1: Newer, -1: Stale}[epochs], nil
	}
	switch cmp.Or(epochs, cmp.Compare(offered.Sequence, known.Sequence)) {
	case 1:
		return continues(ctx, blocks, offered, known, knownHash, Newer)
	case -1:
		return continues(ctx, blocks, known, offered, offeredHash, Stale)
	}
	return Forked, nil
}

// After reports whether r claims to be later than other, by epoch and sequence; nil is before
// everything.
func (r *Reference) After(other *Reference) bool {
	if r == nil {
		return false
	}
	return other == nil || cmp.Or(cmp.Compare(r.Epoch, other.Epoch), cmp.Compare(r.Sequence, other.Sequence)) > 0
}

// continues returns yes if high continues low, and Forked if not. A history that is not well
// formed is the same for everybody who reads it, so it continues nothing; one that cannot be read
// now says nothing.
func continues(ctx context.Context, blocks store.Getter, high, low *Reference, lowHash []byte, yes Order) (Order, error) {
	ok, err := false, error(nil)
	if high.Policy == RotationPolicy {
		ok, err = high.builtOn(ctx, blocks, low)
	} else {
		ok, err = high.holds(ctx, blocks, low, lowHash, yes == Stale)
	}
	switch {
	case errors.Is(err, ErrMalformed) || errors.Is(err, merkle.ErrMalformed):
		return Forked, nil
	case err != nil:
		return Incomplete, fmt.Errorf("history: %w", err)
	case !ok:
		return Forked, nil
	}
	return yes, nil
}

// holds reports whether the history of r holds low and all that the history of low holds. Without
// the second an author could list two references that do not continue each other, and who has met
// both in passing would know of a fork that others do not. If lenient is set, the history of low
// may be missing.
func (r *Reference) holds(ctx context.Context, blocks store.Getter, low *Reference, lowHash []byte, lenient bool) (bool, error) {
	place, err := low.position(ctx, blocks)
	if err != nil {
		return false, err
	}
	log, err := r.Log(ctx, blocks)
	if err != nil || place >= log.Length {
		return false, err
	}
	if hash, err := log.At(ctx, blocks, place); err != nil || !bytes.Equal(hash, lowHash) {
		return false, err
	}
	lowLog, err := low.Log(ctx, blocks)
	ok := err == nil
	if ok {
		ok, err = log.Extends(ctx, blocks, lowLog)
	}
	if lenient && errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return ok, err
}

// Parting returns the first two references in which a and b, which are verified and do not continue
// each other, part: of rotations, the first two that differ in the two chains, which replace one key;
// of others, a and b.
func Parting(ctx context.Context, blocks store.Getter, a, b *Reference) (*Reference, *Reference, error) {
	if a.Policy != RotationPolicy || b.Policy != RotationPolicy {
		return a, b, nil
	}
	chainA, err := a.rotationsTo(ctx, blocks)
	if err != nil {
		return nil, nil, err
	}
	chainB, err := b.rotationsTo(ctx, blocks)
	if err != nil {
		return nil, nil, err
	}
	for i := range min(len(chainA), len(chainB)) {
		order, err := Compare(ctx, blocks, chainA[i], chainB[i])
		if order != Same || err != nil {
			return chainA[i], chainB[i], err
		}
	}
	return nil, nil, fmt.Errorf("the rotation to epoch %d continues that to epoch %d", max(a.Epoch, b.Epoch)+1, min(a.Epoch, b.Epoch)+1)
}

// rotationsTo returns the rotations up to r, which is one, the oldest first.
func (r *Reference) rotationsTo(ctx context.Context, blocks store.Getter) ([]*Reference, error) {
	earlier, err := readRotations(ctx, blocks, r.Owner.Cid, r.Rotation)
	return append(earlier, r), err
}

// position returns how many references precede r.
func (r *Reference) position(ctx context.Context, blocks store.Getter) (uint64, error) {
	if r.Epoch == 0 {
		return r.Sequence - 1, nil
	}
	log, err := r.Log(ctx, blocks)
	return log.Length, err
}

// Log returns the history of r. In epoch 0 its length follows from the sequence and is checked.
func (r *Reference) Log(ctx context.Context, blocks store.Getter) (merkle.Log, error) {
	log, err := merkle.OpenLog(ctx, blocks, r.History.Target())
	if err != nil {
		return merkle.Log{}, err
	}
	if r.Epoch == 0 && log.Length != r.Sequence-1 {
		return merkle.Log{}, fmt.Errorf("%w: sequence %d has a history of %d", ErrMalformed, r.Sequence, log.Length)
	}
	return log, nil
}

// Continue sets the sequence and history of r, a reference that is yet to be signed, to be the
// next after previous; nil is none, which makes r the first. The epoch of r has to be set, and
// starts a new sequence if it is later than that of previous.
func (r *Reference) Continue(ctx context.Context, blocks store.Blocks, previous *Reference) error {
	r.Sequence, r.History = 1, nil
	if previous == nil {
		return nil
	}
	if previous.Epoch > r.Epoch {
		return fmt.Errorf("%s: %w: the key of epoch %d is replaced", previous.name(), ErrOldKey, r.Epoch)
	}
	log, err := previous.Log(ctx, blocks)
	if err != nil {
		return fmt.Errorf("history of %s: %w", previous.name(), err)
	}
	hash, err := previous.Hash()
	if err != nil {
		return err
	}
	if log, err = log.Append(ctx, blocks, hash); err != nil {
		return err
	}
	if previous.Epoch == r.Epoch {
		r.Sequence = previous.Sequence + 1
	}
	r.History = dagcbor.LinkTo(log.Root)
	return nil
}

// name returns what r is about, for people.
func (r *Reference) name() string {
	if r.Policy == NodePolicy {
		return "the node of " + r.Owner.String()
	}
	return r.Path
}
