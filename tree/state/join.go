package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// An Outcome says what became of a reference that was offered.
type Outcome string

// The outcomes. The first three change the state.
const (
	New     Outcome = "new"    // the slot was empty
	Newer   Outcome = "newer"  // continues what was known
	Forked  Outcome = "forked" // does not continue what was known, nor the other way round
	Same    Outcome = "same"
	Stale   Outcome = "stale"          // older than what was recorded here before
	Unknown Outcome = "unknown-author" // not accepted here

	Incomplete       Outcome = "incomplete" // history that decides it cannot be read now
	RefusedSignature Outcome = "refused-signature"
	RefusedForm      Outcome = "refused-form"
	RefusedProof     Outcome = "refused-proof" // a fork without two references that prove it
)

// Changes reports whether the outcome changes the state.
func (o Outcome) Changes() bool { return o == New || o == Newer || o == Forked }

// Refuses reports whether the outcome means that somebody sent what they should not have.
func (o Outcome) Refuses() bool {
	return o == RefusedSignature || o == RefusedForm || o == RefusedProof || o == Forked
}

// A Change is one slot that was offered something, and what became of it.
type Change struct {
	Slot    reference.Slot
	Outcome Outcome
	Old     *reference.Reference // what the slot held before; nil if nothing
	Offered *reference.Reference // nil for a fork that somebody reports
	Proof   *Proof               // of a fork; nil if only the mark told of it
	Err     error                // why, for refusals and Incomplete
}

// A Mark is the newest reference that was recorded of a slot, and the highest epoch in which
// the slot is known to be forked, plus one; 0 if none.
type Mark struct {
	Reference  *reference.Reference
	ForkedFrom uint64
}

// Rules are what a join needs to know beside the two states.
type Rules struct {
	// Accepts reports whether references of the author take part.
	Accepts func(author cid.Cid) bool
	// Mark returns the mark of a slot; the zero Mark if there is none.
	Mark func(ctx context.Context, slot reference.Slot) (Mark, error)
	// Blocks has the identity documents and the histories.
	Blocks store.Getter
}

// MaxUnknown is how many slots of authors who are not accepted Join tells of: others may know
// millions.
const MaxUnknown = 1000

// Join offers to s all that theirs holds, and returns what is not the same. theirProofs are the
// proofs for the forks in theirs. Slots that both hold alike are not read.
func (s *State) Join(ctx context.Context, rules Rules, theirs cid.Cid, theirProofs Proofs) ([]Change, error) {
	ours, err := s.settled(ctx)
	if err != nil {
		return nil, err
	}
	var changes []Change
	unknown := 0
	err = merkle.Diff(ctx, rules.Blocks, position, ours, theirs, func(key []byte, _, offered dagcbor.Raw) error {
		if offered == nil {
			return nil
		}
		slot, err := reference.ParseSlot(key)
		if err != nil {
			return err
		}
		change, err := s.offerRaw(ctx, rules, slot, offered, theirProofs)
		if change.Outcome == Unknown {
			unknown++
		}
		if err == nil && change.Outcome != Same && (change.Outcome != Unknown || unknown <= MaxUnknown) {
			changes = append(changes, change)
		}
		return err
	})
	return changes, err
}

// settled returns the root of s, which must not have edits; undefined if s is empty, whose block
// may not be written yet.
func (s *State) settled(ctx context.Context) (cid.Cid, error) {
	if n, err := s.m.Len(ctx); err != nil || n == 0 {
		return cid.Undef, err
	}
	root, err := s.m.Flush(ctx, refusing{})
	if err != nil {
		return cid.Undef, fmt.Errorf("join: the state has edits that are not flushed: %w", err)
	}
	return root, nil
}

// refusing is a Putter for a flush that has nothing to write.
type refusing struct{}

func (refusing) Put(context.Context, store.Block) error { return errors.New("unexpected write") }

func (s *State) offerRaw(ctx context.Context, rules Rules, slot reference.Slot, data dagcbor.Raw, proofs Proofs) (Change, error) {
	if !rules.Accepts(slot.Author) {
		return Change{Slot: slot, Outcome: Unknown}, nil
	}
	v, err := Decode(slot, data)
	if err != nil {
		return Change{Slot: slot, Outcome: RefusedForm, Err: err}, nil
	}
	if v.Fork == nil {
		return s.Offer(ctx, rules, v.Reference)
	}
	proof, err := proofs.get(ctx, slot)
	if err != nil {
		return refusal(Change{Slot: slot}, RefusedProof, err), nil
	}
	return s.OfferFork(ctx, rules, proof)
}

// Offer joins one reference into s.
func (s *State) Offer(ctx context.Context, rules Rules, r *reference.Reference) (Change, error) {
	slot := r.Slot()
	change := Change{Slot: slot, Offered: r}
	held, err := s.Get(ctx, slot)
	if err != nil {
		return change, err
	}
	change.Old = held.Reference
	if !rules.Accepts(slot.Author) {
		change.Outcome = Unknown
		return change, nil
	}
	if r.Policy == reference.NodePolicy {
		return refusal(change, RefusedForm, fmt.Errorf("%w: a node in a state", reference.ErrMalformed)), nil
	}
	if err := r.VerifyWith(ctx, rules.Blocks); err != nil {
		return refusal(change, RefusedSignature, err), nil
	}
	mark, err := rules.Mark(ctx, slot)
	if err != nil {
		return change, err
	}
	if held.Fork != nil {
		mark.ForkedFrom = max(mark.ForkedFrom, held.Fork.Epoch+1)
	}
	return s.join(ctx, rules, change, held, mark)
}

// refusal returns the change with an outcome that refuses it, or leaves it aside if only a block
// is missing.
func refusal(change Change, outcome Outcome, err error) Change {
	change.Outcome, change.Err = outcome, err
	if errors.Is(err, store.ErrNotFound) {
		change.Outcome = Incomplete
	}
	return change
}

// join decides about change.Offered, which is verified and accepted.
func (s *State) join(ctx context.Context, rules Rules, change Change, held Value, mark Mark) (Change, error) {
	r := change.Offered
	if r.Epoch < mark.ForkedFrom {
		change.Outcome = Same
		if held.Fork == nil {
			fork := forkOf(r)
			fork.Epoch = mark.ForkedFrom - 1
			change.Outcome = Forked
			return change, s.Set(ctx, change.Slot, Value{Fork: fork})
		}
		return change, nil
	}
	for _, known := range knownOf(mark.Reference, change.Old) {
		order, err := reference.Compare(ctx, rules.Blocks, known, r)
		switch {
		case order == reference.Forked:
			change.Outcome, change.Proof = Forked, NewProof(known, r)
			return change, s.Set(ctx, change.Slot, Value{Fork: forkOf(r)})
		case order == reference.Stale:
			change.Outcome = Stale
			return change, nil
		case ctx.Err() != nil:
			return change, ctx.Err()
		case order == reference.Incomplete:
			change.Outcome, change.Err = Incomplete, err
			return change, nil
		case err != nil:
			return change, err
		case order == reference.Same && known == change.Old:
			change.Outcome = Same
			return change, nil
		}
	}
	change.Outcome = Newer
	if change.Old == nil {
		change.Outcome = New
	}
	return change, s.Set(ctx, change.Slot, Value{Reference: r})
}

// knownOf returns what an offered reference is compared with: the mark, if it is another than what
// the state holds, and that.
func knownOf(mark, held *reference.Reference) []*reference.Reference {
	var known []*reference.Reference
	if mark != nil && (held == nil || !bytes.Equal(mark.Signature, held.Signature)) {
		known = append(known, mark)
	}
	if held != nil {
		known = append(known, held)
	}
	return known
}

// OfferFork joins a fork that somebody reports into s. The proof is checked.
func (s *State) OfferFork(ctx context.Context, rules Rules, proof *Proof) (Change, error) {
	slot := proof.A.Slot()
	change := Change{Slot: slot, Proof: proof}
	held, err := s.Get(ctx, slot)
	if err != nil {
		return change, err
	}
	change.Old = held.Reference
	switch {
	case !rules.Accepts(slot.Author):
		change.Outcome = Unknown
		return change, nil
	case held.Fork != nil && held.Fork.Epoch >= proof.A.Epoch:
		change.Outcome = Same
		return change, nil
	case held.Reference != nil && held.Reference.Epoch > proof.A.Epoch:
		change.Outcome = Stale
		return change, nil
	}
	if err := proof.Verify(ctx, rules.Blocks); err != nil {
		return refusal(change, RefusedProof, err), nil
	}
	change.Outcome = Forked
	return change, s.Set(ctx, slot, Value{Fork: forkOf(proof.A)})
}
