package workspace

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"archivecache/tree"
	"archivecache/tree/path"
)

// attributePrefix is what the names of extended attributes begin with.
const attributePrefix = "user.archivecache."

// Xattrs returns the names of the extended attributes of n, sorted.
func (n *Node) Xattrs(ctx context.Context) ([]string, error) {
	all, err := n.xattrs(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// Xattr returns an extended attribute of n; ENODATA if it has none of that name.
func (n *Node) Xattr(ctx context.Context, name string) (string, error) {
	if !strings.HasPrefix(name, attributePrefix) {
		return "", syscall.ENODATA
	}
	all, err := n.xattrs(ctx)
	if err != nil {
		return "", err
	}
	text, ok := all[name]
	if !ok {
		return "", syscall.ENODATA
	}
	return text, nil
}

// xattrs returns the extended attributes: what is committed at the place of n, and what is not.
func (n *Node) xattrs(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	add := func(name, text string) {
		if text != "" {
			all[attributePrefix+name] = text
		}
	}
	if fault := n.fault.Load(); fault != nil {
		add("error", *fault)
	}
	at, committed := n.committed()
	if !committed {
		n.describeUncommitted(add)
		return all, nil
	}
	ctx, cancel := n.ws.deadline(ctx)
	defer cancel()
	t, _, err := n.ws.tree(ctx)
	if err != nil {
		return nil, err
	}
	p, err := path.Path{}.Join(namesOf(at)...)
	if err != nil {
		return nil, syscall.EINVAL
	}
	thing, err := t.Resolve(ctx, p)
	if err != nil {
		return all, nil // it went away meanwhile
	}
	if c, err := thing.Cid(); err == nil {
		add("cid", c.String())
	}
	if thing.Root == nil {
		add("policy", string(thing.Entry.Policy))
		return all, nil
	}
	return all, n.ws.describe(ctx, t, thing, add)
}

// describeUncommitted tells whose n will be.
func (n *Node) describeUncommitted(add func(name, text string)) {
	add("signature", "uncommitted")
	n.ws.mu.RLock()
	defer n.ws.mu.RUnlock()
	d := n.ws.head.governor(n)
	if n.lost() || d == nil {
		return
	}
	add("policy", d.Founding.Policy)
	add("author", n.ws.head.author.String())
	if !d.Shared() {
		add("owner", d.Owner().String())
	}
}

// committed returns where n stands, and whether it is committed there as it is.
func (n *Node) committed() (string, bool) {
	n.ws.mu.RLock()
	defer n.ws.mu.RUnlock()
	if n.lost() || n.unsettled() != nil {
		return "", false
	}
	if n.parent != nil {
		if _, changed := n.parent.dir.changed[n.name]; changed {
			return "", false
		}
	}
	return n.path(), true
}

// describe tells whose something below a root is, and who has signed it.
func (ws *Workspace) describe(ctx context.Context, t *tree.Tree, thing *tree.Thing, add func(name, text string)) error {
	d := thing.Dir
	switch {
	case thing.IsRoot():
		add("policy", string(tree.RootPolicy))
		return nil
	case d == nil:
		add("policy", string(tree.DirectoryPolicy))
		return nil
	}
	add("policy", d.Founding.Policy)
	if !d.Shared() {
		add("owner", d.Owner().String())
	}
	parts, conflict, err := t.Authorship(ctx, thing)
	if err != nil {
		return err
	}
	add("conflict", conflict)
	var authors []string
	for _, p := range parts {
		authors = append(authors, p.Author.String())
	}
	add("author", strings.Join(authors, ","))
	if len(parts) > 0 {
		ws.mu.RLock()
		own := slices.IndexFunc(parts, func(p tree.Part) bool { return p.Author.Equals(ws.head.author) })
		ws.mu.RUnlock()
		describePart(parts[max(own, 0)], add)
	}
	return nil
}

// describePart tells how far what an author has there is signed.
func describePart(p tree.Part, add func(name, text string)) {
	if p.Reference != nil {
		add("sequence", strconv.FormatUint(p.Reference.Sequence, 10))
	}
	switch {
	case p.Fork != nil:
		add("signature", "forked")
	case p.Draft != nil:
		add("signature", "draft")
	case p.Reference != nil:
		add("signature", "signed")
	}
}
