package tree

import (
	"context"
	"errors"
	"fmt"

	"archivecache/store"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// A Thing is what stands at a path, wherever that leads: an entry of the local tree, or something
// that a root shows, one's own or that of a node.
type Thing struct {
	Path  path.Path
	Entry Entry // of the local tree: the thing itself, or the root or node that it stands in

	Node    *reference.Reference // the node at or above the path
	Root    *Root                // the root at or above the path
	Dir     *Directory           // below a root: the directory it is or stands in; nil for a plain one
	Names   []string             // below Dir
	Content unixfs.Entry         // at or below a root: the UnixFS entry
}

// Local reports whether the thing is an entry of the local tree itself.
func (t *Thing) Local() bool { return t.Root == nil }

// ReadNode reads the node that an entry points to. It was verified when it came in.
func ReadNode(ctx context.Context, blocks store.Getter, e Entry) (*reference.Reference, error) {
	data, err := blocks.Get(ctx, e.Link.Target())
	if err != nil {
		return nil, err
	}
	return reference.Decode(data)
}

// Resolve returns what stands at p.
func (t *Tree) Resolve(ctx context.Context, p path.Path) (*Thing, error) {
	thing := &Thing{Path: p}
	names := p.Names()
	for i := range len(names) + 1 {
		at, err := path.Path{}.Join(names[:i]...)
		if err != nil {
			return nil, err
		}
		if thing.Entry, err = t.Get(ctx, at); err != nil {
			return nil, notFoundAt(err, p)
		}
		switch rest := names[i:]; thing.Entry.Policy {
		case RootPolicy:
			return thing, t.inRoot(ctx, thing, thing.Entry.Link.Target(), rest)
		case NodePolicy:
			return thing, t.inNode(ctx, thing, rest)
		case DirectoryPolicy:
		default:
			if len(rest) > 0 {
				return nil, fmt.Errorf("%s: %w", at, ErrNotDirectory)
			}
		}
	}
	return thing, nil
}

func notFoundAt(err error, p path.Path) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%s: %w", p, ErrNotFound)
	}
	return err
}

func (t *Tree) inNode(ctx context.Context, thing *Thing, rest []string) (err error) {
	if thing.Node, err = ReadNode(ctx, t.Blocks, thing.Entry); err != nil || len(rest) == 0 {
		return err
	}
	if rest[0] != path.Root {
		return fmt.Errorf("%s: %w; a node has only %s", thing.Path, ErrNotFound, path.Root)
	}
	return t.inRoot(ctx, thing, thing.Node.Content.Target(), rest[1:])
}

// inRoot finishes a thing that is the root record c, or stands below it.
func (t *Tree) inRoot(ctx context.Context, thing *Thing, c cid.Cid, rest []string) (err error) {
	if thing.Node == nil {
		thing.Root, err = t.openRoot(ctx, c)
	} else {
		thing.Root, err = OpenRoot(ctx, t.Blocks, c) // as its author sees it
	}
	if err != nil {
		return err
	}
	if thing.Content, err = Walk(ctx, t.Blocks, thing.Root.View(), thing.Path, rest); err != nil || len(rest) == 0 {
		return err
	}
	dirs, err := thing.Root.Directories(ctx)
	if err != nil {
		return err
	}
	below, err := path.Path{}.Join(append([]string{path.Root}, rest...)...)
	if err != nil {
		return err
	}
	thing.Dir, thing.Names = Governor(dirs, below)
	return nil
}

// Cid returns the CID of what stands there: of a root its record, of an entry below a root the
// UnixFS file or directory.
func (t *Thing) Cid() (cid.Cid, error) {
	switch {
	case t.Root != nil && t.IsRoot():
		return t.Root.Cid(), nil
	case t.Root != nil:
		return t.Content.Cid, nil
	case t.Entry.Link != nil:
		return t.Entry.Link.Target(), nil
	}
	return cid.Undef, fmt.Errorf("%s: %w: a value has no CID", t.Path, ErrForbidden)
}

// IsRoot reports whether the thing is a root itself.
func (t *Thing) IsRoot() bool { return t.Root != nil && t.inRootPath() == path.Root }
