package tree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"archivecache/identity"
	"archivecache/tree/path"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// maxData is how many files and directories Data returns at most: a few blocks can unfold to more
// than anybody could read. It is changed by tests only.
var maxData = 1 << 20

// ErrTooMuch is a directory with more in it than can be shown as data.
var ErrTooMuch = errors.New("more files and directories than can be shown at once; ask for a directory below")

// Data returns what a thing holds, as a value for package json: values as they are, directories
// as objects. With deep, directories below are objects as well; without, they are pointers with
// their policy and CID.
func (t *Tree) Data(ctx context.Context, thing *Thing, deep bool) (any, error) {
	if thing.Root != nil {
		left := maxData
		return t.contentData(ctx, thing.Content, thing.top(), deep, 0, &left)
	}
	return t.entryData(ctx, thing.Path, thing.Entry, true, deep)
}

// top returns the policies of the directories that stand at the top of what thing shows, by name,
// if it is a root.
func (t *Thing) top() map[string]string {
	policies := map[string]string{}
	if len(t.Path.Names()) == 0 || t.Dir != nil {
		return policies
	}
	dirs, err := t.Root.Directories(context.Background())
	if err != nil {
		return policies // the pointers then say "directory"
	}
	for _, d := range dirs {
		if d.Shown.Parent().String() == t.inRootPath() {
			policies[d.Shown.Base()] = d.Founding.Policy
		}
	}
	return policies
}

// inRootPath returns the path of t as it is within its root.
func (t *Thing) inRootPath() string {
	names := t.Path.Names()
	for i, name := range names {
		if name == path.Root {
			p, _ := path.Path{}.Join(names[i:]...) // names of a path
			return p.String()
		}
	}
	return path.Root
}

type pointer struct {
	Content string `json:".ipfs_hash"`
	Policy  string `json:".policy"`
}

func (t *Tree) entryData(ctx context.Context, p path.Path, e Entry, open, deep bool) (any, error) {
	switch {
	case e.Policy == ValuePolicy:
		return json.RawMessage(e.Value), nil
	case e.Policy == DirectoryPolicy && open:
		return t.plainData(ctx, p, deep)
	case e.Policy == IdentityPolicy && open:
		data, err := t.Blocks.Get(ctx, e.Link.Target())
		if err != nil {
			return nil, err
		}
		doc, err := identity.DecodeDocument(data)
		return json.RawMessage(doc.JSON()), err
	case e.Policy == NodePolicy && open:
		node, err := ReadNode(ctx, t.Blocks, e)
		if err != nil {
			return nil, err
		}
		data, err := node.JSON()
		return json.RawMessage(data), err
	}
	return pointer{e.Link.Target().String(), string(e.Policy)}, nil
}

func (t *Tree) plainData(ctx context.Context, p path.Path, deep bool) (any, error) {
	entries := map[string]Entry{}
	err := t.Each(ctx, p, func(name string, e Entry) error {
		entries[name] = e
		return nil
	})
	if err != nil {
		return nil, err
	}
	data := map[string]any{}
	for name, e := range entries {
		at, err := p.Join(name)
		if err != nil {
			return nil, err
		}
		if data[name], err = t.entryData(ctx, at, e, deep && e.Policy != RootPolicy, deep); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// fileData is what stands for a file in data.
type fileData struct {
	Content    string `json:".ipfs_hash"`
	Policy     string `json:".policy"`
	Size       uint64 `json:"size,omitempty"`
	Target     string `json:"target,omitempty"`
	Executable bool   `json:"executable,omitempty"`
}

// contentData returns the data of something that a root shows. Policies has those of the
// directories in it that are not parts of another; left counts down.
func (t *Tree) contentData(ctx context.Context, e unixfs.Entry, policies map[string]string, deep bool, depth int, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, ErrTooMuch
	}
	if depth > path.MaxDepth {
		return nil, fmt.Errorf("%w: deeper than %d directories", path.ErrInvalid, path.MaxDepth)
	}
	info, err := t.contentStat(ctx, e)
	if err != nil {
		return nil, err
	}
	if info.Kind != unixfs.Directory {
		return fileData{e.Cid.String(), info.Kind.String(), info.Size, info.Target, info.Executable}, nil
	}
	d, err := unixfs.OpenDir(ctx, t.Blocks, e.Cid)
	if err != nil {
		return nil, err
	}
	data := map[string]any{}
	err = d.Each(ctx, func(sub unixfs.Entry) error {
		data[sub.Name], err = t.childData(ctx, sub, policies[sub.Name], deep, depth, left)
		return err
	})
	return data, err
}

func (t *Tree) childData(ctx context.Context, sub unixfs.Entry, policy string, deep bool, depth int, left *int) (any, error) {
	if deep {
		return t.contentData(ctx, sub, nil, true, depth+1, left)
	}
	info, err := t.contentStat(ctx, sub)
	if err != nil {
		return nil, err
	}
	if info.Kind != unixfs.Directory {
		return t.contentData(ctx, sub, nil, false, depth+1, left)
	}
	if policy == "" {
		policy = string(DirectoryPolicy)
	}
	return pointer{sub.Cid.String(), policy}, nil
}

// contentStat says what e is. A raw block is a file whose size its link tells, so that it need
// not be here.
func (t *Tree) contentStat(ctx context.Context, e unixfs.Entry) (unixfs.Info, error) {
	if e.Cid.Type() == cid.Raw {
		return unixfs.Info{Kind: unixfs.File, Size: e.Tsize}, nil
	}
	return unixfs.Stat(ctx, t.Blocks, e.Cid)
}
