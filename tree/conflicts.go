package tree

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/tree/shared"
)

// Kinds of conflicts.
const (
	FileConflict      = "file"      // versions of a file, or a file and a directory, in a shared directory
	DirectoryConflict = "directory" // directories of different authors at one place
	ForkConflict      = "fork"      // an author has signed versions that do not continue each other
)

// A Side is one side of a conflict below a root.
type Side struct {
	Conflict string  `json:"conflict"` // which kind
	Plain    string  `json:"plain"`    // the path that the sides claim
	Path     string  `json:"path"`     // where this one is shown; "" if nowhere
	Kind     string  `json:"kind,omitempty"`
	Size     uint64  `json:"size"`              // bytes of content, of a file
	Authors  []Claim `json:"authors,omitempty"` // none of a plain directory
	Version  string  `json:"version,omitempty"` // of a file; with equal content the lowest
	Cid      string  `json:"cid,omitempty"`
}

// A Claim is an author of a side, and when they say that they signed it.
type Claim struct {
	Author string `json:"author"`
	Time   string `json:"time,omitempty"` // RFC 3339, or "draft" if it is not signed yet
}

// Conflicts returns the sides of all conflicts at and below a thing, in the order of the paths
// they claim; of one conflict, what has the plain path comes first.
func (t *Tree) Conflicts(ctx context.Context, thing *Thing) ([]Side, error) {
	if thing.Root == nil {
		return nil, fmt.Errorf("%s: %w: conflicts stand below %s only", thing.Path, ErrForbidden, path.Root)
	}
	dirs, err := thing.Root.Directories(ctx)
	if err != nil {
		return nil, err
	}
	sides := forks(dirs)
	places, err := thing.Root.places(ctx, dirs)
	if err != nil {
		return nil, err
	}
	sides = append(sides, places...)
	for _, d := range dirs {
		if !d.Shared() {
			continue
		}
		files, err := t.fileConflicts(ctx, thing.Root, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Shown, err)
		}
		sides = append(sides, files...)
	}
	sides = belowOnly(sides, path.MustParse(thing.inRootPath()))
	slices.SortFunc(sides, compareSides)
	return sides, nil
}

func compareSides(a, b Side) int {
	rank := func(s Side) int {
		if s.Path == s.Plain {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Plain, b.Plain), cmp.Compare(a.Conflict, b.Conflict), rank(a)-rank(b),
		cmp.Compare(a.Path, b.Path), slices.CompareFunc(a.Authors, b.Authors, func(a, b Claim) int { return cmp.Compare(a.Author, b.Author) }))
}

// belowOnly returns the sides of the conflicts of which a side stands at top or below.
func belowOnly(sides []Side, top path.Path) []Side {
	inside := map[[2]string]bool{}
	for _, s := range sides {
		for _, at := range []string{s.Plain, s.Path} {
			if p, err := path.Parse(at); err == nil {
				if _, below := p.Below(top); below {
					inside[[2]string{s.Conflict, s.Plain}] = true
				}
			}
		}
	}
	return slices.DeleteFunc(sides, func(s Side) bool { return !inside[[2]string{s.Conflict, s.Plain}] })
}

// forks returns the directories that an author has forked.
func forks(dirs []*Directory) []Side {
	var sides []Side
	for _, d := range dirs {
		for _, p := range d.Parts {
			if p.Fork != nil {
				sides = append(sides, Side{
					Conflict: ForkConflict, Plain: d.Path.String(), Path: shownText(d), Kind: "directory",
					Authors: []Claim{{Author: p.Author.String()}},
				})
			}
		}
	}
	return sides
}

func shownText(d *Directory) string {
	if d.Shown.IsTop() {
		return "" // it found no name
	}
	return d.Shown.String()
}

// places returns the sides of the places that several directories claim.
func (r *Root) places(ctx context.Context, dirs []*Directory) ([]Side, error) {
	shown := map[string]map[string]bool{} // place -> where plain directories are shown that had to give way
	for _, d := range dirs {
		if d.Shown.IsTop() {
			continue
		}
		names, as := d.Path.Names(), d.Shown.Names()
		for i := range names {
			if names[i] == as[i] {
				continue
			}
			place, _ := path.Path{}.Join(names[:i+1]...) // names of paths
			at, _ := path.Path{}.Join(as[:i+1]...)
			if shown[place.String()] == nil {
				shown[place.String()] = map[string]bool{}
			}
			if i < len(names)-1 {
				shown[place.String()][at.String()] = true
			}
		}
	}
	var sides []Side
	for _, d := range dirs {
		if _, contested := shown[d.Path.String()]; !contested && !d.Shown.IsTop() {
			continue
		}
		side := Side{Conflict: DirectoryConflict, Plain: d.Path.String(), Path: shownText(d), Kind: "directory", Cid: d.Content.String()}
		for _, p := range d.Parts {
			side.Authors = append(side.Authors, p.claim(ctx, r.blocks, nil))
		}
		sides = append(sides, side)
	}
	for place, plain := range shown {
		for at := range plain {
			side, err := r.plainSide(ctx, place, at)
			if err != nil {
				return nil, err
			}
			sides = append(sides, side)
		}
	}
	return sides, nil
}

// plainSide returns the side that is a plain directory.
func (r *Root) plainSide(ctx context.Context, place, at string) (Side, error) {
	p, err := path.Parse(at)
	if err != nil {
		return Side{}, err
	}
	e, err := r.Lookup(ctx, p)
	return Side{Conflict: DirectoryConflict, Plain: place, Path: at, Kind: "directory", Cid: e.Cid.String()}, err
}

// fileConflicts returns the sides of the conflicts in a shared directory.
func (t *Tree) fileConflicts(ctx context.Context, r *Root, d *Directory) ([]Side, error) {
	var sides []Side
	err := r.Conflicts(ctx, d, func(c shared.Conflict) error {
		side, err := t.side(ctx, d, c)
		sides = append(sides, side)
		return err
	})
	return sides, err
}

// side tells of one side of a conflict in d.
func (t *Tree) side(ctx context.Context, d *Directory, c shared.Conflict) (Side, error) {
	side := Side{
		Conflict: FileConflict, Plain: d.Shown.String() + "/" + c.Plain, Path: d.Shown.String() + "/" + c.Path,
		Kind: c.Kind.String(), Cid: c.Content.String(),
	}
	if c.ID != nil {
		side.Version = c.ID.String()
		info, err := t.contentStat(ctx, c.Entry())
		if err != nil {
			return side, fmt.Errorf("%s: %w", side.Path, err)
		}
		side.Size = info.Size
	}
	names, err := path.Parse(c.Plain)
	if err != nil {
		return side, err
	}
	for _, author := range c.Authors {
		side.Authors = append(side.Authors, d.Part(author).claim(ctx, t.Blocks, names.Names()))
	}
	return side, nil
}

// claim tells when the author of p says that they signed what p has under names.
func (p Part) claim(ctx context.Context, blocks store.Getter, names []string) Claim {
	c := Claim{Author: p.Author.String()}
	switch {
	case p.Draft != nil && !p.signed(ctx, blocks, names):
		c.Time = "draft"
	case p.Reference != nil:
		c.Time = time.Unix(int64(p.Reference.Time), 0).UTC().Format(time.RFC3339)
	}
	return c
}

// signed reports whether the reference of p has the same under names as the draft.
func (p Part) signed(ctx context.Context, blocks store.Getter, names []string) bool {
	if p.Reference == nil || p.Draft.Content == nil || p.Reference.Content == nil {
		return false
	}
	draft, err := Walk(ctx, blocks, p.Draft.Content.Target(), path.Path{}, names)
	if err != nil {
		return false
	}
	old, err := Walk(ctx, blocks, p.Reference.Content.Target(), path.Path{}, names)
	return err == nil && old.Cid.Equals(draft.Cid)
}
