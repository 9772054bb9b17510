package repo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"archivecache/identity"
	"archivecache/tree"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

// Where people stand in the tree.
var (
	IdentitiesPath = path.MustParse("identities")
	FriendsPath    = path.MustParse("friends")
	NodesPath      = path.MustParse("nodes")
)

// Reasons why an author cannot be used.
var (
	ErrNoIdentity  = errors.New("no identity of your own")
	ErrNotIdentity = errors.New("not an identity")
	ErrNoFriend    = errors.New("not a friend")
)

// Authors are the people whose references count: the identities of the repository, the friends,
// and whom those accept of whom the settings say so.
type Authors struct {
	Own      map[cid.Cid]path.Path // where each stands
	Friends  map[cid.Cid]bool
	Trust    map[cid.Cid]Trust // of the friends who have settings
	Indirect map[cid.Cid]Trust // who are accepted through friends only
}

// Accepts reports whether references of the author take part in merges.
func (a Authors) Accepts(author cid.Cid) bool {
	_, own := a.Own[author]
	_, indirect := a.Indirect[author]
	return own || indirect || a.Friends[author]
}

// All returns everybody who is accepted, in the order of their ids.
func (a Authors) All() iter.Seq[cid.Cid] {
	ids := slices.Concat(slices.Collect(maps.Keys(a.Own)), slices.Collect(maps.Keys(a.Friends)), slices.Collect(maps.Keys(a.Indirect)))
	slices.SortFunc(ids, func(x, y cid.Cid) int { return strings.Compare(x.KeyString(), y.KeyString()) })
	return slices.Values(slices.Compact(ids))
}

// lost reports whether a accepts somebody whom later does not accept.
func (a Authors) lost(later Authors) bool {
	for id := range a.Own {
		if !later.Accepts(id) {
			return true
		}
	}
	return later.gained(a)
}

// gained reports whether later has somebody, who is no identity of one's own, whom a does not
// accept.
func (a Authors) gained(later Authors) bool {
	for id := range later.Friends {
		if !a.Accepts(id) {
			return true
		}
	}
	for id := range later.Indirect {
		if !a.Accepts(id) {
			return true
		}
	}
	return false
}

// AuthorsOf returns the authors that the tree accepts.
func AuthorsOf(ctx context.Context, t *tree.Tree) (Authors, error) {
	a := Authors{
		Own: map[cid.Cid]path.Path{}, Friends: map[cid.Cid]bool{},
		Trust: map[cid.Cid]Trust{}, Indirect: map[cid.Cid]Trust{},
	}
	err := eachIdentity(ctx, t, IdentitiesPath, func(p path.Path, id cid.Cid) { a.Own[id] = p })
	if err != nil {
		return a, err
	}
	err = eachIdentity(ctx, t, FriendsPath, func(_ path.Path, id cid.Cid) { a.Friends[id] = true })
	if err != nil {
		return a, err
	}
	return a, a.addTrust(ctx, t)
}

// Accepted returns the authors that the tree accepts, as of this commit.
func (tx *Tx) Accepted(ctx context.Context) (Authors, error) { return AuthorsOf(ctx, tx.Tree) }

// eachIdentity calls fn for every identity in the plain directory at p and below.
func eachIdentity(ctx context.Context, t *tree.Tree, p path.Path, fn func(path.Path, cid.Cid)) error {
	var below []path.Path
	err := t.Each(ctx, p, func(name string, e tree.Entry) error {
		at, err := p.Join(name)
		switch {
		case err != nil:
			return err
		case e.Policy == tree.IdentityPolicy:
			fn(at, e.Link.Target())
		case e.Policy == tree.DirectoryPolicy:
			below = append(below, at)
		}
		return nil
	})
	if errors.Is(err, tree.ErrNotFound) {
		return nil
	}
	for _, at := range below {
		if err == nil {
			err = eachIdentity(ctx, t, at, fn)
		}
	}
	return err
}

// firstIdentity is the setting with the path of the identity that was made first.
const firstIdentity = "identity"

// Author returns the identity at the path, or if that is empty the first identity of the
// repository.
func (r *Repo) Author(ctx context.Context, t *tree.Tree, at string) (cid.Cid, error) {
	if at != "" {
		p, err := path.Parse(at)
		if err != nil {
			return cid.Undef, err
		}
		if _, own := p.Below(IdentitiesPath); !own {
			return cid.Undef, fmt.Errorf("%s: %w of your own; those stand below %s", p, ErrNotIdentity, IdentitiesPath)
		}
		return identityAt(ctx, t, p)
	}
	first, err := r.Setting(ctx, firstIdentity)
	if err != nil {
		return cid.Undef, err
	}
	authors, err := AuthorsOf(ctx, t)
	if err != nil {
		return cid.Undef, err
	}
	var paths []string
	byPath := map[string]cid.Cid{}
	for id, p := range authors.Own {
		paths = append(paths, p.String())
		byPath[p.String()] = id
	}
	if len(paths) == 0 {
		return cid.Undef, ErrNoIdentity
	}
	if id, ok := byPath[first]; ok {
		return id, nil
	}
	return byPath[slices.MinFunc(paths, strings.Compare)], nil
}

func identityAt(ctx context.Context, t *tree.Tree, p path.Path) (cid.Cid, error) {
	e, err := t.Get(ctx, p)
	if _, own := p.Below(IdentitiesPath); own && errors.Is(err, tree.ErrNotFound) {
		return cid.Undef, fmt.Errorf("%s: %w there", p, ErrNoIdentity)
	}
	if err != nil {
		return cid.Undef, err
	}
	if e.Policy != tree.IdentityPolicy {
		return cid.Undef, fmt.Errorf("%s: %w", p, ErrNotIdentity)
	}
	return e.Link.Target(), nil
}

// AddIdentity puts the public document of s, whose key is in the key folder, at p.
func (tx *Tx) AddIdentity(ctx context.Context, p path.Path, doc identity.Document) error {
	if _, below := p.Below(IdentitiesPath); !below || p == IdentitiesPath {
		return fmt.Errorf("%s: %w: your identities stand below %s", p, tree.ErrForbidden, IdentitiesPath)
	}
	if _, err := tx.Get(ctx, p); !errors.Is(err, tree.ErrNotFound) {
		if err == nil {
			err = fmt.Errorf("%s: %w: something stands there; delete it first", p, tree.ErrForbidden)
		}
		return err
	}
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return err
	}
	if len(authors.Own) == 0 {
		tx.SetSetting(firstIdentity, p.String())
	}
	return tx.putIdentity(ctx, p, doc)
}

func (tx *Tx) putIdentity(ctx context.Context, p path.Path, doc identity.Document) error {
	b := doc.Block()
	if err := tx.Blocks.Put(ctx, b); err != nil {
		return err
	}
	return tx.Set(ctx, p, tree.NewLink(tree.IdentityPolicy, b.Cid))
}

// AddFriend accepts the author with the given document. It returns where the friend stands, and
// whether they are new.
func (tx *Tx) AddFriend(ctx context.Context, doc identity.Document) (p path.Path, isNew bool, err error) {
	if p, err = FriendsPath.Join(doc.ID().String()); err != nil {
		return p, false, err
	}
	if _, err := tx.Get(ctx, p); err == nil {
		return p, false, nil
	} else if !errors.Is(err, tree.ErrNotFound) {
		return p, false, err
	}
	return p, true, tx.putIdentity(ctx, p, doc)
}

// Document returns the identity document of an author.
func Document(ctx context.Context, t *tree.Tree, author cid.Cid) (identity.Document, error) {
	data, err := t.Blocks.Get(ctx, author)
	if err != nil {
		return identity.Document{}, err
	}
	return identity.DecodeDocument(data)
}
