package merge_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/merge"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/merkle"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// victim is a repository with one friend, mallory, who may send anything.
type victim struct {
	t       *testing.T
	repo    *repo.Repo
	blocks  *store.Overlay
	mallory *identity.Secret
	node    *reference.Reference // the newest one sent
	at      path.Path

	report  merge.Report               // of the last merge
	prepare func(*reference.Reference) // of nodes, before they are signed; may be nil
}

func newVictim(t *testing.T) *victim {
	ctx := t.Context()
	r, err := repo.Initialize(ctx, filepath.Join(t.TempDir(), "repo"), nil, repo.Place{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	mallory, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t: t, repo: r, blocks: store.NewOverlay(r.Store()), mallory: mallory}
	v.befriend(mallory)
	return v
}

func (v *victim) befriend(s *identity.Secret) {
	v.must(v.repo.Update(v.t.Context(), "befriend", func(ctx context.Context, tx *repo.Tx) error {
		_, _, err := tx.AddFriend(ctx, s.Document())
		return err
	}))
}

func (v *victim) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// directory returns the CID of a directory with one file.
func (v *victim) directory(content string) cid.Cid {
	leaf := store.NewBlock(cid.Raw, []byte(content))
	v.must(v.blocks.Put(v.t.Context(), leaf))
	e, err := unixfs.Build(v.t.Context(), v.blocks, []unixfs.Entry{{Name: "f", Cid: leaf.Cid, Tsize: uint64(len(content))}})
	v.must(err)
	return e.Cid
}

// layer returns mallory's signed layer of a shared directory.
func (v *victim) layer(at string, content cid.Cid, previous *reference.Reference) *reference.Reference {
	r := &reference.Reference{
		Policy: reference.SharedPolicy, Path: at, Content: dagcbor.LinkTo(content),
		Directory: &reference.Founding{Policy: reference.SharedPolicy, Path: at},
	}
	v.must(r.Continue(v.t.Context(), v.blocks, previous))
	v.sign(r)
	return r
}

// sign signs as mallory.
func (v *victim) sign(r *reference.Reference) {
	key, err := v.mallory.At(0)
	v.must(err)
	v.must(r.Sign(key, reference.Chain{Document: v.mallory.Document()}))
}

// send puts a node of mallory's whose state has the references into the repository, with all
// blocks.
func (v *victim) send(refs ...*reference.Reference) {
	v.t.Helper()
	ctx := v.t.Context()
	s := state.Open(v.blocks, cid.Undef)
	for _, r := range refs {
		v.must(s.Set(ctx, r.Slot(), state.Value{Reference: r}))
	}
	stateCid, err := s.Flush(ctx, v.blocks)
	v.must(err)
	v.sendState(stateCid)
}

// sendState is send with a state that is there.
func (v *victim) sendState(stateCid cid.Cid) {
	v.t.Helper()
	ctx := v.t.Context()
	empty, _ := unixfs.EmptyDir()
	v.must(v.blocks.Put(ctx, empty))
	root, err := merkle.PutNode(ctx, v.blocks, map[string]any{
		"directories": []any{}, "shared": []any{},
		"state": dagcbor.Link{Cid: stateCid}, "view": dagcbor.Link{Cid: empty.Cid},
	})
	v.must(err)
	node := &reference.Reference{Policy: reference.NodePolicy, Content: dagcbor.LinkTo(root)}
	v.must(node.Continue(ctx, v.blocks, v.node))
	if v.prepare != nil {
		v.prepare(node)
	}
	v.sign(node)
	w := v.repo.Store().Writer()
	for _, b := range v.blocks.Pending() {
		v.must(w.Put(ctx, b))
	}
	v.must(w.Commit(ctx))
	v.must(v.repo.Update(ctx, "receive", func(ctx context.Context, tx *repo.Tx) error {
		v.at, _, err = tx.AddNode(ctx, node)
		return err
	}))
	v.node = node
}

func (v *victim) merge() (map[string]state.Outcome, error) {
	return v.mergeWith(merge.Options{})
}

func (v *victim) mergeWith(opt merge.Options) (map[string]state.Outcome, error) {
	report, err := merge.Node(v.t.Context(), v.repo, "merge", v.at, opt)
	v.report = report
	outcomes := map[string]state.Outcome{}
	for _, c := range report.Changes {
		if c.Offered != nil {
			outcomes[c.Offered.Path] = c.Outcome
		}
	}
	return outcomes, err
}

func (v *victim) head() cid.Cid {
	h, err := v.repo.Head(v.t.Context())
	v.must(err)
	return h.Cid
}

// shows reports whether root shows something at p.
func (v *victim) shows(p string) bool {
	t, err := v.repo.Tree(v.t.Context())
	v.must(err)
	_, err = t.Resolve(v.t.Context(), path.MustParse(p))
	if err != nil && !errors.Is(err, tree.ErrNotFound) {
		v.t.Fatal(err)
	}
	return err == nil
}

func TestBadLayersAreLeftOut(t *testing.T) {
	v := newVictim(t)
	strange := store.NewBlock(cid.DagProtobuf, (&unixfs.Node{Kind: unixfs.Directory, Mode: 0o755}).Encode())
	garbage := store.NewBlock(cid.DagProtobuf, []byte("no protobuf"))
	v.must(v.blocks.Put(t.Context(), strange))
	v.must(v.blocks.Put(t.Context(), garbage))
	forged := v.layer("root/forged", v.directory("forged"), nil)
	forged.Time++ // after signing
	v.send(
		v.layer("root/good", v.directory("good"), nil),
		v.layer("root/strange", strange.Cid, nil),
		v.layer("root/garbage", garbage.Cid, nil),
		v.layer("root/missing", store.Sum(cid.DagProtobuf, []byte("nobody has it")), nil),
		forged,
	)
	got, err := v.merge()
	v.must(err)
	for p, want := range map[string]state.Outcome{
		"root/good": state.New, "root/strange": state.RefusedForm, "root/garbage": state.RefusedForm,
		"root/missing": state.Incomplete, "root/forged": state.RefusedSignature,
	} {
		if got[p] != want {
			t.Errorf("%s: %s, want %s", p, got[p], want)
		}
		if v.shows(p) != (want == state.New) {
			t.Errorf("%s: shown %v", p, v.shows(p))
		}
	}
}

func TestNothingToHaveCommitsNothing(t *testing.T) {
	v := newVictim(t)
	missing := store.Sum(cid.DagProtobuf, []byte("nobody has it"))
	v.send(v.layer("root/missing", missing, nil))
	before := v.head()
	_, err := v.merge()
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("merge: %v", err)
	}
	if !v.head().Equals(before) {
		t.Error("the head has moved")
	}
}

func TestForkTakesBothOut(t *testing.T) {
	v := newVictim(t)
	first := v.layer("root/talk", v.directory("one"), nil)
	v.send(first)
	if got, err := v.merge(); err != nil || got["root/talk"] != state.New {
		t.Fatalf("%v, %v", got, err)
	}
	v.send(v.layer("root/talk", v.directory("another one"), nil)) // sequence 1 again
	got, err := v.merge()
	v.must(err)
	if got["root/talk"] != state.Forked || v.shows("root/talk/f") {
		t.Errorf("%s, shown %v", got["root/talk"], v.shows("root/talk/f"))
	}
	v.send(v.layer("root/talk", v.directory("two"), first)) // a good continuation of one side
	if _, err := v.merge(); err != nil || v.shows("root/talk/f") {
		t.Errorf("after the fork: %v, shown %v", err, v.shows("root/talk/f"))
	}
	proofs := 0
	v.must(v.repo.Proofs(t.Context(), func(_ reference.Slot, p *state.Proof) error {
		proofs++
		return p.Verify(t.Context(), v.blocks)
	}))
	if proofs != 1 {
		t.Errorf("%d proofs", proofs)
	}
}
