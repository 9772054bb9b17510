// Package merge takes into one repository what the nodes of others show: it fetches, verifies,
// joins and commits, and says what became of everything.
//
// A merge is one commit. It reads the state of the node's root, joins what accepted authors have
// signed into the state of the own root (package tree/state has the rules), makes the content of
// what is new present, and computes the view. A reference whose content nobody has is left for
// the next time, and so is one whose history cannot be read; the others are merged.
package merge

import (
	"context"
	"errors"
	"fmt"

	"archivecache/exchange"
	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
)

// Options of a merge.
type Options struct {
	MetadataOnly bool              // leave the content of files for later
	Gateways     []exchange.Source // to ask beside the addresses of the node
	Fetch        exchange.Options
	MaxBytes     int64 // of blocks to fetch for one node; 0 is no limit
	Progress     func(exchange.Stats)
	Address      func(exchange.Source)      // is told of each address before it is used; may be nil
	Ignored      func(text string, e error) // is told of each address that is not used; may be nil
}

// A Report says what a merge did.
type Report struct {
	Path    path.Path // of the node
	Node    *reference.Reference
	Changes []state.Change // what was not the same
	Fetched exchange.Stats
	Aside   []exchange.Attempt // sources that failed, and are not asked any more
	Root    cid.Cid            // after it
	Own     error              // what is wrong with a node of one's own that the author has seen; nil mostly
}

// Changed returns how many slots of the state the merge changed.
func (r Report) Changed() int { return r.count(state.Outcome.Changes) }

// Refused returns how many slots were refused, or could not be read.
func (r Report) Refused() int {
	return r.count(func(o state.Outcome) bool { return o.Refuses() || o == state.Incomplete })
}

func (r Report) count(is func(state.Outcome) bool) int {
	n := 0
	for _, c := range r.Changes {
		if is(c.Outcome) {
			n++
		}
	}
	return n
}

// Node merges the root of the node that stands at a path such as nodes/ID into the root of r. If
// all that is new in it cannot be had, the error says why, and nothing is committed.
func Node(ctx context.Context, r *repo.Repo, command string, at path.Path, opt Options) (Report, error) {
	report := Report{Path: at}
	t, err := r.Tree(ctx)
	if err != nil {
		return report, err
	}
	e, err := t.Get(ctx, at)
	if err != nil {
		return report, err
	}
	if e.Policy != tree.NodePolicy {
		return report, fmt.Errorf("%s: %w", at, repo.ErrNotNode)
	}
	if report.Node, err = tree.ReadNode(ctx, t.Blocks, e); err != nil {
		return report, err
	}
	f := exchange.NewFetcher(r.Store(), append(Sources(report.Node, opt), opt.Gateways...), opt.Fetch)
	defer f.Close()
	m := merger{fetcher: f, opt: opt, report: &report}
	err = r.UpdateOver(ctx, command, f, func(ctx context.Context, tx *repo.Tx) error {
		m.tx = tx
		return m.node(ctx, e.Link.Target())
	})
	report.Fetched, report.Aside = f.Stats(), f.Aside()
	if err == nil {
		err = m.failure
	} else {
		err = errors.Join(err, f.Commit(context.WithoutCancel(ctx))) // so that the next try goes on from here
	}
	return report, err
}

// Sources returns where a node says that its blocks are.
func Sources(node *reference.Reference, opt Options) []exchange.Source {
	var sources []exchange.Source
	for _, text := range node.Addresses {
		a, err := exchange.ParseAddress(text)
		if errors.Is(err, exchange.ErrScheme) {
			continue // for another way than HTTP
		}
		if err == nil {
			err = opt.Fetch.Policy.Check(a)
		}
		if err != nil {
			if opt.Ignored != nil {
				opt.Ignored(text, err)
			}
			continue
		}
		s := exchange.Source{Address: a, Hint: true, Who: node.Owner.String()}
		if opt.Address != nil {
			opt.Address(s)
		}
		sources = append(sources, s)
	}
	return sources
}

type merger struct {
	tx      *repo.Tx
	fetcher *exchange.Fetcher
	opt     Options
	report  *Report
	authors repo.Authors
	failure error // why nothing could be had; the commit has marks only then
}

// node merges the node c, which report.Node is, into the tree of the commit.
func (m *merger) node(ctx context.Context, c cid.Cid) error {
	node := m.report.Node
	authors, err := m.tx.Accepted(ctx)
	if err != nil {
		return err
	}
	m.authors = authors
	if !authors.Accepts(node.Owner.Cid) {
		return fmt.Errorf("%s: %w", m.report.Path, repo.ErrNoFriend)
	}
	if err := m.history(ctx, node); err != nil {
		return err
	}
	if err := m.join(ctx); err != nil {
		return err
	}
	if err := m.nodeForks(ctx); err != nil {
		return err
	}
	unread := m.unread()
	if unread == nil {
		m.tx.SetMerged(node.Owner.Cid, c)
		if err := m.tx.SetWhole(ctx, node); err != nil {
			return err
		}
	}
	if err := m.adopt(ctx, unread == nil); err != nil {
		return err
	}
	m.failure = nil
	if m.report.Changed() == 0 {
		m.failure = unread // what was learnt is recorded all the same; the tree does not change
	}
	return m.fetcher.Commit(ctx)
}

// adopt takes over what the author of the node has seen of ours.
func (m *merger) adopt(ctx context.Context, whole bool) error {
	complete := func(now, old cid.Cid) error { return m.present(ctx, now, old, exchange.Scope{}) }
	err := m.tx.Adopt(ctx, m.report.Node, whole, complete)
	if errors.Is(err, repo.ErrForked) {
		m.report.Own, err = err, nil
	}
	return err
}

// history checks and keeps the history of the node.
func (m *merger) history(ctx context.Context, node *reference.Reference) error {
	mark, err := m.tx.Mark(ctx, node.Slot())
	if err != nil {
		return err
	}
	known := cid.Undef
	if mark.Reference != nil {
		known = mark.Reference.History.Target()
	}
	if err := m.tx.Settle(ctx, node); err != nil {
		return err
	}
	complete := func(now, old cid.Cid) error { return m.present(ctx, now, old, exchange.Scope{}) }
	if err := complete(node.History.Target(), known); err != nil {
		return fmt.Errorf("%w: %w", repo.ErrNoHistory, err)
	}
	return nil
}

// present makes now and all below it present, given that old is; either may be undefined.
func (m *merger) present(ctx context.Context, now, old cid.Cid, scope exchange.Scope) error {
	if !now.Defined() {
		return nil
	}
	var known []cid.Cid
	if old.Defined() {
		known = append(known, old)
	}
	if m.opt.MaxBytes > 0 {
		// At least one byte, since none would be no limit.
		scope.MaxBytes = max(1, m.opt.MaxBytes-m.fetcher.Stats().Bytes)
	}
	_, err := exchange.Complete(ctx, m.fetcher, now, known, scope)
	return err
}

func (m *merger) join(ctx context.Context) error {
	root, err := m.tx.EditRoot(ctx)
	if err != nil {
		return err
	}
	node := m.report.Node
	rules := state.Rules{
		Accepts: m.authors.Accepts, Mark: m.tx.StateMark, Blocks: m.tx.Blocks,
		Present: func(ctx context.Context, c cid.Cid) error { return m.present(ctx, c, cid.Undef, exchange.Scope{}) },
	}
	proofs := state.OpenProofs(m.tx.Blocks, node.Proofs.Target())
	changes, err := root.Merge(ctx, rules, node.Content.Target(), proofs)
	if err != nil {
		return err
	}
	for i := range changes {
		if err := m.settle(ctx, root, &changes[i]); err != nil {
			return err
		}
	}
	m.report.Changes = changes
	if m.report.Root, err = root.Commit(ctx); err != nil {
		return err
	}
	return nil
}

// unread returns the first error of a change that could not be read now, or nil.
func (m *merger) unread() error {
	for _, c := range m.report.Changes {
		if c.Outcome == state.Incomplete {
			return c.Err
		}
	}
	return nil
}

// All merges the nodes of all friends that were not merged yet, each in a commit of its own, and
// calls done for each. An error of one does not keep it from the others.
func All(ctx context.Context, r *repo.Repo, command string, opt Options, done func(Report, error)) error {
	t, err := r.Tree(ctx)
	if err != nil {
		return err
	}
	var todo []path.Path
	err = t.Each(ctx, repo.NodesPath, func(name string, e tree.Entry) error {
		if e.Policy != tree.NodePolicy {
			return nil
		}
		node, err := tree.ReadNode(ctx, t.Blocks, e)
		if err != nil {
			return err
		}
		merged, err := r.Merged(ctx, node.Owner.Cid)
		if err != nil || merged.Equals(e.Link.Target()) {
			return err
		}
		p, err := repo.NodesPath.Join(name)
		todo = append(todo, p)
		return err
	})
	if err != nil && !errors.Is(err, tree.ErrNotFound) {
		return err
	}
	for _, p := range todo {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report, err := Node(ctx, r, command, p, opt)
		done(report, err)
	}
	return nil
}
