package state

import (
	"context"
	"errors"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// An Outcome says what became of a reference that was offered.
type Outcome string

// The outcomes. The first four change the state.
const (
	New     Outcome = "new"     // the slot was empty
	Newer   Outcome = "newer"   // continues what was known
	Forked  Outcome = "forked"  // does not continue what was known, nor the other way round
	Revoked Outcome = "revoked" // was known, and a rotation of its author does not name it
	Same    Outcome = "same"
	Stale   Outcome = "stale"          // older than what was recorded here before
	Unknown Outcome = "unknown-author" // not accepted here

	Incomplete       Outcome = "incomplete"    // what decides it, or its content, cannot be read now
	RefusedOwner     Outcome = "refused-owner" // of somebody else's directory, or in somebody else's name
	RefusedSignature Outcome = "refused-signature"
	RefusedKey       Outcome = "refused-key" // signed with a key that its owner has replaced
	RefusedForm      Outcome = "refused-form"
	RefusedProof     Outcome = "refused-proof" // a fork without two references that prove it
	OverQuota        Outcome = "over-quota"    // more than an author may have
)

// Changes reports whether the outcome changes the state.
func (o Outcome) Changes() bool { return o == New || o == Newer || o == Forked || o == Revoked }

// Refuses reports whether the outcome means that somebody sent what they should not have.
func (o Outcome) Refuses() bool {
	switch o {
	case RefusedOwner, RefusedSignature, RefusedKey, RefusedForm, RefusedProof, Forked, OverQuota:
		return true
	}
	return false
}

// A Change is one slot that was offered something, and what became of it.
type Change struct {
	Slot    reference.Slot
	Outcome Outcome
	Old     *reference.Reference // what the slot held before; nil if nothing
	Offered *reference.Reference // nil for a fork that somebody reports, and for Revoked
	Proof   *Proof               // of a fork; nil if only the mark told of it
	Err     error                // why, for refusals and Incomplete

	data dagcbor.Raw // the value with Offered, while it is being joined
}

// with returns the change with an outcome.
func (c Change) with(outcome Outcome, err error) Change {
	c.Outcome, c.Err = outcome, err
	return c
}

// refused returns the change with the outcome that err is: a refusal, or if only a block is
// missing, Incomplete.
func (c Change) refused(outcome Outcome, err error) Change {
	switch {
	case errors.Is(err, store.ErrNotFound):
		outcome = Incomplete
	case errors.Is(err, reference.ErrWrongOwner):
		outcome = RefusedOwner
	}
	return c.with(outcome, err)
}

// A Mark is the newest reference that was recorded of a slot, and the highest epoch in which
// the slot is known to be forked, plus one; 0 if none.
type Mark struct {
	Reference  *reference.Reference
	ForkedFrom uint64
}

// A MarkFunc returns the mark of a slot; the zero Mark if there is none.
type MarkFunc func(ctx context.Context, slot reference.Slot) (Mark, error)

// Rules are what a join needs to know beside the two states.
type Rules struct {
	// Accepts reports whether references of the author take part.
	Accepts func(author cid.Cid) bool
	Mark    MarkFunc
	// Blocks has the identity documents and the histories.
	Blocks store.Getter
	// Present makes all that hangs from a CID present; may be nil if it is.
	Present func(ctx context.Context, c cid.Cid) error
}
