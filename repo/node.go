package repo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// Reasons why a node is refused.
var (
	ErrOlder     = errors.New("older than the node that is known")
	ErrForked    = errors.New("the author has signed two nodes that do not continue each other")
	ErrNotNode   = errors.New("not a node")
	ErrNoHistory = errors.New("the history of the node cannot be read")
	// ErrOwnForked is ErrForked of an identity of one's own.
	ErrOwnForked = fmt.Errorf("your own nodes: %w", ErrForked)
	// ErrElsewhere is a publication that would not continue what the same identity has published.
	ErrElsewhere = errors.New("this identity has published from elsewhere, and that is not merged here")
)

// A Publication is what Publish did.
type Publication struct {
	Node    *reference.Reference
	Signed  []*reference.Reference // the directories that had drafts
	Dropped int                    // drafts of other identities, which the node does not have
}

// Publish signs the drafts of an identity, and puts a new node of it at p: the root without drafts,
// and the addresses. Without addresses those of the node before stay.
func (tx *Tx) Publish(ctx context.Context, keys Keys, p path.Path, addresses []string) (Publication, error) {
	var done Publication
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return done, err
	}
	now := uint64(time.Now().Unix())
	if done.Signed, err = tx.Sign(ctx, keys, now, nil); err != nil {
		return done, err
	}
	if _, err := root.Commit(ctx); err != nil {
		return done, err
	}
	published, err := root.WithoutDrafts(ctx)
	if err != nil {
		return done, err
	}
	if err := root.Drafts(ctx, func(*tree.Draft) error { done.Dropped++; return nil }); err != nil {
		return done, err
	}
	node := &reference.Reference{
		Policy: reference.NodePolicy, Content: dagcbor.LinkTo(published.Cid()), Addresses: addresses, Time: now,
	}
	done.Node = node
	if err := tx.mayReplace(ctx, p, tree.NodePolicy); err != nil {
		return done, err
	}
	return done, tx.signNode(ctx, keys, p, node)
}

// Sign signs the drafts of an identity that only chooses, all if it is nil, and records them.
func (tx *Tx) Sign(ctx context.Context, keys Keys, now uint64, only func(*tree.Draft) bool) ([]*reference.Reference, error) {
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return nil, err
	}
	s, chain, err := tx.signer(ctx, keys)
	if err != nil {
		return nil, err
	}
	if err := tx.checkElsewhere(ctx, s.ID(), chain.Epoch()); err != nil {
		return nil, err
	}
	signed, err := root.Sign(ctx, s, tx.StateMark, now, only)
	if err != nil {
		return nil, err
	}
	for _, ref := range signed {
		tx.SetMark(ref.Slot(), Mark{Mark: state.Mark{Reference: ref}, Complete: true})
	}
	return signed, nil
}

// signNode completes node, signs it, records it and puts it at p.
func (tx *Tx) signNode(ctx context.Context, keys Keys, p path.Path, node *reference.Reference) error {
	s, chain, err := tx.signer(ctx, keys)
	if err != nil {
		return err
	}
	slot := reference.NodeSlot(s.ID())
	mark, err := tx.Mark(ctx, slot)
	if err != nil {
		return err
	}
	previous := mark.Reference
	if mark.Pending != nil && mark.Pending.Epoch >= chain.Epoch() {
		previous = mark.Pending
	}
	if previous != nil && len(node.Addresses) == 0 {
		node.Addresses = previous.Addresses
	}
	if node.Seen, err = tx.seen(ctx); err != nil {
		return err
	}
	if node.Proofs, err = tx.proofs(ctx); err != nil {
		return err
	}
	node.Epoch = chain.Epoch()
	if err := node.Continue(ctx, tx.Blocks, previous); err != nil {
		return err
	}
	if err := node.Sign(s, chain); err != nil {
		return err
	}
	tx.SetMark(slot, Mark{Mark: state.Mark{Reference: node}, Complete: true})
	return tx.putNode(ctx, p, node)
}

func (tx *Tx) putNode(ctx context.Context, p path.Path, node *reference.Reference) error {
	b, err := node.Block()
	if err != nil {
		return err
	}
	if err := tx.Blocks.Put(ctx, b); err != nil {
		return err
	}
	return tx.Set(ctx, p, tree.NewLink(tree.NodePolicy, b.Cid))
}

// proofs returns the map of the proofs of all forks that are known; nil if there are none.
func (tx *Tx) proofs(ctx context.Context) (*dagcbor.Link, error) {
	all := state.OpenProofs(tx.Blocks, cid.Undef)
	add := func(slot reference.Slot, p *state.Proof) error { return all.Add(ctx, p) }
	if err := tx.repo.Proofs(ctx, add); err != nil {
		return nil, err
	}
	for slot, m := range tx.marks {
		if m.Proof != nil {
			if err := add(slot, m.Proof); err != nil {
				return nil, err
			}
		}
	}
	c, err := all.Flush(ctx, tx.Blocks)
	return dagcbor.LinkTo(c), err
}

// AddNode puts a node that came from outside at nodes/AUTHOR, if it is signed by a friend and not
// older than what is known of them. It returns where the node stands, and whether it is new.
func (tx *Tx) AddNode(ctx context.Context, node *reference.Reference) (p path.Path, isNew bool, err error) {
	if node.Policy != reference.NodePolicy {
		return p, false, fmt.Errorf("%w: its policy is %s", ErrNotNode, node.Policy)
	}
	author := node.Owner.Cid
	if p, err = NodesPath.Join(author.String()); err != nil {
		return p, false, err
	}
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return p, false, err
	}
	if !authors.Accepts(author) {
		return p, false, fmt.Errorf("%w: %s", ErrNoFriend, author)
	}
	if err := node.VerifyWith(ctx, tx.Blocks); err != nil {
		return p, false, err
	}
	mark, err := tx.Mark(ctx, node.Slot())
	if err != nil {
		return p, false, err
	}
	if err := tx.checkRotations(ctx, node, mark); err != nil {
		return p, false, err
	}
	if err := tx.checkNodeKey(ctx, node); err != nil {
		return p, false, err
	}
	if isNew, err = tx.rankNode(ctx, node); err != nil {
		return p, false, err
	}
	if err := tx.recordRotations(ctx, node); err != nil {
		return p, false, err
	}
	// A node that is known may be missing in the tree, after an undo.
	return p, isNew, tx.putNode(ctx, p, node)
}

// recordRotations records the rotations that node, which is verified, brings along.
func (tx *Tx) recordRotations(ctx context.Context, node *reference.Reference) error {
	if node.Epoch == 0 {
		return nil
	}
	for _, b := range node.RotationBlocks() {
		if err := tx.Blocks.Put(ctx, b); err != nil {
			return err
		}
	}
	last, err := lastRotation(node)
	if err != nil {
		return err
	}
	return tx.RecordRotation(ctx, last)
}

// checkNodeKey checks that the key that signed node was not replaced, as far as is known here.
func (tx *Tx) checkNodeKey(ctx context.Context, node *reference.Reference) error {
	err := tx.checkEpoch(ctx, node.Owner.Cid, node.Epoch)
	if errors.Is(err, reference.ErrOldKey) {
		return fmt.Errorf("node %d of %w", node.Sequence, err)
	}
	return err
}

// checkEpoch checks that the key of an epoch was not replaced, as far as is known here.
func (tx *Tx) checkEpoch(ctx context.Context, author cid.Cid, epoch uint64) error {
	mark, err := tx.Mark(ctx, reference.RotationSlot(author))
	switch {
	case err != nil:
		return err
	case mark.ForkedFrom > 0:
		return fmt.Errorf("%s: %w", author, state.ErrIdentityForked)
	case mark.Reference != nil && epoch <= mark.Reference.Epoch:
		return fmt.Errorf("%s: %w", author, reference.ErrOldKey)
	}
	return nil
}

// isOver reports whether the key of an epoch does not count any more, as far as is known here.
func (tx *Tx) isOver(ctx context.Context, author cid.Cid, epoch uint64) (bool, error) {
	err := tx.checkEpoch(ctx, author, epoch)
	if errors.Is(err, state.ErrIdentityForked) || errors.Is(err, reference.ErrOldKey) {
		return true, nil
	}
	return false, err
}

// rankNode compares node with what is known of its author and records it if it is newer.
func (tx *Tx) rankNode(ctx context.Context, node *reference.Reference) (isNew bool, err error) {
	slot := node.Slot()
	mark, err := tx.Mark(ctx, slot)
	if err != nil {
		return false, err
	}
	if mark.ForkedFrom > node.Epoch {
		return false, ErrForked
	}
	for _, known := range []*reference.Reference{mark.Reference, mark.Pending} {
		if known == nil {
			continue
		}
		order, err := reference.Compare(ctx, tx.Blocks, known, node)
		older := node.Epoch < known.Epoch || node.Epoch == known.Epoch && node.Sequence < known.Sequence
		switch {
		case order == reference.Stale || order == reference.Incomplete && older:
			return false, fmt.Errorf("%w: sequence %d, and %d is known", ErrOlder, node.Sequence, known.Sequence)
		case order == reference.Forked:
			return false, tx.forked(ctx, known, node, mark)
		case order == reference.Same:
			isNew = false
			continue
		case order == reference.Incomplete && !errors.Is(err, store.ErrNotFound):
			return false, err
		case err != nil && order != reference.Incomplete:
			return false, err
		}
		isNew = true
	}
	if mark.Reference == nil && mark.Pending == nil {
		isNew = true
	}
	if isNew {
		mark.Pending = node
		tx.SetMark(slot, mark)
	}
	return isNew, nil
}

// checkElsewhere checks that everything that the identity is known to have signed elsewhere, in
// the epoch, is merged here: what is signed now has to continue it.
func (tx *Tx) checkElsewhere(ctx context.Context, id cid.Cid, epoch uint64) error {
	mark, err := tx.Mark(ctx, reference.NodeSlot(id))
	switch {
	case err != nil:
		return err
	case mark.ForkedFrom > epoch:
		return ErrOwnForked
	case mark.Pending != nil && mark.Pending.Epoch >= epoch:
		return fmt.Errorf("%w: node %d", ErrElsewhere, mark.Pending.Sequence)
	case mark.Reference != nil && !mark.Complete && mark.Reference.Epoch >= epoch:
		return fmt.Errorf("%w: node %d", ErrElsewhere, mark.Reference.Sequence)
	}
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return err
	}
	return root.Drafts(ctx, func(d *tree.Draft) error {
		if !d.Author.Equals(id) {
			return nil
		}
		mark, err := tx.Mark(ctx, d.Slot())
		if err == nil && mark.Pending != nil && mark.Pending.Epoch >= epoch {
			err = fmt.Errorf("%w: %s, sequence %d", ErrElsewhere, d.Path, mark.Pending.Sequence)
		}
		return err
	})
}

// CheckNodePath checks that a node of one's own may stand at p.
func CheckNodePath(p path.Path) error {
	first, _ := p.First()
	for _, top := range []path.Path{IdentitiesPath, FriendsPath, NodesPath, path.MustParse(path.Root)} {
		if first == top.String() || p.IsTop() {
			return fmt.Errorf("%s: %w: your node stands at a place of its own, such as node", p, tree.ErrForbidden)
		}
	}
	return nil
}
