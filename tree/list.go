package tree

import (
	"context"
	"fmt"

	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/unixfs"
)

// An Item is a line of a listing.
type Item struct {
	Name       string `json:"name"`
	Kind       string `json:"kind,omitempty"` // directory, file, symlink, or the policy of a local entry
	Size       uint64 `json:"size"`           // bytes of content, of a file
	Cid        string `json:"cid,omitempty"`
	Target     string `json:"target,omitempty"` // of a symlink
	Executable bool   `json:"executable,omitempty"`
	Mtime      int64  `json:"mtime,omitempty"` // seconds since 1970
	Version    string `json:"version,omitempty"`
	Author     string `json:"author,omitempty"`
}

// List returns what stands in a thing; of what is not a directory, the thing itself. Only with
// details do items have more than a name.
func (t *Tree) List(ctx context.Context, thing *Thing, details bool) ([]Item, error) {
	if thing.Root == nil {
		return t.listLocal(ctx, thing)
	}
	d, err := unixfs.OpenDir(ctx, t.Blocks, thing.Content.Cid)
	if err != nil {
		if info, statErr := t.contentStat(ctx, thing.Content); statErr == nil && info.Kind != unixfs.Directory {
			item, err := t.item(ctx, thing.Content, details)
			item.Name = thing.Path.Base()
			return []Item{item}, err
		}
		return nil, fmt.Errorf("%s: %w", thing.Path, err)
	}
	var items []Item
	err = d.Each(ctx, func(e unixfs.Entry) error {
		item, err := t.item(ctx, e, details)
		items = append(items, item)
		return err
	})
	return items, err
}

func (t *Tree) listLocal(ctx context.Context, thing *Thing) ([]Item, error) {
	switch thing.Entry.Policy {
	case DirectoryPolicy:
	case NodePolicy:
		return []Item{{Name: path.Root, Kind: string(RootPolicy), Cid: thing.Node.Content.Target().String()}}, nil
	default:
		return []Item{localItem(thing.Path.Base(), thing.Entry)}, nil
	}
	var items []Item
	err := t.Each(ctx, thing.Path, func(name string, e Entry) error {
		items = append(items, localItem(name, e))
		return nil
	})
	return items, err
}

func localItem(name string, e Entry) Item {
	item := Item{Name: name, Kind: string(e.Policy), Size: uint64(len(e.Value))}
	if e.Link != nil {
		item.Cid = e.Link.String()
	}
	return item
}

func (t *Tree) item(ctx context.Context, e unixfs.Entry, details bool) (Item, error) {
	if !details {
		return Item{Name: e.Name}, nil
	}
	info, err := t.contentStat(ctx, e)
	if err != nil {
		return Item{}, fmt.Errorf("%s: %w", e.Name, err)
	}
	item := Item{
		Name: e.Name, Kind: info.Kind.String(), Size: info.Size, Cid: e.Cid.String(),
		Target: info.Target, Executable: info.Executable,
	}
	if !info.Mtime.IsZero() {
		item.Mtime = info.Mtime.Unix()
	}
	return item, nil
}

// Hidden returns the versions that are hidden in the shared directories at and below a thing.
func (t *Tree) Hidden(ctx context.Context, thing *Thing) ([]Item, error) {
	if thing.Root == nil {
		return nil, fmt.Errorf("%s: %w: only shared directories hide something", thing.Path, ErrForbidden)
	}
	dirs, err := thing.Root.Directories(ctx)
	if err != nil {
		return nil, err
	}
	below := path.MustParse(thing.inRootPath())
	var items []Item
	for _, d := range dirs {
		if d.Founding.Policy != reference.SharedPolicy {
			continue
		}
		err := shared.Hidden(ctx, t.Blocks, d.shared(), func(h shared.HiddenVersion) error {
			at, err := path.Parse(d.Shown.String() + "/" + h.Path)
			if err != nil {
				return err
			}
			rest, inside := at.Below(below)
			if !inside {
				return nil
			}
			name := rest.String()
			if rest.IsTop() {
				name = at.Base()
			}
			items = append(items, Item{
				Name: name, Kind: h.Kind.String(), Cid: h.Content.String(), Version: h.ID.String(), Author: h.Author.String(),
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return items, nil
}
