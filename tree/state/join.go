package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"archivecache/store"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// Join offers to s all that theirs holds, and returns what is not the same. theirProofs are the
// proofs for the forks in theirs. Slots that both hold alike are not read.
func (s *State) Join(ctx context.Context, rules Rules, theirs cid.Cid, theirProofs Proofs) ([]Change, error) {
	ours, err := s.settled(ctx)
	if err != nil {
		return nil, err
	}
	in, err := collect(ctx, rules, ours, theirs)
	if err != nil {
		return nil, err
	}
	j := s.newJoiner(rules)
	err = j.eachVerified(ctx, in.offers, func(o *offered) error {
		defer func() { *o = offered{} }() // what it has is taken over, or not needed any more
		return j.offerValue(ctx, o, theirProofs)
	})
	if err != nil {
		return nil, err
	}
	if err := j.limit(ctx); err != nil {
		return nil, err
	}
	return append(OneEach(j.changes), in.left()...), nil
}

// OneEach returns the changes with those of one slot made into one: what a rotation names may be
// replaced at once by what was signed after it.
func OneEach(changes []Change) []Change {
	last := map[reference.Slot]int{}
	var all []Change
	for _, c := range changes {
		i, ok := last[c.Slot]
		switch {
		case !ok:
			last[c.Slot] = len(all)
			all = append(all, c)
		case c.Outcome.Changes() && all[i].Outcome.Changes(), c.Outcome == Forked:
			c.Old = all[i].Old
			all[i] = c
		case c.Outcome == all[i].Outcome && c.Offered == all[i].Offered:
		case c.Outcome.Changes() || c.Outcome.Refuses():
			last[c.Slot] = len(all)
			all = append(all, c)
		}
	}
	return all
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

// Offer joins one reference into s, and returns what became of it, and of other references if it
// makes a rotation known.
func (s *State) Offer(ctx context.Context, rules Rules, r *reference.Reference) ([]Change, error) {
	j := s.newJoiner(rules)
	err := j.offer(ctx, r, nil)
	return OneEach(j.changes), err
}

// OfferFork joins a fork that somebody reports into s. The proof is checked.
func (s *State) OfferFork(ctx context.Context, rules Rules, proof *Proof) ([]Change, error) {
	j := s.newJoiner(rules)
	err := j.offerFork(ctx, proof)
	return OneEach(j.changes), err
}

// A joiner joins into a state and collects what changed.
type joiner struct {
	*State
	rules    Rules
	carried  *store.Overlay // rules.Blocks, with the rotations that the state takes in
	verifier *reference.Verifier
	changes  []Change
	fresh    map[cid.Cid]bool        // authors with slots that were empty
	proving  map[store.Digest][]byte // the blocks of the proofs in changes
	stuck    map[string]error        // why a rotation, by its last signature, is not in effect
}

func (s *State) newJoiner(rules Rules) *joiner {
	carried := store.NewOverlay(rules.Blocks)
	rules.Blocks = carried
	return &joiner{
		State: s, rules: rules, carried: carried, verifier: reference.NewVerifier(carried),
		fresh: map[cid.Cid]bool{}, proving: map[store.Digest][]byte{},
		stuck: map[string]error{},
	}
}

// add reports a change.
func (j *joiner) add(c Change) {
	if c.Outcome == New {
		j.fresh[c.Slot.Author] = true
	}
	c.data = nil
	j.changes = append(j.changes, c)
}

// set puts v into the slot of c and reports c.
func (j *joiner) set(ctx context.Context, c Change, v Value) error {
	j.add(c)
	if c.data != nil && v.Reference == c.Offered {
		return j.m.Set(ctx, c.Slot.Key(), c.data)
	}
	return j.Set(ctx, c.Slot, v)
}

// offerValue joins a value of another state.
func (j *joiner) offerValue(ctx context.Context, o *offered, proofs Proofs) error {
	before := len(j.changes)
	err := j.offerDecoded(ctx, o, proofs)
	if n := len(j.changes); err == nil && n > before && j.changes[n-1].Outcome == Same {
		j.changes = j.changes[:n-1]
	}
	return err
}

func (j *joiner) offerDecoded(ctx context.Context, o *offered, proofs Proofs) error {
	change := Change{Slot: o.slot, Offered: o.value.Reference}
	switch {
	case o.malformed != nil:
		j.add(change.refused(RefusedForm, o.malformed))
		return nil
	case o.value.Fork == nil:
		return j.offer(ctx, o.value.Reference, o)
	}
	proof, err := proofs.Get(ctx, o.slot)
	if err != nil {
		j.add(change.refused(RefusedProof, err))
		return nil
	}
	return j.offerFork(ctx, proof)
}

// offer joins r. If checked is given it has what [joiner.check] said of r.
func (j *joiner) offer(ctx context.Context, r *reference.Reference, checked *offered) error {
	change := Change{Offered: r}
	if checked != nil && checked.data != nil {
		change.Slot, change.data = checked.slot, checked.data
	} else {
		change.Slot = r.Slot()
	}
	held, err := j.Get(ctx, change.Slot)
	if err != nil {
		return err
	}
	change.Old = held.Reference
	switch {
	case !j.rules.Accepts(change.Slot.Author):
		j.add(change.with(Unknown, nil))
		return nil
	case r.Policy == reference.NodePolicy:
		j.add(change.with(RefusedForm, fmt.Errorf("%w: a node in a state", reference.ErrMalformed)))
		return nil
	}
	if checked == nil {
		checked = &offered{}
		checked.outcome, checked.err = j.check(ctx, r)
	}
	if checked.err != nil {
		j.add(change.refused(checked.outcome, checked.err))
		return nil
	}
	return j.join(ctx, change, held)
}

// check verifies r, and that it continues what its rotation names. The outcome is what it comes to
// with the error.
func (j *joiner) check(ctx context.Context, r *reference.Reference) (Outcome, error) {
	if err := j.verifier.Verify(ctx, r); err != nil {
		return RefusedSignature, err
	}
	chain, err := j.verifier.Chain(ctx, r)
	if err != nil {
		return RefusedSignature, err
	}
	return RefusedForm, r.Continues(ctx, j.rules.Blocks, chain)
}

// join decides about change.Offered, which is verified and accepted.
func (j *joiner) join(ctx context.Context, change Change, held Value) error {
	r := change.Offered
	mark, err := j.rules.Mark(ctx, change.Slot)
	if err != nil {
		return err
	}
	if held.Fork != nil {
		mark.ForkedFrom = max(mark.ForkedFrom, held.Fork.Epoch+1)
	}
	if r.Policy != reference.RotationPolicy {
		// What that does to the state may change what the slot holds.
		if decided, err := j.byRotation(ctx, change); decided || err != nil {
			return err
		}
		if held, err = j.Get(ctx, change.Slot); err != nil {
			return err
		}
	} else if mark.ForkedFrom > 0 {
		return j.joinForked(ctx, change, held, 0)
	} else if held, err = j.recalled(ctx, change); err != nil {
		return err
	}
	change.Old = held.Reference
	if r.Epoch < mark.ForkedFrom {
		return j.joinForked(ctx, change, held, mark.ForkedFrom-1)
	}
	return j.compare(ctx, change, mark)
}

// recalled recalls what was recorded of the author of a rotation, and returns what its slot holds.
func (j *joiner) recalled(ctx context.Context, change Change) (Value, error) {
	if _, err := j.recall(ctx, change.Slot, change.Offered); err != nil {
		return Value{}, err
	}
	return j.Get(ctx, change.Slot)
}

// joinForked joins into a slot that is known to be forked in an epoch.
func (j *joiner) joinForked(ctx context.Context, change Change, held Value, epoch uint64) error {
	if held.Fork != nil {
		j.add(change.with(Same, nil))
		return nil
	}
	f := forkOf(change.Offered)
	f.Epoch = epoch
	return j.fork(ctx, change, f)
}

// fork puts a fork into the slot of change.
func (j *joiner) fork(ctx context.Context, change Change, f *Fork) error {
	if change.Proof != nil {
		j.share(change.Proof)
	}
	if err := j.set(ctx, change.with(Forked, nil), Value{Fork: f}); err != nil {
		return err
	}
	if change.Slot == reference.RotationSlot(change.Slot.Author) {
		return j.dropAuthor(ctx, change.Slot.Author)
	}
	return nil
}

// share lets proofs have the blocks in common that are the same: an author who forks thousands of
// directories has one identity document and one chain of rotations.
func (j *joiner) share(p *Proof) {
	for i, data := range p.Blocks {
		d := sha256.Sum256(data)
		if _, ok := j.proving[d]; !ok {
			j.proving[d] = data
		}
		p.Blocks[i] = j.proving[d]
	}
}

// compare joins a reference into a slot that is not known to be forked in its epoch.
func (j *joiner) compare(ctx context.Context, change Change, mark Mark) error {
	for _, known := range knownOf(mark.Reference, change.Old) {
		order, err := reference.Compare(ctx, j.rules.Blocks, known, change.Offered)
		switch {
		case order == reference.Forked:
			change.Proof = j.prove(ctx, known, change.Offered)
			return j.fork(ctx, change, forkOf(change.Offered))
		case order == reference.Stale && known != change.Old && change.Offered.Policy == reference.RotationPolicy:
			// what is newer is not in effect, so the older one is
		case order == reference.Stale:
			j.add(change.with(Stale, nil))
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case order == reference.Incomplete:
			j.add(change.with(Incomplete, err))
			return nil
		case err != nil:
			return err
		case order == reference.Same && known == change.Old:
			j.add(change.with(Same, nil))
			return nil
		}
	}
	change.Outcome = Newer
	if change.Old == nil {
		change.Outcome = New
	}
	if change.Offered.Policy == reference.RotationPolicy {
		return j.rotate(ctx, change)
	}
	return j.set(ctx, change, Value{Reference: change.Offered})
}

// prove returns the proof of a fork. If parts of the histories are missing, it is a fork still, and
// the proof has no blocks.
func (j *joiner) prove(ctx context.Context, known, offered *reference.Reference) *Proof {
	if p, err := Prove(ctx, j.rules.Blocks, known, offered); err == nil {
		return p
	}
	return NewProof(known, offered)
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

// offerFork joins a fork. What proof has counts for this fork alone, and only what it takes to check
// it is kept: what else is joined does not depend on it, nor on what came first.
func (j *joiner) offerFork(ctx context.Context, proof *Proof) error {
	slot := proof.A.Slot()
	change := Change{Slot: slot}
	held, err := j.Get(ctx, slot)
	if err != nil {
		return err
	}
	change.Old = held.Reference
	if !j.rules.Accepts(slot.Author) {
		j.add(change.with(Unknown, nil))
		return nil
	}
	if held.Fork != nil && held.Fork.Epoch >= forkOf(proof.A).Epoch {
		j.add(change.with(Same, nil))
		return nil
	}
	blocks, err := proof.with(ctx, j.rules.Blocks)
	if err != nil {
		return err
	}
	verifier, err := proof.gather(ctx, blocks)
	if err != nil {
		j.add(change.refused(RefusedProof, err))
		return ctx.Err()
	}
	change.Offered = proof.A
	if proof.A.Policy != reference.RotationPolicy {
		decided, err := j.byRotationWith(ctx, blocks, verifier, change)
		if decided || err != nil {
			return err
		}
	}
	change.Proof = proof
	return j.fork(ctx, change, forkOf(proof.A))
}

// byRotationWith is byRotation with other blocks and keys, for one fork.
func (j *joiner) byRotationWith(ctx context.Context, blocks store.Getter, v *reference.Verifier, change Change) (decided bool, err error) {
	with := *j
	with.rules.Blocks, with.verifier = blocks, v
	decided, err = with.byRotation(ctx, change)
	j.changes = with.changes
	return decided, err
}
