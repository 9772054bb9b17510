package state

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"archivecache/dagcbor"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// MaxDirectories is how many directories an author may have in a state. Of more, those with the
// lowest directory ids count, so that it does not matter in which order they came.
const MaxDirectories = 10_000

// MaxUnknown is how many slots of authors who are not accepted Join tells of: others may know
// millions.
const MaxUnknown = 1000

// An offered is a value of another state that is not the same in ours.
type offered struct {
	slot  reference.Slot
	key   []byte // of slot
	data  dagcbor.Raw
	value Value

	malformed error
	outcome   Outcome // with err, what joiner.check says of it
	err       error
}

// A collection is all that is offered.
type collection struct {
	offers  []*offered
	unknown []Change
	over    map[cid.Cid]int // author -> directories that were passed over
	counts  map[cid.Cid]int
}

// collect reads what differs in theirs from ours. Rotations come first, and the rest in the order
// of the directory ids.
func collect(ctx context.Context, rules Rules, ours, theirs cid.Cid) (*collection, error) {
	in := &collection{over: map[cid.Cid]int{}, counts: map[cid.Cid]int{}}
	err := merkle.Diff(ctx, rules.Blocks, position, ours, theirs, func(key []byte, _, data dagcbor.Raw) error {
		if data == nil {
			return nil
		}
		slot, err := reference.ParseSlot(key)
		if err != nil {
			return err
		}
		in.add(rules, slot, key, data)
		return nil
	})
	in.sort()
	return in, err
}

func (in *collection) add(rules Rules, slot reference.Slot, key []byte, data dagcbor.Raw) {
	if !rules.Accepts(slot.Author) {
		if len(in.unknown) < MaxUnknown {
			in.unknown = append(in.unknown, Change{Slot: slot, Outcome: Unknown})
		}
		return
	}
	in.offers = append(in.offers, &offered{slot: slot, key: bytes.Clone(key), data: bytes.Clone(data)})
	in.counts[slot.Author]++
	if in.counts[slot.Author] >= 2*MaxDirectories {
		in.cut(slot.Author)
	}
}

// cut keeps of an author who offers too much what may count in the end.
func (in *collection) cut(author cid.Cid) {
	in.sort()
	kept := 0
	in.offers = slices.DeleteFunc(in.offers, func(o *offered) bool {
		if !o.slot.Author.Equals(author) {
			return false
		}
		kept++
		return kept > MaxDirectories+1 // and a rotation
	})
	in.over[author] += in.counts[author] - (MaxDirectories + 1)
	in.counts[author] = MaxDirectories + 1
}

func (in *collection) sort() {
	rotations := reference.RotationSlot(cid.Undef).Directory
	slices.SortFunc(in.offers, func(a, b *offered) int {
		if ra, rb := a.slot.Directory.Equals(rotations), b.slot.Directory.Equals(rotations); ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return bytes.Compare(a.key, b.key)
	})
}

// left returns the changes for what was not looked at.
func (in *collection) left() []Change {
	changes := in.unknown
	for author, n := range in.over {
		changes = append(changes, overLimit(reference.Slot{Author: author}, n))
	}
	return changes
}

func overLimit(slot reference.Slot, n int) Change {
	return Change{Slot: slot, Outcome: OverQuota, Err: fmt.Errorf("%d directories more than the %d that an author may have", n, MaxDirectories)}
}

// limit takes out what is more than an author may have.
func (j *joiner) limit(ctx context.Context) error {
	if len(j.fresh) == 0 {
		return nil
	}
	counts := map[cid.Cid]int{}
	err := j.m.Each(ctx, func(key []byte, _ dagcbor.Raw) error {
		slot, err := reference.ParseSlot(key)
		counts[slot.Author]++
		return err
	})
	for author, n := range counts {
		if err == nil && n > MaxDirectories {
			err = j.limitAuthor(ctx, author)
		}
	}
	return err
}

func (j *joiner) limitAuthor(ctx context.Context, author cid.Cid) error {
	slots, err := j.slotsOf(ctx, author)
	if err != nil || len(slots) <= MaxDirectories {
		return err
	}
	slices.SortFunc(slots, compareSlots)
	over := map[reference.Slot]bool{}
	for _, slot := range slots[MaxDirectories:] {
		over[slot] = true
		if err := j.Remove(ctx, slot); err != nil {
			return err
		}
	}
	j.changes = slices.DeleteFunc(j.changes, func(c Change) bool { return over[c.Slot] })
	j.changes = append(j.changes, overLimit(slots[MaxDirectories], len(over)))
	return nil
}
