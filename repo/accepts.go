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
// of ids, in their order. It is there for all friends who accept anybody, and counts for those of
// whom the settings say so.

// MaxIndirect is how many authors a friend may accept for them to be accepted through the friend.
const MaxIndirect = 10_000

// ErrTooMany is a friend who accepts more authors than MaxIndirect.
var ErrTooMany = fmt.Errorf("more than %d friends", MaxIndirect)

// AcceptedBy returns whom a friend accepts.
func AcceptedBy(ctx context.Context, t *tree.Tree, friend cid.Cid) ([]cid.Cid, error) {
	p, err := AcceptsPath.Join(friend.String())
	if err != nil {
		return nil, err
	}
	e, err := t.Get(ctx, p)
	if errors.Is(err, tree.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ids, err := decodeAccepted(e.Value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", p, ErrDamaged, err)
	}
	return ids, nil
}

func decodeAccepted(value []byte) ([]cid.Cid, error) {
	var texts []string
	if err := json.Unmarshal(value, &texts); err != nil {
		return nil, err
	}
	var ids []cid.Cid
	for _, text := range texts {
		id, err := cid.Decode(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if again, err := encodeAccepted(ids); err != nil || !bytes.Equal(again, value) {
		return nil, errors.New("not in the form that merge writes")
	}
	return ids, nil
}

func encodeAccepted(ids []cid.Cid) ([]byte, error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	slices.Sort(texts)
	return json.Marshal(slices.Compact(texts))
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
	changed, err = tx.setAccepted(ctx, node.Owner.Cid, ids)
	return changed, errors.Join(wrong, err)
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

func (tx *Tx) setAccepted(ctx context.Context, friend cid.Cid, ids []cid.Cid) (changed bool, err error) {
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
	if len(ids) == 0 {
		if before == nil {
			return false, nil
		}
		return true, tx.Remove(ctx, p)
	}
	value, err := encodeAccepted(ids)
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
