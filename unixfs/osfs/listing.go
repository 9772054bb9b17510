package osfs

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"archivecache/unixfs"
)

// An item is an entry of a folder before it is read.
type item struct {
	name string
	kind fs.FileMode // type bits
}

// A listing is what is taken in of a folder, and the rules for what is below it.
type listing struct {
	parts [][]item // one, or in a large folder one for each slot; by name
	rules *rules
}

// pieces yields the items as a [unixfs.DirWriter] takes them, and lets go of them.
func (l *listing) pieces() iter.Seq[[]item] {
	return func(yield func([]item) bool) {
		var piece []item
		for i, part := range l.parts {
			piece = append(piece, part...)
			l.parts[i] = nil
			if len(piece) < pieceLength && i < len(l.parts)-1 {
				continue
			}
			if !yield(piece) {
				return
			}
			piece = piece[:0]
		}
	}
}

func (im *importer) list(path, rel string, above *rules) (listing, error) {
	parts, err := readDir(path)
	if err != nil {
		return listing{}, err
	}
	l := listing{parts: parts, rules: above}
	if im.IgnoreFile != "" {
		if err := im.readIgnoreFile(path, rel, &l); err != nil {
			return l, err
		}
	}
	for i := range l.parts {
		l.parts[i] = slices.DeleteFunc(l.parts[i], func(i item) bool {
			return im.leavesOut(l.rules, rel, i)
		})
	}
	return l, nil
}

// readDir lists a folder. It reads in pieces: what the os package tells of
// an entry is several times as large as an item.
func readDir(path string) ([][]item, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parts := [][]item{nil}
	for {
		found, err := f.ReadDir(1024)
		if len(parts) == 1 && len(parts[0])+len(found) > pieceLength {
			parts = bySlot(make([][]item, unixfs.Slots), parts[0])
		}
		items := make([]item, len(found))
		for i, e := range found {
			items[i] = item{e.Name(), e.Type()}
		}
		if len(parts) == 1 {
			parts[0] = append(parts[0], items...)
		} else {
			bySlot(parts, items)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	for _, part := range parts {
		slices.SortFunc(part, func(a, b item) int { return strings.Compare(a.name, b.name) })
	}
	return parts, nil
}

// bySlot adds items to the parts of their slots.
func bySlot(parts [][]item, items []item) [][]item {
	for _, i := range items {
		slot := unixfs.Slot(i.name)
		parts[slot] = append(parts[slot], i)
	}
	return parts
}

// leavesOut says whether an item of the folder rel is left out.
func (im *importer) leavesOut(r *rules, rel string, i item) bool {
	if len(im.exclude.list) == 0 && r == nil {
		return false
	}
	path := join(rel, i.name)
	if out, decided := im.exclude.Match(path, i.kind.IsDir()); decided {
		return out
	}
	return r.leavesOut(path, i.kind.IsDir())
}

// readIgnoreFile adds the patterns of a folder to the rules, if it has a file with them.
func (im *importer) readIgnoreFile(path, rel string, l *listing) error {
	is := func(i item) bool { return i.name == im.IgnoreFile && i.kind.IsRegular() }
	if !slices.ContainsFunc(l.parts, func(part []item) bool { return slices.ContainsFunc(part, is) }) {
		return nil
	}
	f, err := os.Open(filepath.Join(path, im.IgnoreFile))
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := ReadPatterns(f)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	l.rules = &rules{above: l.rules, path: rel, patterns: p}
	return nil
}
