package shared

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// dir makes edits below a place, each name once, and returns the author's layer there.
func (b *batch) dir(ctx context.Context, at place, list []Edit) (Layer, error) {
	byName := ByName(list)
	layer := at.of(b.author)
	for i, s := range b.stages(byName) {
		var err error
		if i > 0 {
			if at, err = b.after(ctx, at, layer); err != nil {
				return Layer{}, err
			}
		}
		done, err := b.each(ctx, at, s, byName)
		if err == nil {
			layer, err = b.merge(ctx, layer, done)
		}
		if err != nil {
			return Layer{}, err
		}
	}
	return layer, nil
}

// A stage does something to names of a place that have nothing to do with each other. The next one
// has to see it done.
type stage struct {
	names []string
	phase phase
}

// A phase does something to one name of a place: it returns what changes in the author's layer.
type phase func(ctx context.Context, at place, name string, list []Edit) (*edits, error)

// stages returns what edits take: of each kind of names, the removals first.
func (b *batch) stages(byName map[string][]Edit) []stage {
	removing := func(name string) bool { c := byName[name][0]; return len(c.Names) == 0 && c.Remove }
	writing := func(name string) bool { c := byName[name][0]; return len(c.Names) > 0 || c.Entry != nil }
	var stages []stage
	for _, sets := range order(byName) {
		for _, names := range sets {
			stages = append(stages, stage{filter(names, removing), b.removal})
		}
		for _, names := range sets {
			stages = append(stages, stage{filter(names, writing), b.writing})
		}
	}
	return slices.DeleteFunc(stages, func(s stage) bool { return len(s.names) == 0 })
}

func filter(names []string, keep func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !keep(name) })
}

// order returns names in sets that have nothing to do with each other, one set after the other.
// First come those that may be conflict names, since what is done through one changes the group
// behind it; then all others, but for those that have the hash of another one, of which in a large
// directory the second is refused.
func order(byName map[string][]Edit) [4][][]string {
	hashes := map[uint64]int{}
	for name := range byName {
		hashes[unixfs.HashName(name)]++
	}
	var alone, through, alike [][]string
	var plain []string
	turns := map[string]int{} // how many names there were of one group
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		base, known := behindAll(name)
		unlike := hashes[unixfs.HashName(name)] == 1
		switch {
		case base == name && unlike:
			plain = append(plain, name)
		case base == name:
			alike = append(alike, []string{name})
		case !known || !unlike:
			alone = append(alone, []string{name})
		default:
			if turns[base] == len(through) {
				through = append(through, nil)
			}
			through[turns[base]] = append(through[turns[base]], name)
			turns[base]++
		}
	}
	return [4][][]string{alone, through, {plain}, alike}
}

// behindAll returns the name of the last group that may be behind a name, or behind that again; it
// is not known if there may be others, since the name may have been cut.
func behindAll(name string) (base string, known bool) {
	base, known = name, true
	for plain, cut, ok := plainName(base); ok; plain, cut, ok = plainName(base) {
		base, known = plain, known && !cut
	}
	return base, known
}

// A change is what edits at one name change in the author's layer.
type change struct {
	name  string
	list  []Edit
	edits *edits
}

// each returns what a stage changes.
func (b *batch) each(ctx context.Context, at place, s stage, byName map[string][]Edit) ([]change, error) {
	var done []change
	for _, name := range s.names {
		edits, err := s.phase(ctx, at, name, byName[name])
		if err == nil {
			err = edits.check()
		}
		if err != nil {
			if err := b.refuse(byName[name], err); err != nil {
				return nil, err
			}
		} else if len(edits.files)+len(edits.records) > 0 {
			done = append(done, change{name, byName[name], edits})
		}
	}
	return done, nil
}

// check returns an error if apply would refuse a record.
func (d *edits) check() error {
	for name, r := range d.records {
		if err := r.check(); err != nil {
			return fmt.Errorf("%s: %w; write to another name", name, err)
		}
	}
	return nil
}

// merge returns layer with changes. Where two names with the same hash cannot stand, all goes in
// but what comes later.
func (b *batch) merge(ctx context.Context, layer Layer, done []change) (Layer, error) {
	merged, err := b.applyAll(ctx, layer, done)
	if !errors.Is(err, unixfs.ErrCollision) {
		return merged, err
	}
	var names []string
	for _, c := range done {
		names = append(names, c.name)
	}
	rank, err := Alike(ctx, b.blocks, layer.Files, names)
	if err != nil {
		return Layer{}, err
	}
	slices.SortStableFunc(done, func(x, y change) int { return rank[x.name] - rank[y.name] })
	return b.halves(ctx, layer, done)
}

// halves is merge of all that can be made, in the order given.
func (b *batch) halves(ctx context.Context, layer Layer, done []change) (Layer, error) {
	merged, err := b.applyAll(ctx, layer, done)
	switch {
	case !errors.Is(err, unixfs.ErrCollision):
		return merged, err
	case len(done) == 1:
		return layer, b.refuse(done[0].list, err)
	}
	half := len(done) / 2
	if layer, err = b.halves(ctx, layer, done[:half]); err != nil {
		return Layer{}, err
	}
	return b.halves(ctx, layer, done[half:])
}

func (b *batch) applyAll(ctx context.Context, layer Layer, done []change) (Layer, error) {
	all := newEdits()
	for _, c := range done {
		maps.Copy(all.files, c.edits.files)
		maps.Copy(all.records, c.edits.records)
	}
	return b.apply(ctx, layer, all)
}

// Alike returns 1 for those names that have the hash of one before, or of an entry of the directory
// dir, which may be undefined.
func Alike(ctx context.Context, blocks store.Getter, dir cid.Cid, names []string) (map[string]int, error) {
	byHash, alike := map[uint64]string{}, map[string]int{}
	note := func(name string) {
		hash := unixfs.HashName(name)
		if first, ok := byHash[hash]; !ok {
			byHash[hash] = name
		} else if first != name {
			alike[name] = 1
		}
	}
	if dir.Defined() {
		d, err := unixfs.OpenDir(ctx, blocks, dir)
		if err != nil {
			return nil, err
		}
		if err := d.Each(ctx, func(e unixfs.Entry) error { note(e.Name); return nil }); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		note(name)
	}
	return alike, nil
}
