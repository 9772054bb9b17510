package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/store"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

func TestTrustIsReadStrictly(t *testing.T) {
	for _, want := range []Trust{UsualTrust, {}, {Bytes: 1, Entries: MaxQuota, Friends: true}} {
		if got, err := decodeTrust(want.value()); err != nil || got != want {
			t.Errorf("%s: %+v, %v", want.value(), got, err)
		}
	}
	for _, text := range []string{
		``, `{}`, `null`, `true`, `{"marks":true}`,
		`{"bytes":0,"entries":0,"friends":false,"marks":true,"more":1}`,
		`{"bytes":0,"entries":0,"friends":false,"marks":true,"marks":false}`,
		`{"bytes":0,"entries":0,"marks":true,"friends":false}`,
		`{"bytes":0,"entries":0,"friends":false,"marks":true} `,
		`{"bytes":0,"entries":0,"friends":false,"marks":true}{}`,
		`{"bytes":-1,"entries":0,"friends":false,"marks":true}`,
		`{"bytes":9007199254740992,"entries":0,"friends":false,"marks":true}`,
		`{"Bytes":0,"entries":0,"friends":false,"marks":true}`,
	} {
		if got, err := decodeTrust([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func FuzzTrust(f *testing.F) {
	for _, t := range []Trust{UsualTrust, {}, {Bytes: 1, Entries: MaxQuota, Friends: true}} {
		f.Add(t.value())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if trust, err := decodeTrust(data); err == nil && (!bytes.Equal(trust.value(), data) || trust.check() != nil) {
			t.Errorf("%s is read as %+v", data, trust)
		}
	})
}

// FuzzSeen reads what a node says of a friend, and the list that is made of many.
func FuzzSeen(f *testing.F) {
	for _, seen := range []seenNode{{}, {Node: []byte("no node"), Merged: true}} {
		data, err := dagcbor.Marshal(seen)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for epoch := range uint64(2) {
		data, err := accepted{epoch, []cid.Cid{author(1), author(2)}}.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var seen seenNode
		if dagcbor.Unmarshal(data, &seen) == nil {
			if again, err := dagcbor.Marshal(seen); err != nil || !bytes.Equal(again, data) {
				t.Errorf("%x is read and written as %x, %v", data, again, err)
			}
			_ = seen.checkEmpty()
		}
		if a, err := decodeAccepted(data); err == nil {
			if again, err := a.encode(); err != nil || !bytes.Equal(again, data) {
				t.Errorf("%s is read and written as %s, %v", data, again, err)
			}
		}
	})
}

func TestTheMoreGenerousCounts(t *testing.T) {
	a := Trust{Bytes: 5, Entries: 0, Friends: true, Marks: false}
	b := Trust{Bytes: 7, Entries: 3, Marks: true}
	if got, want := a.or(b), (Trust{Bytes: 7, Marks: true}); got != want || b.or(a) != want {
		t.Errorf("%+v, %+v; want %+v", got, b.or(a), want)
	}
}

func author(i int) cid.Cid { return store.Sum(cid.DagCBOR, fmt.Append(nil, "author ", i)) }

// noted has a friend list the given records, and returns whom that makes accepted.
func noted(t *testing.T, records map[string]dagcbor.Raw) ([]cid.Cid, error) {
	ctx := t.Context()
	r, err := Initialize(ctx, filepath.Join(t.TempDir(), "repo"), nil, Place{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	secret, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	friend := secret.ID()
	err = r.Update(ctx, "befriend", func(ctx context.Context, tx *Tx) error {
		if _, _, err := tx.AddFriend(ctx, secret.Document()); err != nil {
			return err
		}
		_, err := tx.Recount(ctx)
		if err != nil {
			return err
		}
		_, err = tx.setAccepted(ctx, friend, accepted{ids: []cid.Cid{author(-1)}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []cid.Cid
	var wrong error
	err = r.Update(ctx, "note", func(ctx context.Context, tx *Tx) error {
		m := merkle.NewMap(tx.Blocks, merkle.Whole, cid.Undef)
		for key, data := range records {
			if err := m.Set(ctx, []byte(key), data); err != nil {
				return err
			}
		}
		seen, err := m.Flush(ctx, tx.Blocks)
		if err != nil {
			return err
		}
		node := &reference.Reference{Policy: reference.NodePolicy, Owner: dagcbor.Link{Cid: friend}, Seen: dagcbor.LinkTo(seen)}
		_, wrong = tx.NoteAccepted(ctx, node)
		if ids, err = AcceptedBy(ctx, tx.Tree, friend); err != nil {
			return err
		}
		_, err = tx.SetTrust(ctx, friend, func(t *Trust) { t.Friends = true })
		if err != nil {
			return err
		}
		authors, err := tx.Accepted(ctx)
		for _, id := range ids {
			if !authors.Accepts(id) {
				t.Errorf("%s is not accepted", id)
			}
		}
		if len(authors.Indirect) != len(ids) {
			t.Errorf("%d of %d are accepted", len(authors.Indirect), len(ids))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, wrong
}

func list(from, to int) map[string]dagcbor.Raw {
	empty, _ := dagcbor.Marshal(seenNode{})
	records := map[string]dagcbor.Raw{}
	for i := from; i < to; i++ {
		records[string(author(i).Bytes())] = empty
	}
	return records
}

func TestWhomAFriendAccepts(t *testing.T) {
	for n, want := range map[int]int{1: 1, MaxIndirect: MaxIndirect, MaxIndirect + 1: 0} {
		ids, err := noted(t, list(0, n))
		if len(ids) != want || (err != nil) != (want == 0) || err != nil && !errors.Is(err, ErrTooMany) {
			t.Errorf("of %d: %d, %v", n, len(ids), err)
		}
	}
	merged, _ := dagcbor.Marshal(seenNode{Merged: true})
	history, _ := dagcbor.Marshal(seenNode{History: dagcbor.LinkTo(author(1))})
	other, _ := dagcbor.Marshal(map[string]any{"else": true})
	for name, record := range map[string]struct {
		key  string
		data dagcbor.Raw
	}{
		"a short key":            {"key", merged},
		"a key that is no CID":   {strings.Repeat("x", 36), merged},
		"merged without a node":  {string(author(0).Bytes()), merged},
		"history without a node": {string(author(0).Bytes()), history},
		"another field":          {string(author(0).Bytes()), other},
	} {
		records := list(1, 3)
		records[record.key] = record.data
		if ids, err := noted(t, records); err == nil || len(ids) != 0 {
			t.Errorf("%s: %d are accepted, %v", name, len(ids), err)
		}
	}
}
