package sim

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A signer is an identity whose keys follow from the seed of the run and a number.
type signer struct {
	document identity.Document
	id       cid.Cid
	key      ed25519.PrivateKey
}

func newSigner(seed uint64, number int) *signer {
	keyOf := func(epoch uint64) ed25519.PrivateKey {
		text := binary.BigEndian.AppendUint64([]byte("archivecache simulation"), seed)
		text = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(text, uint64(number)), epoch)
		sum := sha256.Sum256(text)
		return ed25519.NewKeyFromSeed(sum[:])
	}
	key := keyOf(0)
	doc := identity.NewDocument(key.Public().(ed25519.PublicKey), keyOf(1).Public().(ed25519.PublicKey))
	return &signer{document: doc, id: doc.ID(), key: key}
}

// ID returns the id of the identity.
func (s *signer) ID() cid.Cid { return s.id }

// Epoch returns 0: keys do not rotate here.
func (s *signer) Epoch() uint64 { return 0 }

// chain returns the keys of the identity.
func (s *signer) chain() reference.Chain { return reference.Chain{Document: s.document} }

// Public returns the public key.
func (s *signer) Public() ed25519.PublicKey { return s.document.Public() }

// Sign signs payload under policy.
func (s *signer) Sign(policy string, payload []byte) []byte {
	return ed25519.Sign(s.key, identity.PAE(identity.PayloadType(policy), payload))
}

// A person takes part in the simulation.
type person struct {
	*signer
	world      *world
	index      int
	kind       Cheat
	neighbours []int
	owned      string // path of the owned directory; "" for none

	state  cid.Cid
	proofs cid.Cid
	marks  map[int]*reference.Reference // by number of the slot, where it is another than at the beginning
	forks  map[int]bool                 // slots known to be forked
	seen   map[cid.Cid]*reference.Reference
	inbox  []cid.Cid
	desk   *desk

	// An honest person has one node; a cheat may show different ones to different people.
	nodes [2]*reference.Reference
	sent  [2]cid.Cid
	said  [2]cid.Cid // the states in them
	lies  [2][]lie
	loot  []cid.Cid // nodes of others, to be replayed

	have     map[fingerprint]struct{}
	cost     Cost
	outcomes map[string]int
}

// turn takes in what has arrived, and signs a node if the state is another than before.
func (p *person) turn(ctx context.Context, round int) error {
	if p.kind == Replay && len(p.loot) < 4 {
		p.loot = append(p.loot, p.inbox...)
	}
	for _, node := range p.inbox {
		if err := p.receive(ctx, node); err != nil {
			return err
		}
	}
	p.inbox = p.inbox[:0]
	return p.sign(ctx, round)
}

// receive takes in one node, as package merge does.
func (p *person) receive(ctx context.Context, c cid.Cid) error {
	p.cost.Messages++
	data, err := p.desk.Get(ctx, c)
	if err != nil {
		return err
	}
	node, err := reference.Decode(data)
	if err != nil {
		return err
	}
	if verdict, err := p.rank(ctx, node); err != nil || verdict != "" {
		p.outcomes[verdict]++
		return err
	}
	root, err := tree.OpenRoot(ctx, p.desk, node.Content.Target())
	if err != nil {
		return err
	}
	if root.StateCid().Equals(p.state) {
		return nil
	}
	return p.merge(ctx, root.StateCid(), node.Proofs.Target())
}

// rank verifies a node and compares it with the newest one known of its author. It returns "" if it
// is to be merged.
func (p *person) rank(ctx context.Context, node *reference.Reference) (string, error) {
	if err := node.VerifyWith(ctx, p.desk); err != nil {
		return "node " + string(state.RefusedSignature), nil
	}
	if known := p.seen[node.Owner.Cid]; known != nil {
		switch order, err := reference.Compare(ctx, p.desk, known, node); order {
		case reference.Newer:
		case reference.Incomplete:
			return "", err // the heap has all histories
		default:
			return "node " + order.String(), err
		}
	}
	p.seen[node.Owner.Cid] = node
	return "", nil
}

// merge joins a state into one's own.
func (p *person) merge(ctx context.Context, theirs, proofs cid.Cid) error {
	s := state.Open(p.desk, p.state)
	changes, err := s.Join(ctx, p.rules(), theirs, state.OpenProofs(p.desk, proofs))
	if err != nil {
		return err
	}
	mine := state.OpenProofs(p.desk, p.proofs)
	for i := range changes {
		if err := p.settle(ctx, s, mine, &changes[i]); err != nil {
			return err
		}
		p.outcomes[string(changes[i].Outcome)]++
	}
	p.cost.References += len(changes)
	if p.proofs, err = mine.Flush(ctx, p.desk); err != nil {
		return err
	}
	p.state, err = s.Flush(ctx, p.desk)
	return err
}

// settle fetches what a change needs and records it, or takes it back.
func (p *person) settle(ctx context.Context, s *state.State, proofs state.Proofs, change *state.Change) error {
	number, known := p.world.number[change.Slot]
	if change.Outcome.Changes() && !known {
		return fmt.Errorf("a reference of %s that nobody has signed was taken in", change.Slot.Author)
	}
	switch change.Outcome {
	case state.New, state.Newer:
	case state.Forked:
		p.forks[number] = true
		if change.Proof == nil {
			return nil // it is among the proofs already
		}
		return proofs.Add(ctx, change.Proof)
	default:
		return nil
	}
	offered := p.world.shared(change.Offered)
	parts, err := p.world.fit(ctx, p.newest(number), offered)
	if err != nil {
		if change.Outcome = state.RefusedForm; errors.Is(err, store.ErrNotFound) {
			change.Outcome = state.Incomplete
		}
		if change.Old == nil {
			return s.Remove(ctx, change.Slot)
		}
		return s.Set(ctx, change.Slot, state.Value{Reference: change.Old})
	}
	for _, b := range parts {
		p.fetched(b.fingerprint, b.size)
	}
	p.marks[number] = offered
	return nil
}

func (p *person) rules() state.Rules {
	return state.Rules{Accepts: func(cid.Cid) bool { return true }, Mark: p.mark, Blocks: p.desk}
}

// mark returns the newest reference that the person has recorded of a slot.
func (p *person) mark(_ context.Context, slot reference.Slot) (state.Mark, error) {
	number, ok := p.world.number[slot]
	if !ok {
		return state.Mark{}, nil
	}
	m := state.Mark{Reference: p.newest(number)}
	if p.forks[number] {
		m.ForkedFrom = 1
	}
	return m, nil
}

// newest returns the newest reference of a slot that the person has taken in; nil for none.
func (p *person) newest(number int) *reference.Reference {
	if r := p.marks[number]; r != nil {
		return r
	}
	return p.world.beginning[number]
}

// rootRecord is a root as package tree writes it.
type rootRecord struct {
	Directories []reference.Founding `cbor:"directories"`
	State       dagcbor.Link         `cbor:"state"`
	View        dagcbor.Link         `cbor:"view"`
	Shared      []dagcbor.Link       `cbor:"shared"`
}

// putRecord writes a root record without a view.
func putRecord(ctx context.Context, put store.Putter, st cid.Cid) (cid.Cid, error) {
	empty, _ := unixfs.EmptyDir()
	return merkle.PutNode(ctx, put, rootRecord{
		Directories: []reference.Founding{forum}, State: dagcbor.Link{Cid: st}, View: dagcbor.Link{Cid: empty.Cid},
		Shared: []dagcbor.Link{},
	})
}

// sign makes the next nodes, if they say something else than the last ones.
func (p *person) sign(ctx context.Context, round int) error {
	for side := range p.faces() {
		shown, err := p.shows(ctx, side)
		if err != nil {
			return err
		}
		if shown.Equals(p.said[side]) {
			continue
		}
		if err := p.signNode(ctx, side, shown, round); err != nil {
			return err
		}
	}
	return nil
}

func (p *person) signNode(ctx context.Context, side int, shown cid.Cid, round int) error {
	record, err := putRecord(ctx, p.desk, shown)
	if err != nil {
		return err
	}
	node := &reference.Reference{
		Policy: reference.NodePolicy, Content: dagcbor.LinkTo(record), Proofs: dagcbor.LinkTo(p.proofs), Time: uint64(round),
	}
	if err := node.Continue(ctx, p.desk, p.nodes[side]); err != nil {
		return err
	}
	if err := node.Sign(p, p.chain()); err != nil {
		return err
	}
	b, err := node.Block()
	if err != nil {
		return err
	}
	p.nodes[side], p.sent[side], p.said[side] = node, b.Cid, shown
	return p.desk.Put(ctx, b)
}
