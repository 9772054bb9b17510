// Package merge takes into one repository what the nodes of others show: it fetches, verifies,
// joins and commits, and says what became of everything.
//
// A merge is one commit. It reads the state of the node's root, joins what accepted authors have
// signed into the state of the own root (package tree/state has the rules), makes the content of
// what is new present, and computes the view. A reference whose content nobody has is left for
// the next time, and so is one whose history cannot be read; the others are merged.
//
// A merge that would hide much of a shared directory stops before it commits: see [BrakeError]. A
// dry run does all of a merge but the commit; what it fetches goes away with it.
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
	"archivecache/tree/shared"
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

	DryRun     bool // tell what a merge would do, and change nothing
	LetThrough bool // no brake
	Brake      *int // percent; nil is the setting of the repository

	// Slot and Path, which may be nil, are told of each slot that was not the same and then of
	// each path of the view that changed, after the commit.
	Slot func(state.Change) error
	Path func(shared.Change) error
}

// A Report says what a merge did.
type Report struct {
	Path    path.Path // of the node
	Node    *reference.Reference
	Changes []state.Change               // what was not the same
	Paths   map[shared.PathOutcome]int64 // how many paths of the view changed; only if Options.Path is set
	Behind  []repo.Behind                // friends of whom the author of the node has seen more than is known here
	Fetched exchange.Stats
	Aside   []exchange.Attempt // sources that failed, and are not asked any more
	Root    cid.Cid            // after it
	Through error              // why nobody is accepted through the author, although the settings say so; nil mostly
	Own     error              // what is wrong with a node of one's own that the author has seen; nil mostly
	DryRun  bool
}

// Changed returns how many slots of the state the merge changed.
func (r Report) Changed() int {
	return r.count(func(c state.Change) bool { return c.Outcome.Changes() })
}

// Refused returns how many slots were refused, or could not be read. What is over a quota that is
// set here is as it should be.
func (r Report) Refused() int {
	return r.count(func(c state.Change) bool {
		return c.Outcome.Refuses() && !errors.Is(c.Err, ErrQuota) || c.Outcome == state.Incomplete
	})
}

func (r Report) count(is func(state.Change) bool) int {
	n := 0
	for _, c := range r.Changes {
		if is(c) {
			n++
		}
	}
	return n
}

// errDryRun ends a commit that is not to be made.
var errDryRun = errors.New("dry run")

// Node merges the root of the node that stands at a path such as nodes/ID into the root of r. If
// all that is new in it cannot be had, the error says why, and nothing is committed; nor is
// anything after a [BrakeError].
func Node(ctx context.Context, r *repo.Repo, command string, at path.Path, opt Options) (Report, error) {
	report := Report{Path: at, DryRun: opt.DryRun, Paths: map[shared.PathOutcome]int64{}}
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
	m := merger{opt: opt, report: &report}
	err = m.run(ctx, r, command, e.Link.Target())
	return report, err
}

// run merges the node c, which report.Node is, and tells what it did.
func (m *merger) run(ctx context.Context, r *repo.Repo, command string, c cid.Cid) (err error) {
	if err := r.BeginWriting(ctx); err != nil {
		return err
	}
	base := r.Store()
	if m.opt.DryRun {
		aside := &scratch{Store: base}
		defer func() { err = errors.Join(err, aside.Close()) }()
		base = aside
	}
	sources := append(Sources(m.report.Node, m.opt), m.opt.Gateways...)
	f := exchange.NewFetcher(base, append(sources, Network(r)...), m.opt.Fetch)
	defer f.Close()
	m.fetcher = f
	var failed error
	err = r.UpdateOver(ctx, command, f, func(ctx context.Context, tx *repo.Tx) error {
		m.tx, m.stopped = tx, nil
		err := m.node(ctx, c)
		if m.opt.DryRun {
			failed = err // and not handed on, as some errors want something committed
			return errDryRun
		}
		if err != nil {
			return err
		}
		return f.Commit(ctx)
	})
	m.report.Fetched, m.report.Aside = f.Stats(), f.Aside()
	if m.opt.DryRun && errors.Is(err, errDryRun) {
		err = failed
	} else if err != nil {
		return errors.Join(err, f.Commit(context.WithoutCancel(ctx))) // so that the next try goes on from here
	}
	if err == nil {
		err = m.failure
	}
	if err != nil {
		return err
	}
	return errors.Join(m.tell(ctx), m.stopped)
}
