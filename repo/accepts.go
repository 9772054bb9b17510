package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// Whom a friend accepts stands at accepts/ID, as the friend's newest merged node says: a JSON list
// of ids, in their order; if the node is of an epoch N after 0, {"epoch":N,"ids":LIST}. It is there
// for all friends who accept anybody, and counts for those of whom the settings say so. What a key
// has said that was replaced since, as far as is known, does not stand there.

// MaxIndirect is how many authors a friend may accept for them to be accepted through the friend.
const MaxIndirect = 10_000

// ErrTooMany is a friend who accepts more authors than MaxIndirect.
var ErrTooMany = fmt.Errorf("more than %d friends", MaxIndirect)

// AcceptedBy returns whom a friend accepts.
func AcceptedBy(ctx context.Context, t *tree.Tree, friend cid.Cid) ([]cid.Cid, error) {
	a, err := acceptedBy(ctx, t, friend)
	return a.ids, err
}

// accepted is whom a friend accepts, by a node of the epoch.
type accepted struct {
	epoch uint64
	ids   []cid.Cid
}

// acceptedBy returns what stands at accepts/ID; nobody if that is nothing.
func acceptedBy(ctx context.Context, t *tree.Tree, friend cid.Cid) (accepted, error) {
	p, err := AcceptsPath.Join(friend.String())
	if err != nil {
		return accepted{}, err
	}
	e, err := t.Get(ctx, p)
	if errors.Is(err, tree.ErrNotFound) {
		return accepted{}, nil
	}
	if err != nil {
		return accepted{}, err
	}
	a, err := decodeAccepted(e.Value)
	if err != nil {
		return accepted{}, fmt.Errorf("%s: %w: %w", p, ErrDamaged, err)
	}
	return a, nil
}

// acceptedLater is what stands at accepts/ID by a node of an epoch after 0.
type acceptedLater struct {
	Epoch uint64   `json:"epoch"`
	IDs   []string `json:"ids"`
}

func decodeAccepted(value []byte) (a accepted, err error) {
	var later acceptedLater
	if bytes.HasPrefix(value, []byte("{")) {
		err = json.Unmarshal(value, &later)
	} else {
		err = json.Unmarshal(value, &later.IDs)
	}
	if err != nil {
		return a, err
	}
	a.epoch = later.Epoch
	for _, text := range later.IDs {
		id, err := cid.Decode(text)
		if err != nil {
			return a, err
		}
		a.ids = append(a.ids, id)
	}
	if again, err := a.encode(); err != nil || !bytes.Equal(again, value) {
		return a, errors.New("not in the form that merge writes")
	}
	return a, nil
}

func (a accepted) encode() ([]byte, error) {
	texts := make([]string, len(a.ids))
	for i, id := range a.ids {
		texts[i] = id.String()
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if a.epoch == 0 {
		return json.Marshal(texts)
	}
	return json.Marshal(acceptedLater{a.epoch, texts})
}

// NoteAccepted records whom the author of node, a friend, accepts by it, and reports whether that
// is new; an older node than the newest that is known changes nothing. [ErrTooMany], and a map
// that is malformed, mean that the friend accepts nobody.
func (tx *Tx) NoteAccepted(ctx context.Context, node *reference.Reference) (changed bool, err error) {
	mark, err := tx.Mark(ctx, node.Slot())
	if err != nil || !tx.counted.Friends[node.Owner.Cid] || mark.Reference != nil && mark.Reference.After(node) {
		return false, err
	}
	ids, wrong := tx.acceptedIn(ctx, node)
	switch {
	case ctx.Err() != nil || errors.Is(wrong, store.ErrNotFound):
		return false, fmt.Errorf("whom %s accepts: %w", node.Owner, wrong)
	case wrong != nil:
		wrong = fmt.Errorf("nobody is accepted through %s: %w", node.Owner, wrong)
		ids = nil
	}
	changed, err = tx.setAccepted(ctx, node.Owner.Cid, accepted{node.Epoch, ids})
	return changed, errors.Join(wrong, err)
}

// DropReplaced removes whom a friend accepts if no node of the epoch that said so counts any more,
// as far as is known here. It is for whoever learns of a rotation or of a fork, so that the order in
// which that and the node came does not matter. It reports whether the tree changed.
func (tx *Tx) DropReplaced(ctx context.Context, friend cid.Cid) (changed bool, err error) {
	a, err := acceptedBy(ctx, tx.Tree, friend)
	if err != nil || len(a.ids) == 0 {
		return false, err
	}
	mark, err := tx.Mark(ctx, reference.NodeSlot(friend))
	if err != nil {
		return false, err
	}
	over, err := tx.isOver(ctx, friend, a.epoch)
	if err != nil || !over && mark.ForkedFrom <= a.epoch {
		return false, err
	}
	return tx.setAccepted(ctx, friend, accepted{})
}

// acceptedIn returns the friends that a node lists.
func (tx *Tx) acceptedIn(ctx context.Context, node *reference.Reference) ([]cid.Cid, error) {
	if node.Seen == nil {
		return nil, nil
	}
	var ids []cid.Cid
	m := merkle.NewMap(tx.Blocks, merkle.Whole, node.Seen.Target())
	err := m.Each(ctx, func(key []byte, data dagcbor.Raw) error {
		if len(ids) == MaxIndirect {
			return ErrTooMany
		}
		var seen seenNode
		if err := dagcbor.Unmarshal(data, &seen); err != nil {
			return err
		}
		slot, err := reference.ParseSlot(slices.Concat(key, key)) // which says what an id is
		ids = append(ids, slot.Author)
		if err == nil && seen.Node == nil {
			err = seen.checkEmpty()
		}
		return err
	})
	return ids, err
}

// setAccepted records whom a friend accepts, and reports whether that changed the tree.
func (tx *Tx) setAccepted(ctx context.Context, friend cid.Cid, a accepted) (changed bool, err error) {
	p, err := AcceptsPath.Join(friend.String())
	if err != nil {
		return false, err
	}
	var before []byte
	switch e, err := tx.Get(ctx, p); {
	case err == nil:
		before = e.Value
	case !errors.Is(err, tree.ErrNotFound):
		return false, err
	}
	if len(a.ids) == 0 {
		if before == nil {
			return false, nil
		}
		return true, tx.Remove(ctx, p)
	}
	value, err := a.encode()
	if err != nil || bytes.Equal(value, before) {
		return false, err
	}
	return true, tx.Set(ctx, p, tree.NewValue(value))
}

// ParseAuthor reads an author as people name them: friends/ID, nodes/ID or the ID.
func ParseAuthor(text string) (cid.Cid, error) {
	p, err := path.Parse(text)
	if err != nil {
		return cid.Undef, err
	}
	if names := p.Names(); len(names) == 2 && (p.Parent() == FriendsPath || p.Parent() == NodesPath) {
		text = names[1]
	}
	id, err := cid.Decode(text)
	if err != nil {
		return cid.Undef, fmt.Errorf("%s: %w: neither an id nor friends/ID", text, ErrNotIdentity)
	}
	return id, nil
}
