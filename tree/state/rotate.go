package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// ErrIdentityForked is an author who has rotated the same key twice.
var ErrIdentityForked = errors.New("the author has signed two rotations of the same key, so nothing of theirs counts; only a new identity helps")

// ErrNotInEffect is a rotation that is known, and that is not in the state: what it names is
// missing, or malformed. What it names counts of the keys before, and nobody can tell what that
// is.
var ErrNotInEffect = errors.New("a rotation of the key is known, and what it names cannot be read")

// Rotation returns the rotation of author that counts; nil if there is none. The error is
// [ErrIdentityForked] if there are two that do not continue each other.
func (s *State) Rotation(ctx context.Context, author cid.Cid) (*reference.Reference, error) {
	v, err := s.Get(ctx, reference.RotationSlot(author))
	if err == nil && v.Fork != nil {
		err = fmt.Errorf("%s: %w", author, ErrIdentityForked)
	}
	return v.Reference, err
}

// epochAfter returns the epoch that a rotation starts; 0 without one.
func epochAfter(rotation *reference.Reference) uint64 {
	if rotation == nil {
		return 0
	}
	return rotation.Epoch + 1
}

// byRotation decides about change.Offered as far as the rotations of its author do: decided says
// that nothing is left to do.
func (j *joiner) byRotation(ctx context.Context, change Change) (decided bool, err error) {
	r := change.Offered
	known, err := j.learn(ctx, r)
	switch {
	case errors.Is(err, store.ErrNotFound):
		j.add(change.with(Incomplete, err))
		return true, nil
	case err != nil:
		return false, err
	}
	rotation, err := j.Rotation(ctx, r.Owner.Cid)
	switch {
	case errors.Is(err, ErrIdentityForked):
		j.add(change.with(RefusedKey, err))
		return true, nil
	case err != nil:
		return false, err
	}
	epoch := epochAfter(rotation)
	switch {
	case r.Epoch > epoch:
		j.add(change.with(Incomplete, fmt.Errorf("the rotation to epoch %d cannot be read now", r.Epoch)))
		return true, nil
	case r.Epoch < epoch:
		return true, j.old(ctx, change, rotation)
	case epochAfter(known) > epoch && !j.malformed(known):
		j.add(change.with(Incomplete, fmt.Errorf("%w: to epoch %d", ErrNotInEffect, epochAfter(known))))
		return true, nil
	}
	return false, nil
}

// learn makes the rotation that r is signed under known, and what was recorded before, of which it
// returns the newest rotation, in effect or not; nil if there is none.
func (j *joiner) learn(ctx context.Context, r *reference.Reference) (*reference.Reference, error) {
	slot := reference.RotationSlot(r.Owner.Cid)
	known, err := j.recall(ctx, slot, nil)
	if err != nil {
		return nil, err
	}
	chain, err := j.verifier.Chain(ctx, r)
	if err != nil {
		return nil, err
	}
	return known, j.offerRotation(ctx, slot, chain.Rotation())
}

// recall puts back what was recorded of the rotations of an author and is not in the state, as
// after an undo: a fork, or a rotation, unless it is the one that is being offered. It returns the
// rotation that was recorded.
func (j *joiner) recall(ctx context.Context, slot reference.Slot, offered *reference.Reference) (*reference.Reference, error) {
	mark, err := j.rules.Mark(ctx, slot)
	switch known := mark.Reference; {
	case err != nil:
		return nil, err
	case mark.ForkedFrom > 0:
		return known, j.recallFork(ctx, slot)
	case known == nil || offered != nil && bytes.Equal(known.NextSignature, offered.NextSignature):
		return known, nil
	}
	before := len(j.changes)
	err = j.offerRotation(ctx, slot, mark.Reference)
	for i, c := range j.changes[before:] {
		if c.Outcome == Incomplete && c.Slot == slot {
			j.changes[before+i].Err = fmt.Errorf("%w: %w", ErrNotInEffect, c.Err)
		}
	}
	return mark.Reference, err
}

func (j *joiner) recallFork(ctx context.Context, slot reference.Slot) error {
	held, err := j.Get(ctx, slot)
	if err != nil || held.Fork != nil {
		return err
	}
	change := Change{Slot: slot, Outcome: Forked, Old: held.Reference}
	return j.fork(ctx, change, forkOf(&reference.Reference{Policy: reference.RotationPolicy, Owner: dagcbor.Link{Cid: slot.Author}}))
}

// offerRotation offers a rotation, if there is one that the state does not hold.
func (j *joiner) offerRotation(ctx context.Context, slot reference.Slot, rotation *reference.Reference) error {
	held, err := j.Get(ctx, slot)
	if err != nil || held.Fork != nil || rotation == nil || held.Reference != nil && bytes.Equal(rotation.NextSignature, held.Reference.NextSignature) {
		return err
	}
	if j.stuck[string(rotation.NextSignature)] != nil {
		return nil // it was told of
	}
	before := len(j.changes)
	if err := j.offer(ctx, rotation, &offered{}); err != nil {
		return err
	}
	if n := len(j.changes); n == before+1 && (j.changes[before].Outcome == Same || j.changes[before].Outcome == Stale) {
		j.changes = j.changes[:before] // nothing new
	}
	return nil
}

// old decides about a reference that is signed with a key that was replaced.
func (j *joiner) old(ctx context.Context, change Change, rotation *reference.Reference) error {
	last, err := rotation.LastOf(ctx, j.rules.Blocks, change.Slot)
	if err != nil {
		j.add(change.refused(RefusedForm, err))
		return nil
	}
	order := reference.Forked
	if last != nil {
		if order, err = reference.Compare(ctx, j.rules.Blocks, last.Reference, change.Offered); err != nil && order != reference.Incomplete {
			return err
		}
	}
	held, err := j.Get(ctx, change.Slot)
	switch {
	case err != nil:
		return err
	case order == reference.Same && held.Fork == nil && change.Offered.After(held.Reference):
		change.Outcome = Newer // its content was missing when the rotation came
		if held.Reference == nil {
			change.Outcome = New
		}
		return j.set(ctx, change, Value{Reference: change.Offered})
	case order == reference.Same && (held.Reference == nil || held.Reference.Epoch == change.Offered.Epoch):
		j.add(change.with(Same, nil))
	case order == reference.Stale || order == reference.Same || order == reference.Incomplete:
		j.add(change.with(Stale, nil))
	default:
		j.add(change.with(RefusedKey, reference.ErrOldKey))
	}
	return nil
}

// rotate puts a rotation into the state: all that its author has signed before is replaced by what
// it names.
func (j *joiner) rotate(ctx context.Context, change Change) error {
	rotation := change.Offered
	if err := j.present(ctx, rotation); err != nil {
		j.stuck[string(rotation.NextSignature)] = err
		j.add(change.refused(RefusedForm, err))
		return ctx.Err()
	}
	last := map[reference.Slot]*reference.Reference{}
	err := rotation.EachLast(ctx, j.rules.Blocks, func(r *reference.Last) error {
		last[r.Slot()] = r.Reference
		if len(last) > MaxDirectories {
			return fmt.Errorf("%w: a rotation that names more than %d directories", reference.ErrMalformed, MaxDirectories)
		}
		if err := j.verifier.Verify(ctx, r.Reference); err != nil {
			return err
		}
		return j.sameKeys(ctx, rotation, r.Reference)
	})
	if err != nil {
		j.stuck[string(rotation.NextSignature)] = err
		j.add(change.refused(RefusedForm, err))
		return nil
	}
	if err := j.set(ctx, change, Value{Reference: rotation}); err != nil {
		return err
	}
	b, err := rotation.Block()
	if err != nil {
		return err
	}
	if err := j.carried.Put(ctx, b); err != nil { // later references link it
		return err
	}
	slots, err := j.slotsOf(ctx, rotation.Owner.Cid)
	if err != nil {
		return err
	}
	for _, slot := range slots {
		if err := j.reset(ctx, slot, rotation, last[slot]); err != nil {
			return err
		}
		delete(last, slot)
	}
	for _, slot := range slices.SortedFunc(maps.Keys(last), compareSlots) {
		r := last[slot]
		if err := j.set(ctx, Change{Slot: slot, Outcome: New, Offered: r}, Value{Reference: r}); err != nil {
			return err
		}
	}
	return nil
}

// malformed reports whether what a rotation names was found to be malformed: it never is in effect.
func (j *joiner) malformed(rotation *reference.Reference) bool {
	err := j.stuck[string(rotation.NextSignature)]
	return err != nil && !errors.Is(err, store.ErrNotFound)
}

// sameKeys checks that last, which a rotation names, is signed under the rotations before that one.
func (j *joiner) sameKeys(ctx context.Context, rotation, last *reference.Reference) error {
	whole, err := j.verifier.Chain(ctx, rotation)
	if err != nil {
		return err
	}
	part, err := j.verifier.Chain(ctx, last)
	if err != nil {
		return err
	}
	if r := part.Rotation(); r != nil && (part.Epoch() > whole.Epoch() || !bytes.Equal(r.NextSignature, whole.Rotations[r.Epoch].NextSignature)) {
		return fmt.Errorf("%w: a rotation that names what is signed under another rotation of the same key", reference.ErrMalformed)
	}
	return nil
}

func compareSlots(a, b reference.Slot) int { return bytes.Compare(a.Key(), b.Key()) }

// present makes all that hangs from a rotation present: whoever has it passes it on.
func (j *joiner) present(ctx context.Context, rotation *reference.Reference) error {
	for _, link := range []*dagcbor.Link{rotation.Rotation, rotation.Last} {
		if link == nil || j.rules.Present == nil {
			continue
		}
		if err := j.rules.Present(ctx, link.Cid); err != nil {
			return err
		}
	}
	return nil
}

// reset sets a slot to what a rotation names for it, if what it holds is of before the rotation.
func (j *joiner) reset(ctx context.Context, slot reference.Slot, rotation, last *reference.Reference) error {
	held, err := j.Get(ctx, slot)
	if err != nil || held.Reference != nil && held.Reference.Epoch > rotation.Epoch {
		return err
	}
	change := Change{Slot: slot, Outcome: Newer, Old: held.Reference, Offered: last}
	switch {
	case last == nil:
		j.add(change.with(Revoked, reference.ErrOldKey))
		return j.Remove(ctx, slot)
	case held.Reference != nil:
		order, err := reference.Compare(ctx, j.rules.Blocks, held.Reference, last)
		if order == reference.Same && err == nil {
			return nil
		}
	}
	return j.set(ctx, change, Value{Reference: last})
}

// dropAuthor empties all slots of an author but the one of the rotations.
func (j *joiner) dropAuthor(ctx context.Context, author cid.Cid) error {
	slots, err := j.slotsOf(ctx, author)
	if err != nil {
		return err
	}
	for _, slot := range slots {
		held, err := j.Get(ctx, slot)
		if err != nil {
			return err
		}
		j.add(Change{Slot: slot, Outcome: Revoked, Old: held.Reference, Err: ErrIdentityForked})
		if err := j.Remove(ctx, slot); err != nil {
			return err
		}
	}
	return nil
}

// slotsOf returns the slots of an author, but the one of the rotations. It reads the whole state.
func (s *State) slotsOf(ctx context.Context, author cid.Cid) ([]reference.Slot, error) {
	var slots []reference.Slot
	err := s.m.Each(ctx, func(key []byte, _ dagcbor.Raw) error {
		slot, err := reference.ParseSlot(key)
		if err == nil && slot.Author.Equals(author) && slot != reference.RotationSlot(author) {
			slots = append(slots, slot)
		}
		return err
	})
	return slots, err
}
