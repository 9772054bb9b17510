package upkeep

import (
	"bytes"
	"context"
	"errors"
	"time"

	"archivecache/dagcbor"
	"archivecache/exchange"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// A Problem is something that is lost, or not as it should be.
type Problem struct {
	Kind string // missing, damaged, or database
	Cid  cid.Cid
	Path string // where it is first found: of the newest version, if that has it
	Text string // what is wrong
}

// Checked is what a check has seen.
type Checked struct {
	Versions int
	Blocks   int64 // that were read
	Bytes    int64
	Absent   int64 // blocks of others that were not downloaded, not counting those below them
	Problems int64
	Damaged  []store.Digest
}

// maxLost is how many blocks are told of by name.
const maxLost = 10_000

// Check reads and hashes every block, and looks whether everything is there that should be, of the
// tree and of all versions in the log:
//
//   - all that trees, roots and states are made of, histories and marks, and of directories the
//     names, whoever they are of;
//   - all content of one's own, drafts too;
//   - all content of others whose mark says that it was complete here.
//
// The rest, such as content of others that was not downloaded, and what hangs from nodes that were
// not merged, may be missing, but what is there has to be as its hash says. It calls fn with every
// problem.
func Check(ctx context.Context, r *repo.Repo, fn func(Problem) error) (Checked, error) {
	c := &checker{repo: r, lost: map[store.Digest]*lost{}}
	findings, err := r.CheckDatabase(ctx)
	if err != nil {
		return c.done, err
	}
	for _, text := range findings {
		c.done.Problems++
		if err := fn(Problem{Kind: "database", Text: text}); err != nil {
			return c.done, err
		}
	}
	if err := r.Check(ctx, c.read); err != nil {
		return c.done, err
	}
	if err := c.survey(ctx); err != nil {
		return c.done, err
	}
	return c.done, c.tell(ctx, fn)
}

// A checker is a check at work.
type checker struct {
	repo *repo.Repo
	done Checked
	lost map[store.Digest]*lost

	own     map[cid.Cid]bool
	nodes   map[cid.Cid]bool // of one's own, as they were published here
	entries []repo.LogEntry
	whole   []cid.Cid // content that must be there
}

// lost is a block that is missing or damaged.
type lost struct {
	cid  cid.Cid
	err  error
	path string
}

// read notes a block that was read from the disk.
func (c *checker) read(d store.Digest, size int64, err error) error {
	c.done.Blocks, c.done.Bytes = c.done.Blocks+1, c.done.Bytes+size
	if err != nil {
		c.done.Damaged = append(c.done.Damaged, d)
		return c.lose(store.RawCid(d), err)
	}
	return nil
}

// lose notes a block that is lost.
func (c *checker) lose(at cid.Cid, err error) error {
	d, digestErr := store.DigestOf(at)
	if digestErr != nil {
		return digestErr
	}
	if known := c.lost[d]; known != nil {
		known.cid = at // with the codec by which it is linked
		return nil
	}
	c.done.Problems++
	if len(c.lost) < maxLost {
		c.lost[d] = &lost{cid: at, err: err}
	}
	return nil
}

// survey finds out what is missing.
func (c *checker) survey(ctx context.Context) error {
	versions, err := c.versions(ctx)
	if err != nil {
		return err
	}
	if err := c.marks(ctx); err != nil {
		return err
	}
	s := exchange.NewSurvey(sound{c.repo.Store(), c}, c.lose)
	if err := s.Metadata(ctx, versions, c.look); err != nil {
		return err
	}
	if err := c.drafts(ctx); err != nil {
		return err
	}
	if err := s.Whole(ctx, c.whole); err != nil {
		return err
	}
	rest, err := c.rest(ctx)
	if err != nil {
		return err
	}
	c.done.Absent, err = s.Rest(ctx, rest)
	return err
}

// rest returns what else a collection keeps, of what is here.
func (c *checker) rest(ctx context.Context) (here []cid.Cid, err error) {
	var roots []cid.Cid
	err = c.repo.Roots(ctx, time.Unix(0, 0), func(root cid.Cid) error { roots = append(roots, root); return nil })
	if err != nil {
		return nil, err
	}
	has, err := c.repo.Store().Has(ctx, roots)
	for i, root := range roots {
		if err == nil && has[i] {
			here = append(here, root)
		}
	}
	return here, err
}

// versions returns all trees, and finds out who one is.
func (c *checker) versions(ctx context.Context) (trees []cid.Cid, err error) {
	t, err := c.repo.Tree(ctx)
	if err != nil {
		return nil, err
	}
	authors, err := repo.AuthorsOf(ctx, t)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	} // else the survey finds what is lost
	c.own = map[cid.Cid]bool{}
	for id := range authors.Own {
		c.own[id] = true
	}
	trees = []cid.Cid{t.Head()}
	if c.entries, err = c.repo.Log(ctx, 0, 0); err != nil {
		return nil, err
	}
	c.done.Versions = len(c.entries)
	for _, e := range c.entries {
		for _, head := range []cid.Cid{e.Head, e.Before} {
			if head.Defined() {
				trees = append(trees, head)
			}
		}
	}
	return trees, nil
}

// marks finds what the marks say is complete here.
func (c *checker) marks(ctx context.Context) error {
	c.nodes = map[cid.Cid]bool{}
	return c.repo.Marks(ctx, func(slot reference.Slot, m repo.Mark) error {
		if m.Reference == nil || !m.Complete {
			return nil
		}
		if m.Reference.Policy != reference.NodePolicy {
			c.must(m.Reference)
			return nil
		}
		b, err := m.Reference.Block()
		if err == nil && c.own[slot.Author] {
			c.nodes[b.Cid] = true
		}
		return err
	})
}

// must notes that all that a reference points to has to be there.
func (c *checker) must(ref *reference.Reference) { c.mustLinks(ref.Content, ref.Marks, ref.History) }

func (c *checker) mustLinks(links ...*dagcbor.Link) {
	for _, l := range links {
		if at := l.Target(); at.Defined() {
			c.whole = append(c.whole, at)
		}
	}
}

// look notes what has to be there because of a block, and says whether its links have to.
func (c *checker) look(at cid.Cid, data []byte) (follow bool, err error) {
	if at.Type() != cid.DagCBOR {
		return true, nil
	}
	for _, ref := range state.In(data) {
		if c.own[ref.Owner.Cid] {
			c.must(ref)
		}
	}
	return !isNode(data) || c.nodes[at], nil
}

func isNode(data []byte) bool {
	if !bytes.Contains(data, []byte(reference.NodePolicy)) {
		return false
	}
	ref, err := reference.Decode(data)
	return err == nil && ref.Policy == reference.NodePolicy
}

// drafts notes the drafts of all versions, which are one's own.
func (c *checker) drafts(ctx context.Context) error {
	done := map[cid.Cid]bool{}
	for _, e := range c.entries {
		if done[e.Root] || !e.Root.Defined() {
			continue
		}
		done[e.Root] = true
		root, err := tree.OpenRoot(ctx, store.NewOverlay(c.repo.Store()), e.Root)
		if err == nil {
			err = root.Drafts(ctx, func(d *tree.Draft) error {
				c.mustLinks(d.Content, d.Marks)
				return nil
			})
		}
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		} // else the survey has found what is lost
	}
	return nil
}

// sound is a store in which damaged blocks are not there.
type sound struct {
	store.Store
	c *checker
}

// Has implements [store.Store].
func (s sound) Has(ctx context.Context, cids []cid.Cid) ([]bool, error) {
	has, err := s.Store.Has(ctx, cids)
	for i := range has {
		if d, err := store.DigestOf(cids[i]); err == nil && has[i] && s.c.lost[d] != nil {
			has[i] = false
		}
	}
	return has, err
}

// GetMany reads many blocks faster than one by one.
func (s sound) GetMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error {
	many, ok := s.Store.(interface {
		GetMany(context.Context, []cid.Cid, func(int, []byte, error) error) error
	})
	if ok {
		return many.GetMany(ctx, cids, fn)
	}
	for i, at := range cids {
		data, err := s.Store.Get(ctx, at)
		if err := fn(i, data, err); err != nil {
			return err
		}
	}
	return nil
}

// tell calls fn with what is lost, those with a path first.
func (c *checker) tell(ctx context.Context, fn func(Problem) error) error {
	if len(c.lost) == 0 {
		return nil
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	for _, named := range []bool{true, false} {
		for _, l := range c.lost {
			if (l.path != "") != named {
				continue
			}
			if err := fn(l.problem()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lost) problem() Problem {
	p := Problem{Kind: "damaged", Cid: l.cid, Path: l.path, Text: l.err.Error()}
	if errors.Is(l.err, store.ErrNotFound) {
		p.Kind = "missing"
	}
	return p
}
