package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/shared"

	"github.com/ipfs/go-cid"
)

// Where the settings of friends stand, and whom each of them accepts.
var (
	TrustPath   = path.MustParse("trust")
	AcceptsPath = path.MustParse("accepts")
)

// MaxQuota is the largest quota, of entries or of bytes.
const MaxQuota = 1<<53 - 1

// A Trust is how much of a friend counts. It stands as a JSON value at trust/ID unless it is the
// [UsualTrust].
type Trust struct {
	// Bytes and Entries are the quota: what the friend has beyond that is recorded and not shown;
	// 0 is none. [tree.Trust] says what they count.
	Bytes   uint64 `json:"bytes"`
	Entries uint64 `json:"entries"`
	// Friends says that whom the friend accepts is accepted here as well.
	Friends bool `json:"friends"`
	// Marks says that what the friend replaces or deletes of others is hidden here.
	Marks bool `json:"marks"`
}

// UsualTrust is what holds for a friend of whom nothing else is said.
var UsualTrust = Trust{Marks: true}

// weight returns what t means for the view.
func (t Trust) weight() tree.Trust {
	return tree.Trust{OwnMarks: !t.Marks, Entries: t.Entries, Bytes: t.Bytes}
}

// or returns the more generous of two for each setting: of somebody whom two friends accept.
func (t Trust) or(u Trust) Trust {
	more := func(a, b uint64) uint64 {
		if a == 0 || b == 0 {
			return 0
		}
		return max(a, b)
	}
	return Trust{Bytes: more(t.Bytes, u.Bytes), Entries: more(t.Entries, u.Entries), Marks: t.Marks || u.Marks}
}

// value returns t as it stands in the tree.
func (t Trust) value() []byte {
	value, _ := json.Marshal(t) // numbers and booleans only
	return value
}

func decodeTrust(value []byte) (Trust, error) {
	var t Trust
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, err
	}
	if !bytes.Equal(t.value(), value) || t.check() != nil {
		return t, errors.New("not in the form that trust writes")
	}
	return t, nil
}

func (t Trust) check() error {
	if t.Bytes > MaxQuota || t.Entries > MaxQuota {
		return fmt.Errorf("a quota of %d; %d is the largest, and 0 is none", max(t.Bytes, t.Entries), uint64(MaxQuota))
	}
	return nil
}

// eachSetting calls fn for every value at p/ID.
func eachSetting(ctx context.Context, t *tree.Tree, p path.Path, fn func(id cid.Cid, value []byte) error) error {
	err := t.Each(ctx, p, func(name string, e tree.Entry) error {
		id, err := cid.Decode(name)
		if err == nil && e.Policy != tree.ValuePolicy {
			err = fmt.Errorf("its policy is %s", e.Policy)
		}
		if err == nil {
			err = fn(id, e.Value)
		}
		if err != nil {
			return fmt.Errorf("%s/%q: %w: %w", p, name, ErrDamaged, err)
		}
		return nil
	})
	if errors.Is(err, tree.ErrNotFound) {
		return nil
	}
	return err
}

// addTrust reads the settings of the friends in a.
func (a *Authors) addTrust(ctx context.Context, t *tree.Tree) error {
	err := eachSetting(ctx, t, TrustPath, func(id cid.Cid, value []byte) error {
		trust, err := decodeTrust(value)
		if err == nil && a.Friends[id] {
			a.Trust[id] = trust
		}
		return err
	})
	if err != nil {
		return err
	}
	for friend, trust := range a.Trust {
		if !trust.Friends {
			continue
		}
		ids, err := AcceptedBy(ctx, t, friend)
		if err != nil {
			return err
		}
		a.addIndirect(ids, trust)
	}
	return nil
}

// addIndirect accepts those whom a friend with the given settings accepts.
func (a *Authors) addIndirect(ids []cid.Cid, trust Trust) {
	trust.Friends = false
	for _, id := range ids {
		if _, own := a.Own[id]; own || a.Friends[id] {
			continue
		}
		if other, ok := a.Indirect[id]; ok {
			trust := trust.or(other)
			a.Indirect[id] = trust
			continue
		}
		a.Indirect[id] = trust
	}
}

// TrustOf returns the settings of an author: of a friend their own, of others those of the friends
// who accept them. One's own identities count without limit.
func (a Authors) TrustOf(author cid.Cid) Trust {
	if t, ok := a.Trust[author]; ok {
		return t
	}
	if t, ok := a.Indirect[author]; ok {
		return t
	}
	return UsualTrust
}

// weights returns what counts of each author of whom not everything does.
func (a Authors) weights() map[cid.Cid]tree.Trust {
	weights := map[cid.Cid]tree.Trust{}
	for _, trusts := range []map[cid.Cid]Trust{a.Trust, a.Indirect} {
		for id, t := range trusts {
			if w := t.weight(); w != (tree.Trust{}) {
				weights[id] = w
			}
		}
	}
	return weights
}

// trusts returns what the view depends on.
func (a Authors) trusts(sizes shared.Sizes) tree.Trusts {
	weights := a.weights()
	if len(weights) == 0 {
		return tree.Trusts{}
	}
	return tree.Trusts{Of: func(author cid.Cid) tree.Trust { return weights[author] }, Sizes: sizes}
}

// SetTrust changes the settings of a friend, and returns what they are then.
func (tx *Tx) SetTrust(ctx context.Context, friend cid.Cid, change func(*Trust)) (Trust, error) {
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return Trust{}, err
	}
	if err := authors.checkFriend(friend); err != nil {
		return Trust{}, err
	}
	before := authors.TrustOf(friend)
	trust := before
	change(&trust)
	if err := trust.check(); err != nil || trust == before {
		return trust, err
	}
	p, err := TrustPath.Join(friend.String())
	if err != nil {
		return trust, err
	}
	if trust == UsualTrust {
		return trust, tx.Remove(ctx, p)
	}
	return trust, tx.Set(ctx, p, tree.NewValue(trust.value()))
}

func (a Authors) checkFriend(id cid.Cid) error {
	_, own := a.Own[id]
	_, indirect := a.Indirect[id]
	switch {
	case a.Friends[id]:
		return nil
	case own:
		return fmt.Errorf("%s: %w: an identity of your own, which always counts", id, ErrNoFriend)
	case indirect:
		return fmt.Errorf("%s: %w of yours: accepted through a friend, whose settings hold", id, ErrNoFriend)
	}
	return fmt.Errorf("%s: %w", id, ErrNoFriend)
}

// A TrustLine is what trust prints of a friend.
type TrustLine struct {
	ID string `json:"id"`
	Trust
	Accepts int `json:"accepts"` // how many authors the friend accepts
}

// TrustLines returns the settings of a friend, or of all if it is undefined, by their ids.
func TrustLines(ctx context.Context, t *tree.Tree, friend cid.Cid) ([]TrustLine, error) {
	authors, err := AuthorsOf(ctx, t)
	if err != nil {
		return nil, err
	}
	friends := authors.Friends
	if friend.Defined() {
		if err := authors.checkFriend(friend); err != nil {
			return nil, err
		}
		friends = map[cid.Cid]bool{friend: true}
	}
	var lines []TrustLine
	for id := range friends {
		accepted, err := AcceptedBy(ctx, t, id)
		if err != nil {
			return nil, err
		}
		lines = append(lines, TrustLine{id.String(), authors.TrustOf(id), len(accepted)})
	}
	slices.SortFunc(lines, func(a, b TrustLine) int { return strings.Compare(a.ID, b.ID) })
	return lines, nil
}
