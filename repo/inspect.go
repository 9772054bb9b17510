package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"archivecache/identity"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Verify checks the signatures of a thing; cmd/verify says what of which. It calls found for
// every part of a directory that holds.
func (r *Repo) Verify(ctx context.Context, t *tree.Tree, thing *tree.Thing, found func(*tree.Directory, tree.Part)) error {
	switch {
	case thing.IsRoot() && thing.Node == nil:
		return thing.Root.Verify(ctx, found)
	case thing.Dir != nil:
		return verifyDirectory(ctx, thing, found)
	case thing.Node != nil:
		return r.verifyNode(ctx, t, thing)
	case thing.Entry.Policy == tree.IdentityPolicy:
		return r.verifyIdentity(ctx, t, thing)
	}
	return fmt.Errorf("%s: %w: only identities, nodes and what stands below root are signed", thing.Path, ErrNoReference)
}

// verifyDirectory checks the references of a directory; with nothing but drafts there is nothing
// that vouches for it.
func verifyDirectory(ctx context.Context, thing *tree.Thing, found func(*tree.Directory, tree.Part)) error {
	if err := thing.Root.VerifyDirectory(ctx, thing.Dir, found); err != nil {
		return err
	}
	signed := func(p tree.Part) bool { return p.Reference != nil || p.Fork != nil }
	if len(thing.Dir.Parts) > 0 && !slices.ContainsFunc(thing.Dir.Parts, signed) {
		return fmt.Errorf("%s: %w", thing.Dir.Shown, ErrDraftOnly)
	}
	return nil
}

// verifyIdentity checks the document, and that a friend stands under their own id.
func (r *Repo) verifyIdentity(ctx context.Context, t *tree.Tree, thing *tree.Thing) error {
	id := thing.Entry.Link.Target()
	doc, err := Document(ctx, t, id)
	if err != nil {
		return err
	}
	if err := identity.CheckKey(doc.Key); err != nil {
		return err
	}
	if _, friend := thing.Path.Below(FriendsPath); friend && thing.Path.Base() != id.String() {
		return fmt.Errorf("%w: %s stands there", identity.ErrWrongID, id)
	}
	return nil
}

func (r *Repo) verifyNode(ctx context.Context, t *tree.Tree, thing *tree.Thing) error {
	node := thing.Node
	authors, err := AuthorsOf(ctx, t)
	if err != nil {
		return err
	}
	if !authors.Accepts(node.Owner.Cid) {
		return fmt.Errorf("%w: %s", ErrNoFriend, node.Owner)
	}
	if _, received := thing.Path.Below(NodesPath); received && thing.Path.Names()[1] != node.Owner.String() {
		return fmt.Errorf("%w: the node of %s", reference.ErrWrongOwner, node.Owner)
	}
	if err := node.VerifyWith(ctx, t.Blocks); err != nil {
		return err
	}
	mark, err := r.Mark(ctx, node.Slot())
	if err != nil || mark.Reference == nil {
		return err
	}
	order, err := reference.Compare(ctx, t.Blocks, mark.Reference, node)
	if order == reference.Forked {
		return fmt.Errorf("%w: sequences %d and %d", ErrForked, mark.Reference.Sequence, node.Sequence)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil // the history comes with the merge
	}
	return err
}

// An Info is what info prints.
type Info struct {
	Path     string       `json:"path"`
	Policy   string       `json:"policy"`
	Cid      string       `json:"cid,omitempty"`
	Content  string       `json:"content,omitempty"` // of the UnixFS file or directory
	Size     uint64       `json:"size,omitempty"`    // bytes of a file
	ID       string       `json:"id,omitempty"`      // directory id, or of an identity its id
	Key      string       `json:"key,omitempty"`     // of an identity, as did:key
	Epoch    uint64       `json:"epoch,omitempty"`   // how often the key of an identity, or of what is signed, was rotated
	Owner    string       `json:"owner,omitempty"`
	Sequence uint64       `json:"sequence,omitempty"`
	Time     string       `json:"time,omitempty"` // as the owner claims
	Draft    bool         `json:"draft,omitempty"`
	Forked   bool         `json:"forked,omitempty"`
	State    string       `json:"state,omitempty"`
	View     string       `json:"view,omitempty"`
	Address  []string     `json:"addresses,omitempty"`
	Authors  []AuthorInfo `json:"authors,omitempty"`
}

// AuthorInfo is what one author has signed of a shared directory.
type AuthorInfo struct {
	Author   string `json:"author"`
	Epoch    uint64 `json:"epoch,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
	Time     string `json:"time,omitempty"`
	Draft    bool   `json:"draft,omitempty"`
	Forked   bool   `json:"forked,omitempty"`
	Over     bool   `json:"over_quota,omitempty"` // left out of the view
}

// Info returns what there is to know about a thing.
func (r *Repo) Info(ctx context.Context, t *tree.Tree, thing *tree.Thing) (Info, error) {
	info := Info{Path: thing.Path.String(), Policy: string(thing.Entry.Policy)}
	if c, err := thing.Cid(); err == nil {
		info.Cid = c.String()
	}
	switch {
	case thing.Root != nil:
		return info, infoBelowRoot(ctx, t, thing, &info)
	case thing.Node != nil:
		info.signed(thing.Node)
		info.Address = thing.Node.Addresses
		info.View = ""
		info.Content = thing.Node.Content.Target().String()
	case thing.Entry.Policy == tree.IdentityPolicy:
		doc, err := Document(ctx, t, thing.Entry.Link.Target())
		if err != nil {
			return info, err
		}
		return info, r.infoIdentity(ctx, doc.ID(), &info)
	case thing.Entry.Policy == tree.ValuePolicy:
		info.Size = uint64(len(thing.Entry.Value))
	}
	return info, nil
}

// infoIdentity sets the key that counts by now.
func (r *Repo) infoIdentity(ctx context.Context, id cid.Cid, info *Info) error {
	info.ID = id.String()
	chain, err := r.Chain(ctx, id)
	switch {
	case errors.Is(err, state.ErrIdentityForked):
		info.Forked = true
		return nil
	case errors.Is(err, state.ErrNotInEffect):
		chain, err = r.recordedChain(ctx, id) // the older key does not count any more in any case
	}
	if err == nil {
		info.Key, info.Epoch = identity.DIDKey(chain.Key()), chain.Epoch()
	}
	return err
}

func infoBelowRoot(ctx context.Context, t *tree.Tree, thing *tree.Thing, info *Info) error {
	info.Content = thing.Content.Cid.String()
	if thing.IsRoot() {
		info.Policy = string(tree.RootPolicy)
		info.State, info.View = thing.Root.StateCid().String(), thing.Root.View().String()
		return nil
	}
	stat, err := statContent(ctx, t, thing.Content)
	if err != nil {
		return err
	}
	info.Policy, info.Size = stat.Kind.String(), stat.Size
	d := thing.Dir
	if d == nil {
		return nil
	}
	if len(thing.Names) == 0 {
		info.Policy, info.ID = d.Founding.Policy, d.ID.String()
	}
	if d.Shared() {
		for _, p := range d.Parts {
			info.Authors = append(info.Authors, authorInfo(p))
		}
		return nil
	}
	part := d.Part(d.Owner())
	info.Owner = d.Owner().String()
	if part.Reference != nil {
		info.signed(part.Reference)
	}
	info.Draft, info.Forked = part.Draft != nil, part.Fork != nil
	return nil
}

func statContent(ctx context.Context, t *tree.Tree, e unixfs.Entry) (unixfs.Info, error) {
	if e.Cid.Type() == cid.Raw {
		return unixfs.Info{Kind: unixfs.File, Size: e.Tsize}, nil
	}
	return unixfs.Stat(ctx, t.Blocks, e.Cid)
}

func (i *Info) signed(ref *reference.Reference) {
	i.Owner, i.Epoch, i.Sequence, i.Time = ref.Owner.String(), ref.Epoch, ref.Sequence, claimed(ref)
}

func authorInfo(p tree.Part) AuthorInfo {
	a := AuthorInfo{Author: p.Author.String(), Draft: p.Draft != nil, Forked: p.Fork != nil, Over: p.OverQuota}
	if p.Reference != nil {
		a.Epoch, a.Sequence, a.Time = p.Reference.Epoch, p.Reference.Sequence, claimed(p.Reference)
	}
	return a
}

func claimed(ref *reference.Reference) string {
	return time.Unix(int64(ref.Time), 0).UTC().Format(time.RFC3339)
}

// Lines returns the fields of i that are set, as name and text.
func (i Info) Lines() [][2]string {
	var lines [][2]string
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, [2]string{name, text})
		}
	}
	add("path", i.Path)
	add("policy", i.Policy)
	add("cid", i.Cid)
	if i.Content != i.Cid {
		add("content", i.Content)
	}
	if i.Size > 0 {
		add("size", strconv.FormatUint(i.Size, 10))
	}
	add("id", i.ID)
	add("key", i.Key)
	add("owner", i.Owner)
	if i.Epoch > 0 {
		add("epoch", strconv.FormatUint(i.Epoch, 10))
	}
	if i.Sequence > 0 {
		add("sequence", strconv.FormatUint(i.Sequence, 10))
	}
	add("time", i.Time)
	add("state", i.State)
	add("view", i.View)
	for _, a := range i.Address {
		add("address", a)
	}
	for _, a := range i.Authors {
		add("author", a.text())
	}
	if i.Draft {
		add("draft", "not signed yet")
	}
	if i.Forked {
		add("forked", "by its owner")
	}
	return lines
}

func (a AuthorInfo) text() string {
	text := a.Author
	if a.Epoch > 0 {
		text += fmt.Sprintf(", epoch %d", a.Epoch)
	}
	if a.Sequence > 0 {
		text += fmt.Sprintf(", sequence %d, %s", a.Sequence, a.Time)
	}
	if a.Draft {
		text += ", with a draft"
	}
	if a.Forked {
		text += ", forked"
	}
	if a.Over {
		text += ", over the quota and not shown"
	}
	return text
}
