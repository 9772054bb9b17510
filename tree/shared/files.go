package shared

import (
	"context"
	"errors"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// emptyCid is the CID of the empty directory.
var emptyCid = func() cid.Cid {
	b, _ := unixfs.EmptyDir()
	return b.Cid
}()

// editDir returns dir with the changes; nil removes. An undefined dir is an empty one.
func editDir(ctx context.Context, blocks store.Blocks, dir cid.Cid, changes map[string]*unixfs.Entry) (cid.Cid, error) {
	if !dir.Defined() || dir.Equals(emptyCid) {
		b, _ := unixfs.EmptyDir()
		if err := blocks.Put(ctx, b); err != nil {
			return cid.Undef, err
		}
		dir = emptyCid
	}
	list := make([]unixfs.Entry, 0, len(changes))
	for name, e := range changes {
		if e == nil {
			e = &unixfs.Entry{}
		}
		list = append(list, unixfs.Entry{Name: name, Cid: e.Cid, Tsize: e.Tsize})
	}
	edited, err := unixfs.Edit(ctx, blocks, dir, list)
	return edited.Cid, err
}

// dirEntry returns the directory c as an entry of its parent.
func dirEntry(ctx context.Context, blocks store.Getter, name string, c cid.Cid) (unixfs.Entry, error) {
	d, err := unixfs.OpenDir(ctx, blocks, c)
	if err != nil {
		return unixfs.Entry{}, err
	}
	e := d.Entry()
	e.Name = name
	return e, nil
}

// find returns the entry of an open directory; without a CID if there is none.
func find(ctx context.Context, d *unixfs.Dir, name string) (unixfs.Entry, error) {
	e, err := d.Lookup(ctx, name)
	if errors.Is(err, unixfs.ErrNoEntry) {
		return unixfs.Entry{}, nil
	}
	return e, err
}
