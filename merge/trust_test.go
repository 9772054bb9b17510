package merge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"archivecache/exchange"
	"archivecache/identity"
	"archivecache/merge"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// tb is what the helpers need of *testing.T and *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

var forum = []reference.Founding{{Policy: reference.SharedPolicy, Path: "root/forum"}}

// A writer publishes nodes from a repository of their own.
type writer struct {
	tb
	repo   *repo.Repo
	secret *identity.Secret
	nodes  []*reference.Reference // all that were published
}

func (w *writer) id() cid.Cid { return w.secret.ID() }

func (w *writer) update(fn func(context.Context, *repo.Tx) error) {
	w.Helper()
	must(w.tb, w.repo.Update(context.Background(), "test", fn))
}

func newWriter(t *testing.T) *writer {
	r, err := repo.Initialize(t.Context(), filepath.Join(t.TempDir(), "repo"), forum, repo.Place{})
	must(t, err)
	t.Cleanup(func() { r.Close() })
	s, err := identity.Generate()
	must(t, err)
	w := &writer{tb: t, repo: r, secret: s}
	w.update(func(ctx context.Context, tx *repo.Tx) error {
		return tx.AddIdentity(ctx, path.MustParse("identities/me"), s.Document())
	})
	return w
}

// put writes content to a path below root.
func (w *writer) put(at, content string) {
	w.Helper()
	w.update(func(ctx context.Context, tx *repo.Tx) error {
		b := store.NewBlock(cid.Raw, []byte(content))
		if err := tx.Blocks.Put(ctx, b); err != nil {
			return err
		}
		root, err := tx.EditRoot(ctx)
		if err != nil {
			return err
		}
		return root.Put(ctx, w.id(), path.MustParse(at), unixfs.Entry{Cid: b.Cid, Tsize: uint64(len(b.Data))}, true)
	})
}

// delete deletes what stands at a path below root, if anything.
func (w *writer) delete(at string) {
	w.Helper()
	w.update(func(ctx context.Context, tx *repo.Tx) error {
		root, err := tx.EditRoot(ctx)
		if err != nil {
			return err
		}
		if err := root.Delete(ctx, w.id(), path.MustParse(at)); !errors.Is(err, tree.ErrNotFound) {
			return err
		}
		return nil
	})
}

func (w *writer) befriend(others ...*writer) {
	w.Helper()
	w.update(func(ctx context.Context, tx *repo.Tx) error {
		for _, o := range others {
			if _, _, err := tx.AddFriend(ctx, o.secret.Document()); err != nil {
				return err
			}
		}
		return nil
	})
}

// publish publishes, and returns the node with all its blocks.
func (w *writer) publish() *reference.Reference {
	w.Helper()
	w.update(func(ctx context.Context, tx *repo.Tx) error {
		done, err := tx.Publish(ctx, w.secret, path.MustParse("node"), nil)
		w.nodes = append(w.nodes, done.Node)
		return err
	})
	return w.nodes[len(w.nodes)-1]
}

func (w *writer) car() []byte {
	w.Helper()
	b, err := w.nodes[len(w.nodes)-1].Block()
	must(w.tb, err)
	var car bytes.Buffer
	_, err = exchange.ExportCAR(context.Background(), w.repo.Store(), []cid.Cid{b.Cid}, &car)
	must(w.tb, err)
	return car.Bytes()
}

// give puts a node into a repository, which may refuse it, and reports whether it did not.
func give(t tb, r *repo.Repo, node *reference.Reference) bool {
	t.Helper()
	err := r.Update(context.Background(), "give", func(ctx context.Context, tx *repo.Tx) error {
		_, _, err := tx.AddNode(ctx, node)
		return err
	})
	if err != nil && !errors.Is(err, repo.ErrNoFriend) && !errors.Is(err, repo.ErrOlder) {
		t.Fatalf("%v", err)
	}
	return err == nil
}

func take(t tb, r *repo.Repo, car []byte) {
	t.Helper()
	_, err := exchange.ImportCAR(context.Background(), bytes.NewReader(car), r.Store(), exchange.CarLimits{})
	must(t, err)
}

func mergeAll(t tb, r *repo.Repo) {
	t.Helper()
	must(t, merge.All(context.Background(), r, "merge-all", merge.Options{LetThrough: true}, func(report merge.Report, err error) {
		if err != nil && !errors.Is(err, repo.ErrNoFriend) {
			t.Fatalf("%s: %v", report.Path, err)
		}
	}))
}

// A society is some writers who published several nodes each, with all their blocks as CARs.
type society struct {
	writers  []*writer
	cars     [][]byte
	template string // the folder of a repository with all blocks
}

// newSociety lets writers edit, befriend, publish and merge as a seed says.
func newSociety(t *testing.T, n int, seed uint64) *society {
	random := rand.New(rand.NewPCG(seed, 1))
	s := &society{}
	for range n {
		s.writers = append(s.writers, newWriter(t))
	}
	for round := range 4 {
		for i, w := range s.writers {
			if other := s.writers[random.IntN(n)]; other != w {
				w.befriend(other)
			}
			for _, other := range s.writers {
				if len(other.nodes) > 0 && other != w && give(t, w.repo, other.nodes[len(other.nodes)-1]) {
					take(t, w.repo, other.car())
				}
			}
			mergeAll(t, w.repo)
			for range 2 {
				w.put(fmt.Sprintf("root/forum/%c", 'a'+random.IntN(3)), fmt.Sprint(round, " of ", i))
			}
			w.put(fmt.Sprintf("root/of-%d/%c", i, 'a'+random.IntN(3)), fmt.Sprint("own ", round))
			if random.IntN(2) == 0 {
				w.delete(fmt.Sprintf("root/forum/%c", 'a'+random.IntN(3)))
			}
			s.publish(w)
		}
	}
	// Whatever the seed, one deletes a file of another.
	deleter, other := s.writers[0], s.writers[2]
	other.put("root/forum/kept", "for some")
	s.publish(other)
	deleter.befriend(other)
	deleter.learn(t, other)
	deleter.delete("root/forum/kept")
	// And each of these two has something newest that the other has not, of somebody whom both
	// accept.
	for i, w := range []*writer{deleter, other} {
		w.befriend(s.writers[1], s.writers[3])
		writes := s.writers[1+2*i]
		writes.put("root/forum/newest", fmt.Sprint("only ", i))
		s.publish(writes)
		w.learn(t, writes)
		s.publish(w)
	}
	s.template = filepath.Join(t.TempDir(), "template")
	r, err := repo.Initialize(t.Context(), s.template, forum, repo.Place{})
	must(t, err)
	for _, car := range s.cars {
		take(t, r, car)
	}
	must(t, r.Close())
	return s
}

// learn merges the newest node of another.
func (w *writer) learn(t tb, other *writer) {
	w.Helper()
	give(t, w.repo, other.nodes[len(other.nodes)-1])
	take(t, w.repo, other.car())
	mergeAll(t, w.repo)
}

func (s *society) publish(w *writer) {
	w.publish()
	s.cars = append(s.cars, w.car())
}

// A reader has a repository with all blocks of a society.
type reader struct {
	tb
	*society
	repo *repo.Repo
}

func (s *society) newReader(t tb) *reader {
	dir, err := os.MkdirTemp("", "archivecache-trust-")
	must(t, err)
	must(t, os.CopyFS(filepath.Join(dir, "repo"), os.DirFS(s.template)))
	r, err := repo.Open(filepath.Join(dir, "repo"))
	must(t, err)
	return &reader{tb: t, society: s, repo: r}
}

func (r *reader) close() {
	must(r.tb, r.repo.Close())
	must(r.tb, os.RemoveAll(filepath.Dir(r.repo.Dir())))
}

func (r *reader) try(fn func(context.Context, *repo.Tx) error) {
	r.Helper()
	err := r.repo.Update(context.Background(), "test", fn)
	if err != nil && !errors.Is(err, repo.ErrNoFriend) && !errors.Is(err, repo.ErrUnknownAuthor) && !errors.Is(err, tree.ErrNotFound) {
		r.Fatalf("%v", err)
	}
}

func (r *reader) befriend(w *writer) {
	r.try(func(ctx context.Context, tx *repo.Tx) error {
		_, _, err := tx.AddFriend(ctx, w.secret.Document())
		return err
	})
}

func (r *reader) drop(w *writer) {
	p, err := repo.FriendsPath.Join(w.id().String())
	must(r.tb, err)
	r.try(func(ctx context.Context, tx *repo.Tx) error { return tx.Delete(ctx, nil, p) })
}

func (r *reader) forget(w *writer) {
	r.try(func(ctx context.Context, tx *repo.Tx) error {
		_, err := tx.ForgetAuthor(ctx, w.id())
		return err
	})
}

func (r *reader) trust(w *writer, trust repo.Trust) {
	r.try(func(ctx context.Context, tx *repo.Tx) error {
		_, err := tx.SetTrust(ctx, w.id(), func(t *repo.Trust) { *t = trust })
		return err
	})
}

// root returns the root, after a check that it is the one that follows from the state.
func (r *reader) root() cid.Cid {
	r.Helper()
	ctx := context.Background()
	t, err := r.repo.Tree(ctx)
	must(r.tb, err)
	thing, err := t.Resolve(ctx, path.MustParse("root"))
	must(r.tb, err)
	must(r.tb, r.repo.Verify(ctx, t, thing, func(*tree.Directory, tree.Part) {}))
	return thing.Root.Cid()
}

// authors returns who is accepted.
func (r *reader) authors() repo.Authors {
	t, err := r.repo.Tree(context.Background())
	must(r.tb, err)
	a, err := repo.AuthorsOf(context.Background(), t)
	must(r.tb, err)
	return a
}

// latest gives the reader the newest nodes of all friends, and merges them; of a friend of a friend
// as well if one came before.
func (r *reader) latest() {
	r.Helper()
	for _, w := range r.writers {
		if r.authors().Friends[w.id()] {
			give(r.tb, r.repo, w.nodes[len(w.nodes)-1])
		}
	}
	mergeAll(r.tb, r.repo)
}

// afresh returns the root of a repository that had the settings of r from the start.
func (r *reader) afresh() cid.Cid {
	r.Helper()
	fresh := r.newReader(r.tb)
	defer fresh.close()
	authors := r.authors()
	for _, w := range r.writers {
		if authors.Friends[w.id()] {
			fresh.befriend(w)
			fresh.trust(w, authors.TrustOf(w.id()))
		}
	}
	fresh.latest()
	return fresh.root()
}

func (r *reader) check(what string) {
	r.Helper()
	r.latest()
	if got, want := r.root(), r.afresh(); !got.Equals(want) {
		r.Fatalf("%s: root %s, and from the start it is %s", what, got, want)
	}
}

// move makes one random change to whom the reader accepts and how, or brings a node.
func (r *reader) move(t *rapid.T) {
	w := rapid.SampledFrom(r.writers).Draw(t, "writer")
	switch rapid.IntRange(0, 9).Draw(t, "move") {
	case 0, 1:
		r.befriend(w)
	case 2:
		r.drop(w)
	case 3:
		r.forget(w)
	case 4:
		r.trust(w, repo.UsualTrust)
	case 5, 6:
		r.trust(w, repo.Trust{
			Friends: rapid.Bool().Draw(t, "friends"), Marks: rapid.Bool().Draw(t, "marks"),
			Entries: rapid.Uint64Range(0, 6).Draw(t, "entries"), Bytes: rapid.Uint64Range(0, 60).Draw(t, "bytes"),
		})
	case 7, 8:
		give(t, r.repo, rapid.SampledFrom(w.nodes).Draw(t, "node"))
	case 9:
		mergeAll(t, r.repo)
	}
}

// TestAsFromTheStart changes at random whom a reader accepts, and how much of them counts. Whatever
// came before, the root is the one of a repository with the last settings from the start.
func TestAsFromTheStart(t *testing.T) {
	s := newSociety(t, 4, 1)
	rapid.Check(t, func(t *rapid.T) {
		r := s.newReader(t)
		defer r.close()
		for range rapid.IntRange(1, 15).Draw(t, "moves") {
			r.move(t)
		}
		r.check("in the end")
	})
}

// TestTrustLaws has each of the changes once, so that all of them are seen to do something.
func TestTrustLaws(t *testing.T) {
	s := newSociety(t, 4, 2)
	a := s.writers[0]
	for name, change := range map[string]func(*reader){
		"befriended later": func(r *reader) { r.befriend(s.writers[1]) },
		"dropped":          func(r *reader) { r.drop(a) },
		"forgotten":        func(r *reader) { r.forget(a) },
		"friends":          func(r *reader) { r.trust(a, repo.Trust{Friends: true, Marks: true}) },
		"marks":            func(r *reader) { r.trust(a, repo.Trust{}) },
		"entries":          func(r *reader) { r.trust(a, repo.Trust{Marks: true, Entries: 1}) },
		"bytes":            func(r *reader) { r.trust(a, repo.Trust{Marks: true, Bytes: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := s.newReader(t)
			defer r.close()
			r.befriend(a)
			r.befriend(s.writers[2])
			r.check("before")
			before := r.root()
			change(r)
			r.check("after")
			if after := r.root(); after.Equals(before) {
				t.Error("it changed nothing")
			}
			r.befriend(a)
			r.drop(s.writers[1])
			r.trust(a, repo.UsualTrust)
			r.check("back")
			if back := r.root(); !back.Equals(before) {
				t.Errorf("taken back: root %s, and it was %s", back, before)
			}
		})
	}
}

// TestMergeAllLeavesNothing merges two nodes of which one makes something in the other count,
// whichever comes first.
func TestMergeAllLeavesNothing(t *testing.T) {
	s := newSociety(t, 4, 3)
	pair := []*writer{s.writers[0], s.writers[2]}
	for _, trusted := range pair {
		r := s.newReader(t)
		for _, w := range pair {
			r.befriend(w)
		}
		r.trust(trusted, repo.Trust{Friends: true, Marks: true})
		r.latest()
		done := r.root()
		for _, w := range pair {
			at, err := repo.NodesPath.Join(w.id().String())
			must(t, err)
			report, err := merge.Node(t.Context(), r.repo, "merge", at, merge.Options{LetThrough: true})
			if err != nil || report.Changed() > 0 {
				t.Errorf("merged again: %+v, %v", report.Changes, err)
			}
		}
		if again := r.root(); !again.Equals(done) {
			t.Errorf("merged again: root %s, and it was %s", again, done)
		}
		r.close()
	}
}
