package workspace

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"archivecache/identity"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
)

// A localDir is a directory of the tree outside of root: its values, identities and nodes can only
// be read here. Its node has all kids from the start.
type localDir struct{}

// A localItem is what stands in a directory of the local part of the tree.
type localItem struct {
	text  []byte       // of a file
	view  unixfs.Entry // of a root
	local bool         // a directory like this one
}

func (i localItem) kind() unixfs.Kind {
	if i.local || i.view.Cid.Defined() {
		return unixfs.Directory
	}
	return unixfs.File
}

func namesOf(at string) []string {
	if at == "" {
		return nil
	}
	return strings.Split(at, "/")
}

// localItems reads a directory of the local part of the tree.
func (ws *Workspace) localItems(ctx context.Context, t *tree.Tree, at string) (map[string]localItem, error) {
	ctx, cancel := ws.deadline(ctx)
	defer cancel()
	p, err := path.Path{}.Join(namesOf(at)...)
	if err != nil {
		return nil, err
	}
	e, err := t.Get(ctx, p)
	if err != nil {
		return nil, err
	}
	if e.Policy == tree.NodePolicy {
		return nodeItems(ctx, t, e)
	}
	entries := map[string]tree.Entry{}
	err = t.Each(ctx, p, func(name string, e tree.Entry) error {
		entries[name] = e
		return nil
	})
	items := map[string]localItem{}
	for name, e := range entries {
		if err == nil {
			items[name], err = ws.localItem(ctx, t, e)
		}
	}
	return items, err
}

func (ws *Workspace) localItem(ctx context.Context, t *tree.Tree, e tree.Entry) (localItem, error) {
	switch e.Policy {
	case tree.ValuePolicy:
		return localItem{text: append(append([]byte{}, e.Value...), '\n')}, nil
	case tree.DirectoryPolicy, tree.NodePolicy:
		return localItem{local: true}, nil
	case tree.IdentityPolicy:
		data, err := t.Blocks.Get(ctx, e.Link.Target())
		if err != nil {
			return localItem{}, err
		}
		doc, err := identity.DecodeDocument(data)
		return localItem{text: append(doc.JSON(), '\n')}, err
	case tree.RootPolicy:
		root, err := t.Root(ctx)
		if err != nil {
			return localItem{}, err
		}
		return localItem{view: unixfs.Entry{Cid: root.View()}}, nil
	}
	return localItem{}, fmt.Errorf("an entry of policy %q", e.Policy)
}

// nodeItems returns the root that a node publishes.
func nodeItems(ctx context.Context, t *tree.Tree, e tree.Entry) (map[string]localItem, error) {
	node, err := tree.ReadNode(ctx, t.Blocks, e)
	if err != nil {
		return nil, err
	}
	root, err := tree.OpenRoot(ctx, t.Blocks, node.Content.Target())
	if err != nil {
		return nil, err
	}
	return map[string]localItem{path.Root: {view: unixfs.Entry{Cid: root.View()}}}, nil
}

// readLocal makes the kids of a local directory, unless the head moves meanwhile.
func (n *Node) readLocal(ctx context.Context) error {
	ws := n.ws
	ws.mu.RLock()
	at, head := n.path(), ws.head.Head
	ws.mu.RUnlock()
	items, err := ws.localItems(ctx, ws.repo.TreeAt(head.Cid), at)
	if err != nil {
		return n.unreadable(err)
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if n.dir.listing != nil || head != ws.head.Head {
		return nil // the head has moved: it is tried again
	}
	n.dir.listing = map[string]unixfs.Entry{}
	for name, item := range items {
		ws.addLocal(n, name, item)
	}
	return nil
}

// addLocal makes a kid of a local directory. ws.mu is held.
func (ws *Workspace) addLocal(n *Node, name string, item localItem) {
	kid := ws.newNode(item.kind(), n, name)
	kid.placed, kid.entry = true, item.view
	if item.local {
		kid.dir.local = &localDir{}
	}
	if kid.file != nil {
		kid.file.setText(item.text)
	}
	n.dir.kids[name] = kid
}

func (f *file) setText(text []byte) { f.loaded, f.text, f.size = true, text, int64(len(text)) }

// A comparison is what following the head comes to.
type comparison struct {
	tree  *tree.Tree // of the next head
	plans []*plan    // for roots
	local []func()   // for local directories
}

// compare compares a local directory, those in it that are known, and the roots in them, with what
// is committed by now.
func (ws *Workspace) compare(ctx context.Context, n *Node, c *comparison) error {
	ws.mu.RLock()
	known, at, kids := n.dir.listing != nil, n.path(), maps.Clone(n.dir.kids)
	ws.mu.RUnlock()
	if !known {
		return nil
	}
	items, err := ws.localItems(ctx, c.tree, at)
	if err != nil && !errors.Is(err, tree.ErrNotFound) && !errors.Is(err, tree.ErrNotDirectory) {
		return err
	}
	c.local = append(c.local, func() { ws.reconcile(n, items) })
	for name, kid := range kids {
		if err := ws.compareKid(ctx, kid, items[name], c); err != nil {
			return err
		}
	}
	return nil
}

func (ws *Workspace) compareKid(ctx context.Context, kid *Node, item localItem, c *comparison) error {
	switch {
	case kid.dir == nil:
		return nil
	case kid.dir.local != nil && item.local:
		return ws.compare(ctx, kid, c)
	case kid.dir.local == nil && item.view.Cid.Defined():
		p, err := ws.plan(ctx, kid, item.view)
		c.plans = append(c.plans, p)
		return err
	}
	return nil
}

// reconcile makes a local directory have the given kids. ws.mu is held.
func (ws *Workspace) reconcile(n *Node, items map[string]localItem) {
	for name, kid := range n.dir.kids {
		item, there := items[name]
		same := there && item.kind() == kid.kind && (kid.dir == nil || item.local == (kid.dir.local != nil))
		switch {
		case !same:
			ws.detach(kid)
			ws.tell(n, name)
		case kid.file != nil && string(kid.file.text) != string(item.text):
			kid.file.mu.Lock()
			kid.file.setText(item.text)
			kid.file.mu.Unlock()
			ws.tell(kid, "")
		}
	}
	for name, item := range items {
		if n.dir.kids[name] == nil {
			ws.addLocal(n, name, item)
		}
	}
}
