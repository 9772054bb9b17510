package tree

import (
	"context"
	"slices"

	"archivecache/tree/path"
)

// EachValue calls fn for every value in the local part of the tree, at p and below. It does not go
// into identities, references and root.
func (t *Tree) EachValue(ctx context.Context, p path.Path, fn func(path.Path, []byte) error) error {
	e, err := t.Get(ctx, p)
	if err != nil {
		return err
	}
	switch e.Policy {
	case ValuePolicy:
		return fn(p, e.Value)
	case DirectoryPolicy:
	default:
		return nil
	}
	var names []string
	if err := t.Each(ctx, p, func(name string, _ Entry) error { names = append(names, name); return nil }); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		at, err := p.Join(name)
		if err != nil {
			return err
		}
		if err := t.EachValue(ctx, at, fn); err != nil {
			return err
		}
	}
	return nil
}
