package shared

import (
	"context"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/tree/merkle"

	"github.com/ipfs/go-cid"
)

// A record is what an author's tree of marks holds for one name of a directory. A record
// with nothing in it does not stand in the tree.
type record struct {
	// Nonce makes the id of the author's own version here; without it the content does.
	Nonce []byte `cbor:"nonce,omitempty"`
	// Met says that a version of the author stood here and was removed.
	Met bool `cbor:"met,omitempty"`
	// Hides lists the versions here that the author replaced or deleted.
	Hides []Mark `cbor:"hides,omitempty"`
	// Below is the tree of marks of the directory with this name.
	Below *dagcbor.Link `cbor:"below,omitempty"`
}

// A Mark hides a version. By is the version that replaced it or that was left standing; without
// it the version was deleted.
type Mark struct {
	Version VersionID `cbor:"version"`
	By      VersionID `cbor:"by,omitempty"`
}

const nonceSize = 16

func (r *record) empty() bool {
	return r.Nonce == nil && !r.Met && len(r.Hides) == 0 && r.Below == nil
}

// check returns an error if r has more marks than [MaxMarks].
func (r *record) check() error {
	if len(r.Hides) > MaxMarks {
		return fmt.Errorf("%w: %d marks on one path, and %d may be", ErrTooLarge, len(r.Hides), MaxMarks)
	}
	return nil
}

// addMarks adds those of the given marks that r does not have.
func (r *record) addMarks(marks []Mark) {
	have := map[[2]string]bool{}
	for _, m := range r.Hides {
		have[[2]string{string(m.Version), string(m.By)}] = true
	}
	for _, m := range marks {
		key := [2]string{string(m.Version), string(m.By)}
		if !have[key] {
			have[key] = true
			r.Hides = append(r.Hides, m)
		}
	}
}

// marks is the tree of marks of one directory: a Merkle map from names to records. Nil is
// a tree that no layer has.
type marks struct{ m *merkle.Map }

func openMarks(blocks store.Getter, root cid.Cid) marks {
	return marks{merkle.NewMap(blocks, merkle.Whole, root)}
}

func (t marks) get(ctx context.Context, name string) (record, error) {
	data, ok, err := t.m.Get(ctx, []byte(name))
	if err != nil || !ok {
		return record{}, err
	}
	r, err := decodeRecord(data)
	if err != nil {
		return record{}, fmt.Errorf("marks of %q: %w", name, err)
	}
	return r, nil
}

func decodeRecord(data dagcbor.Raw) (record, error) {
	var r record
	if err := dagcbor.Unmarshal(data, &r); err != nil {
		return record{}, err
	}
	if r.Nonce != nil && len(r.Nonce) != nonceSize {
		return record{}, fmt.Errorf("%w: a nonce of %d bytes", merkle.ErrMalformed, len(r.Nonce))
	}
	for _, m := range r.Hides {
		if len(m.Version) != versionSize || m.By != nil && len(m.By) != versionSize {
			return record{}, fmt.Errorf("%w: a version id that has not %d bytes", merkle.ErrMalformed, versionSize)
		}
	}
	if r.empty() {
		return record{}, fmt.Errorf("%w: an empty record", merkle.ErrMalformed)
	}
	return r, nil
}

// set puts r under name, or removes what stands there if r is empty.
func (t marks) set(ctx context.Context, name string, r record) error {
	if r.empty() {
		return t.m.Delete(ctx, []byte(name))
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("%s: %w; write to another name", name, err)
	}
	data, err := dagcbor.Marshal(r)
	if err != nil {
		return err
	}
	return t.m.Set(ctx, []byte(name), data)
}

// flush returns the root of t; undefined if t is empty.
func (t marks) flush(ctx context.Context, blocks store.Putter) (cid.Cid, error) {
	n, err := t.m.Len(ctx)
	if err != nil || n == 0 {
		return cid.Undef, err
	}
	return t.m.Flush(ctx, blocks)
}

func linkTo(c cid.Cid) *dagcbor.Link { return dagcbor.LinkTo(c) }
