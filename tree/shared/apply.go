package shared

import (
	"context"
	"errors"

	"archivecache/tree/path"
	"archivecache/unixfs"
)

// An Edit says what stands at a path of a directory afterwards.
type Edit struct {
	Number int           // the caller's, by which a refusal names it
	Names  []string      // below the directory; none at all are the directory itself
	Remove bool          // what stands there is removed first; nothing there is no error
	Entry  *unixfs.Entry // what stands there then; nil is nothing
}

// ByName returns edits below a directory by the first of their names, which it takes off.
func ByName(list []Edit) map[string][]Edit {
	below := map[string][]Edit{}
	for _, c := range list {
		name := c.Names[0]
		c.Names = c.Names[1:]
		below[name] = append(below[name], c)
	}
	return below
}

// Puts returns those edits that put something.
func Puts(list []Edit) []Edit {
	var puts []Edit
	for _, c := range list {
		if c.Entry != nil {
			puts = append(puts, c)
		}
	}
	return puts
}

// Apply returns the author's layer after many edits, of which no path stands below another, and why
// those were refused that could not be made, by their numbers. What is shown then is what Delete and
// Put, with keep, show when they are called for one after the other, whatever the order of the list:
// in each directory first for what may be conflict names, and the removals first. But
//
//   - a directory below which something was removed stays, as an empty one of the author's, if
//     nothing is shown in it any more, and an empty one that is put is shown: what the author has
//     there that is hidden goes;
//   - what is removed and written anew leaves what stands beside it with a conflict name, as a mere
//     Put does over a file.
func (e *Editor) Apply(ctx context.Context, list []Edit) (Layer, map[int]error, error) {
	b := &batch{e, map[int]error{}, map[int]bool{}}
	top := place{level: e.top, view: e.view}
	if len(list) > 0 && len(list[0].Names) == 0 {
		layer, err := b.whole(ctx, top, list)
		return layer, b.refused, err
	}
	layer, err := b.dir(ctx, top, list)
	return layer, b.refused, err
}

// A batch is edits that are made together.
type batch struct {
	*Editor
	refused map[int]error // by the number of the edit
	cleared map[int]bool  // where something was removed that a mere Put would not replace
}

// refuse notes that an error stands in the way of edits. It returns other errors, which are of
// reading or writing.
func (b *batch) refuse(list []Edit, err error) error {
	for _, reason := range []error{
		ErrIsFile, ErrIsDirectory, ErrForbidden, ErrTooLarge, errNameTooClose, unixfs.ErrCollision, path.ErrInvalid,
	} {
		if errors.Is(err, reason) {
			for _, c := range list {
				b.refused[c.Number] = err
			}
			return nil
		}
	}
	return err
}

// whole makes an edit of the shared directory itself.
func (b *batch) whole(ctx context.Context, top place, list []Edit) (Layer, error) {
	before := top.of(b.author)
	if list[0].Remove {
		return before, b.refuse(list, ErrForbidden)
	}
	layer, err := b.Put(ctx, nil, *list[0].Entry, true)
	if err != nil {
		return before, b.refuse(list, err)
	}
	return layer, nil
}
