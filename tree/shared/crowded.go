package shared

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Two names with the same hash cannot stand in a directory that is too large for one block
// ([unixfs.ErrCollision]). Nobody meets such names by chance; who makes them on purpose, in two
// layers or with somebody else's name, must not take the directory from everybody. So where the
// names that a directory would show cannot be written, of those with the same hash only the one
// that sorts lowest is shown, and a file with the name leftOutName tells of the others. That
// follows from the names, so it is the same for everybody. A view with a file of that name is
// computed in full, as what was left out cannot be found in it.

// leftOutName is the name of the file that tells which names are left out.
const leftOutName = "~names-left-out.txt"

// maxLeftOut is how many names that file tells at most.
const maxLeftOut = 500

// leftOut reports whether names may be left out of a view.
func (v *viewer) leftOut(ctx context.Context, view cid.Cid) (bool, error) {
	if view.Equals(emptyCid) {
		return false, nil // its block need not be here
	}
	e, err := v.lookup(ctx, view, leftOutName)
	return e.Cid.Defined(), err
}

// crowded returns what the level now shows, computed name by name.
func (v *viewer) crowded(ctx context.Context, old, now level, oldView cid.Cid) (cid.Cid, error) {
	names := map[string]bool{}
	if err := v.changed(ctx, level{}, now, func(name string) { names[name] = true }); err != nil {
		return cid.Undef, err
	}
	shown := map[string]*unixfs.Entry{}
	for name := range names {
		before, err := v.group(ctx, old, name)
		if err != nil {
			return cid.Undef, err
		}
		if err := v.place(ctx, before, now, oldView, name, shown); err != nil {
			return cid.Undef, err
		}
	}
	maps.DeleteFunc(shown, func(_ string, e *unixfs.Entry) bool { return e == nil })
	c, err := editDir(ctx, v.blocks, cid.Undef, shown)
	if errors.Is(err, unixfs.ErrCollision) {
		if err := v.leaveOut(ctx, shown); err != nil {
			return cid.Undef, err
		}
		c, err = editDir(ctx, v.blocks, cid.Undef, shown)
	}
	if err != nil || c.Equals(emptyCid) {
		return cid.Undef, err
	}
	return c, nil
}

// leaveOut takes names out of a directory until none have the same hash, and puts in the file that
// tells of them.
func (v *viewer) leaveOut(ctx context.Context, shown map[string]*unixfs.Entry) error {
	taken := map[uint64]bool{unixfs.HashName(leftOutName): true}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		if hash := unixfs.HashName(name); taken[hash] {
			out = append(out, name)
			delete(shown, name)
		} else {
			taken[hash] = true
		}
	}
	b := store.NewBlock(cid.Raw, leftOutText(out))
	shown[leftOutName] = &unixfs.Entry{Name: leftOutName, Cid: b.Cid, Tsize: uint64(len(b.Data))}
	return v.blocks.Put(ctx, b)
}

// LeaveOut returns entries without those that have the hash of another name, which sorts before.
func LeaveOut(entries []unixfs.Entry) []unixfs.Entry {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b unixfs.Entry) int { return strings.Compare(a.Name, b.Name) })
	taken := map[uint64]bool{}
	return slices.DeleteFunc(entries, func(e unixfs.Entry) bool {
		hash := unixfs.HashName(e.Name)
		defer func() { taken[hash] = true }()
		return taken[hash]
	})
}

// leftOutText returns what the file says: a name a line, quoted as in Go.
func leftOutText(names []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%d names have the same hash as another name here, and are not shown:\n", len(names))
	for _, name := range names[:min(len(names), maxLeftOut)] {
		fmt.Fprintf(&b, "%q\n", name)
	}
	return []byte(b.String())
}

// checkHash refuses to write a new name that has the same hash as another one that is shown, where
// both cannot stand.
func (e *Editor) checkHash(ctx context.Context, at place, name string) error {
	if !at.view.Defined() || at.view.Equals(emptyCid) {
		return nil
	}
	d, err := e.open(ctx, at.view)
	if err != nil {
		return err
	}
	other, err := d.SameHash(ctx, name)
	if err != nil || other == "" {
		return err
	}
	return fmt.Errorf("%s: %w as %q, which stands there; choose another name", at.childPath(name), unixfs.ErrCollision, other)
}
