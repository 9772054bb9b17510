package tree_test

import (
	"context"
	"maps"
	"slices"
	"strings"

	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/shared"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// tb is what the helpers need of *testing.T and *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

var forum = treetest.Shared("root/forum")

// A person has an identity, a root, and the marks and proofs beside it. All persons of a test
// share one store.
type person struct {
	tb
	*treetest.Signer
	blocks *store.Overlay
	root   *tree.Root
	marks  map[reference.Slot]state.Mark
	proofs cid.Cid
	trust  map[cid.Cid]tree.Trust
	sizes  sizes
}

// sizes are [shared.Sizes] in memory.
type sizes map[cid.Cid]shared.Size

func (s sizes) Size(_ context.Context, c cid.Cid) (shared.Size, bool, error) {
	size, ok := s[c]
	return size, ok, nil
}

func (s sizes) SetSize(c cid.Cid, size shared.Size) { s[c] = size }

// trusts returns who counts how much for p; with sizes that are known already only if asked for.
func (p *person) trusts(known bool) tree.Trusts {
	trust := maps.Clone(p.trust)
	maps.DeleteFunc(trust, func(_ cid.Cid, t tree.Trust) bool { return t == (tree.Trust{}) })
	if len(trust) == 0 {
		return tree.Trusts{} // as for one who has no settings at all
	}
	t := tree.Trusts{Of: func(author cid.Cid) tree.Trust { return trust[author] }}
	if known {
		t.Sizes = p.sizes
	}
	return t
}

// newPeople returns n persons with the same founding directories.
func newPeople(t tb, n int) []*person {
	blocks := store.NewOverlay(store.NewMemory())
	var people []*person
	for i := range n {
		p := &person{tb: t, Signer: treetest.NewSigner(byte(i + 1)), blocks: blocks, marks: map[reference.Slot]state.Mark{}, sizes: sizes{}}
		p.must(blocks.Put(context.Background(), p.Document.Block()))
		p.root = tree.NewRoot(blocks, []reference.Founding{forum})
		p.commit()
		people = append(people, p)
	}
	return people
}

func (p *person) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("%v", err)
	}
}

func (p *person) mark(_ context.Context, slot reference.Slot) (state.Mark, error) {
	return p.marks[slot], nil
}

// commit commits the root, and checks that the same follows from its state and its drafts alone.
func (p *person) commit() cid.Cid {
	p.Helper()
	ctx := context.Background()
	c, err := p.root.Commit(ctx)
	p.must(err)
	fresh := tree.NewRoot(p.blocks, []reference.Founding{forum})
	fresh.SetTrusts(p.trusts(false))
	p.must(tree.Adopt(ctx, fresh, p.root))
	again, err := fresh.Commit(ctx)
	p.must(err)
	if !again.Equals(c) {
		p.Fatalf("committed step by step %v, at once %v", p.list(), listOf(p.tb, p.blocks, fresh.View()))
	}
	reopened, err := tree.OpenRootWith(ctx, p.blocks, c, p.trusts(false))
	p.must(err)
	if again, err = reopened.Commit(ctx); err != nil || !again.Equals(c) {
		p.Fatalf("opened and committed again: %s, %v; want %s", again, err, c)
	}
	return c
}

// tree returns a directory of files; the keys are paths.
func (p *person) tree(files map[string]string) unixfs.Entry {
	ctx := context.Background()
	_, dir := unixfs.EmptyDir()
	for name, content := range files {
		first, rest, deep := strings.Cut(name, "/")
		e := p.file(content)
		if deep {
			below := map[string]string{}
			for n, c := range files {
				if r, ok := strings.CutPrefix(n, first+"/"); ok {
					below[r] = c
				}
			}
			_ = rest
			e = p.tree(below)
		}
		e.Name = first
		b, _ := unixfs.EmptyDir()
		p.must(p.blocks.Put(ctx, b))
		edited, err := unixfs.Edit(ctx, p.blocks, dir.Cid, []unixfs.Entry{e})
		p.must(err)
		dir = edited
	}
	return dir
}

func (p *person) file(content string) unixfs.Entry {
	b := store.NewBlock(cid.Raw, []byte(content))
	p.must(p.blocks.Put(context.Background(), b))
	return unixfs.Entry{Cid: b.Cid, Tsize: uint64(len(b.Data))}
}

func (p *person) put(at, content string) error {
	return p.putEntry(at, p.file(content), true)
}

func (p *person) putEntry(at string, e unixfs.Entry, keep bool) error {
	if err := p.root.Put(context.Background(), p.ID(), path.MustParse(at), e, keep); err != nil {
		return err
	}
	p.commit()
	return nil
}

func (p *person) delete(at string) error {
	if err := p.root.Delete(context.Background(), p.ID(), path.MustParse(at)); err != nil {
		return err
	}
	p.commit()
	return nil
}

func (p *person) sign() []*reference.Reference {
	p.Helper()
	refs, err := p.root.Sign(context.Background(), p, p.mark, 1, nil)
	p.must(err)
	for _, r := range refs {
		p.marks[r.Slot()] = state.Mark{Reference: r}
	}
	p.commit()
	return refs
}

func (p *person) published() cid.Cid {
	p.Helper()
	r, err := p.root.WithoutDrafts(context.Background())
	p.must(err)
	return r.Cid()
}

func (p *person) merge(from *person) []state.Change {
	p.Helper()
	ctx := context.Background()
	rules := state.Rules{Accepts: func(cid.Cid) bool { return true }, Mark: p.mark, Blocks: p.blocks}
	changes, err := p.root.Merge(ctx, rules, from.published(), state.OpenProofs(p.blocks, from.proofs))
	p.must(err)
	proofs := state.OpenProofs(p.blocks, p.proofs)
	for _, c := range changes {
		if c.Outcome.Changes() {
			p.must(p.root.Rebase(ctx, c.Slot))
		}
		switch {
		case c.Outcome == state.Forked:
			p.marks[c.Slot] = state.Mark{Reference: p.marks[c.Slot].Reference, ForkedFrom: 1}
			p.must(proofs.Add(ctx, c.Proof))
		case c.Outcome.Changes():
			p.marks[c.Slot] = state.Mark{Reference: c.Offered}
		}
	}
	p.proofs, err = proofs.Flush(ctx, p.blocks)
	p.must(err)
	p.commit()
	return changes
}

// list returns what the root shows: contents by path. An empty directory ends in a slash.
func (p *person) list() map[string]string { return listOf(p.tb, p.blocks, p.root.View()) }

func listOf(t tb, blocks *store.Overlay, view cid.Cid) map[string]string {
	found := map[string]string{}
	var walk func(c cid.Cid, prefix string) error
	walk = func(c cid.Cid, prefix string) error {
		d, err := unixfs.OpenDir(context.Background(), blocks, c)
		if err != nil {
			data, err := blocks.Get(context.Background(), c)
			found[prefix] = string(data)
			return err
		}
		n := 0
		err = d.Each(context.Background(), func(e unixfs.Entry) error {
			n++
			return walk(e.Cid, strings.TrimPrefix(prefix+"/"+e.Name, "/"))
		})
		if n == 0 {
			found[prefix+"/"] = ""
		}
		return err
	}
	if err := walk(view, ""); err != nil {
		t.Fatalf("list: %v", err)
	}
	return found
}

// shows checks what p sees below root, but an empty forum.
func (p *person) shows(want ...string) {
	p.Helper()
	got := p.list()
	delete(got, "forum/")
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		lines = append(lines, name+"="+got[name])
	}
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		p.Fatalf("shown %q, want %q", lines, want)
	}
}
