package repo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"archivecache/identity"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
	"archivecache/unixfs/osfs"

	"github.com/ipfs/go-cid"
)

// Import takes a file or folder of the system into the store. The blocks are durable when it
// returns, and part of the tree when an Update puts the entry there.
//
// Private keys do not come in: repositories below source are skipped, a source in a repository is
// [ErrRepository], and a file that is a key without a passphrase is [ErrSecretKey]. For that it
// sets LeaveOut and Check of opt.
func (r *Repo) Import(ctx context.Context, source string, opt osfs.Options) (osfs.Result, error) {
	if err := checkSource(source); err != nil {
		return osfs.Result{}, err
	}
	if err := r.BeginWriting(ctx); err != nil {
		return osfs.Result{}, err
	}
	opt.LeaveOut, opt.Check = leaveOut, checkNoKey
	w := r.store.begin()
	defer w.Close()
	result, err := osfs.Import(ctx, w, source, opt)
	if err != nil {
		return result, explain(err)
	}
	return result, explain(w.Commit(ctx))
}

// ImportStream takes a stream into the store as a file. A private key is [ErrSecretKey].
func (r *Repo) ImportStream(ctx context.Context, source io.Reader) (unixfs.Entry, error) {
	buffered := bufio.NewReader(source)
	head, _ := buffered.Peek(len(identity.KeyHeader)) // its error comes again
	if err := checkNoKey("standard input", head); err != nil {
		return unixfs.Entry{}, err
	}
	if err := r.BeginWriting(ctx); err != nil {
		return unixfs.Entry{}, err
	}
	w := r.store.begin()
	defer w.Close()
	added, err := unixfs.AddFile(ctx, w, buffered, unixfs.Attr{})
	if err != nil {
		return unixfs.Entry{}, explain(err)
	}
	return unixfs.Entry{Cid: added.Cid, Tsize: added.Tsize}, explain(w.Commit(ctx))
}

// protected are the parts of the tree that hold what was verified when it came in. Only the
// commands that verify write there.
var protected = []path.Path{IdentitiesPath, FriendsPath, NodesPath, path.MustParse("node")}

// checkNotSettings refuses to change the settings of friends, and whom they accept.
func checkNotSettings(p path.Path) error {
	if _, below := p.Below(TrustPath); below {
		return fmt.Errorf("%s: %w: trust sets what stands there", p, tree.ErrForbidden)
	}
	if _, below := p.Below(AcceptsPath); below {
		return fmt.Errorf("%s: %w: merge writes there whom friends accept", p, tree.ErrForbidden)
	}
	return nil
}

func checkUnprotected(p path.Path) error {
	if err := checkNotSettings(p); err != nil {
		return err
	}
	for _, top := range protected {
		if _, below := p.Below(top); below {
			return fmt.Errorf("%s: %w: %s holds what was verified; commands for identities, friends and nodes write there",
				p, tree.ErrForbidden, top)
		}
	}
	return nil
}

// SetValue puts a value at p in the local part of the tree.
func (tx *Tx) SetValue(ctx context.Context, p path.Path, json []byte) error {
	if err := checkUnprotected(p); err != nil {
		return err
	}
	if e, err := tx.Get(ctx, p); err == nil && e.Policy != tree.ValuePolicy {
		return fmt.Errorf("%s: %w; delete it first", p, tree.ErrIsDirectory)
	}
	return tx.Set(ctx, p, tree.NewValue(json))
}

// mayReplace refuses to write over what is not of the given policy, so that a slip does not take
// a whole directory.
func (tx *Tx) mayReplace(ctx context.Context, p path.Path, policy tree.Policy) error {
	if err := checkNotSettings(p); err != nil {
		return err
	}
	e, err := tx.Get(ctx, p)
	switch {
	case err != nil || e.Policy == policy || e.Policy == tree.RootPolicy:
		return nil // writing says what is wrong with the place
	case e.Policy == tree.DirectoryPolicy && !p.IsTop():
		return fmt.Errorf("%s: %w; delete it first", p, tree.ErrIsDirectory)
	case p.IsTop():
		return nil
	}
	return fmt.Errorf("%s: %w: a %s stands there; delete it first", p, tree.ErrForbidden, e.Policy)
}

// Delete deletes what stands at p. Below root, author is who deletes.
func (tx *Tx) Delete(ctx context.Context, author func() (cid.Cid, error), p path.Path) error {
	if first, rest := p.First(); first == path.Root && !rest.IsTop() {
		root, id, err := tx.rootFor(ctx, author)
		if err != nil {
			return err
		}
		return root.Delete(ctx, id, p)
	}
	if p.IsTop() || p.String() == path.Root {
		return fmt.Errorf("%s: %w: delete what is in it", p, tree.ErrForbidden)
	}
	if err := checkNotSettings(p); err != nil {
		return err
	}
	if err := tx.checkNoDrafts(ctx, p); err != nil {
		return err
	}
	return tx.Remove(ctx, p)
}

// checkNoDrafts returns an error if an identity at p or below has drafts: nobody else can sign
// them, nor take them back.
func (tx *Tx) checkNoDrafts(ctx context.Context, p path.Path) error {
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return err
	}
	root, err := tx.Root(ctx)
	if err != nil {
		return err
	}
	for id, at := range authors.Own {
		if _, below := at.Below(p); !below {
			continue
		}
		var places []string
		err := root.Unsigned(ctx, id, func(_ *tree.Directory, d *tree.Draft) { places = append(places, d.Path) })
		if err != nil {
			return err
		}
		if len(places) > 0 {
			return fmt.Errorf("%s: %w: it has drafts of %s; new-node node %s publishes them, undo takes them back",
				at, tree.ErrForbidden, strings.Join(places, ", "), at)
		}
	}
	return nil
}

func (tx *Tx) rootFor(ctx context.Context, author func() (cid.Cid, error)) (*tree.Root, cid.Cid, error) {
	id, err := author()
	if err != nil {
		return nil, cid.Undef, err
	}
	root, err := tx.EditRoot(ctx)
	return root, id, err
}

// Copy makes to show what from shows. Below root, author is who writes.
func (tx *Tx) Copy(ctx context.Context, author func() (cid.Cid, error), from, to path.Path) error {
	thing, err := tx.Resolve(ctx, from)
	if err != nil {
		return err
	}
	first, rest := to.First()
	switch {
	case first == path.Root && thing.Local():
		return fmt.Errorf("%s: %w: below %s stand files only; add brings them in", to, tree.ErrForbidden, path.Root)
	case first == path.Root && !rest.IsTop():
		root, id, err := tx.rootFor(ctx, author)
		if err != nil {
			return err
		}
		return root.CopyEntry(ctx, id, from, thing.Content, to)
	case !thing.Local():
		return fmt.Errorf("%s: %w: files stand below %s only; export takes them out", to, tree.ErrForbidden, path.Root)
	}
	if err := checkUnprotected(to); err != nil {
		return err
	}
	return tx.copyLocal(ctx, thing, to)
}

func (tx *Tx) copyLocal(ctx context.Context, thing *tree.Thing, to path.Path) error {
	if _, err := tx.Get(ctx, to); err == nil {
		return fmt.Errorf("%s: %w: something stands there; delete it first", to, tree.ErrForbidden)
	}
	if _, inside := to.Below(thing.Path); inside {
		return fmt.Errorf("%s: %w: it is inside of %s", to, tree.ErrForbidden, thing.Path)
	}
	if _, err := tx.Flush(ctx); err != nil { // so that the entry has all edits
		return err
	}
	e, err := tx.Get(ctx, thing.Path)
	if err != nil {
		return err
	}
	return tx.Set(ctx, to, e)
}

// Move makes to show what from shows, and from nothing.
func (tx *Tx) Move(ctx context.Context, author func() (cid.Cid, error), from, to path.Path) error {
	first, below := from.First()
	if first == path.Root && !below.IsTop() {
		if toFirst, rest := to.First(); toFirst != path.Root || rest.IsTop() {
			return fmt.Errorf("%s: %w: files stand below %s only; export takes them out", to, tree.ErrForbidden, path.Root)
		}
		root, id, err := tx.rootFor(ctx, author)
		if err != nil {
			return err
		}
		return root.Move(ctx, id, from, to)
	}
	thing, err := tx.Resolve(ctx, from)
	if err != nil {
		return err
	}
	_, fromIdentities := from.Below(IdentitiesPath)
	_, toIdentities := to.Below(IdentitiesPath)
	if !fromIdentities || !toIdentities || from == IdentitiesPath || to == IdentitiesPath {
		if err := checkUnprotected(from); err != nil {
			return err
		}
		if err := checkUnprotected(to); err != nil {
			return err
		}
	}
	if !thing.Local() {
		return fmt.Errorf("%s: %w", from, tree.ErrForbidden)
	}
	if err := tx.copyLocal(ctx, thing, to); err != nil {
		return err
	}
	return tx.Remove(ctx, from)
}

// CheckAdd returns the error that adding something at p would end with because of where that is,
// so that nobody waits for a long import in vain.
func CheckAdd(ctx context.Context, t *tree.Tree, author cid.Cid, p path.Path) error {
	if first, rest := p.First(); first != path.Root || rest.IsTop() {
		return fmt.Errorf("%s: %w: files stand below %s, such as in %s/NAME", p, tree.ErrForbidden, path.Root, path.Root)
	}
	root, err := t.Root(ctx)
	if err != nil {
		return err
	}
	return root.MayPut(ctx, author, p)
}

// Replace puts value in the place of every value at p and below that matches, and returns where
// those stand.
func (tx *Tx) Replace(ctx context.Context, p path.Path, matches func([]byte) bool, value []byte) ([]path.Path, error) {
	var found []path.Path
	err := tx.EachValue(ctx, p, func(at path.Path, old []byte) error {
		if matches(old) && checkUnprotected(at) == nil {
			found = append(found, at)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, at := range found {
		if err := tx.Set(ctx, at, tree.NewValue(value)); err != nil {
			return nil, err
		}
	}
	return found, nil
}
