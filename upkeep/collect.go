// Package upkeep frees what a repository does not need any more, checks that what it needs is there,
// and has others keep what it has published.
//
// # Garbage
//
// Package repo says what has to stay. Everything that hangs from that and is there is live, also
// below blocks that are malformed; what is missing, such as content of others that was not
// downloaded, may be. All else is garbage. The live blocks are found while others work; then,
// while nobody writes, what has changed since is looked at, and the rest is dropped.
//
// # Pinning services
//
// Each is to keep the newest node of each of one's own identities, under a name that follows from the
// identity. What it keeps it says itself, so nothing is remembered here: what it lacks it is asked
// for, and what the newest node replaces is let go once that is at enough places.
package upkeep

import (
	"context"
	"fmt"
	"time"

	"archivecache/exchange"
	"archivecache/repo"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// ImportAge is how long blocks of CARs stay although nothing points to them, unless something else
// is said.
const ImportAge = 30 * 24 * time.Hour

// Collected is what a collection did.
type Collected struct {
	store.Swept
	Live int64 // blocks that are needed; some of them may not be here
}

// Collect drops all garbage. Imports count that are at most so old. A damaged block from which
// others hang is an error, and nothing is dropped then.
func Collect(ctx context.Context, r *repo.Repo, age time.Duration) (Collected, error) {
	since := time.Now().Add(-age)
	l := &live{repo: r, since: since}
	if err := l.add(ctx); err != nil {
		return Collected{}, err
	}
	swept, err := r.Sweep(ctx, since, func() error { return l.add(ctx) }, l.set.Has)
	return Collected{swept, int64(l.set.Len())}, err
}

// Measure returns what [Collect] would drop now. It waits for nobody.
func Measure(ctx context.Context, r *repo.Repo, age time.Duration) (Collected, error) {
	l := &live{repo: r, since: time.Now().Add(-age)}
	if err := l.add(ctx); err != nil {
		return Collected{}, err
	}
	swept, err := r.Measure(ctx, l.set.Has)
	return Collected{swept, int64(l.set.Len())}, err
}

// live finds what is needed.
type live struct {
	repo  *repo.Repo
	since time.Time
	set   exchange.Live
}

// add adds what is needed by now to what was needed before.
func (l *live) add(ctx context.Context) error {
	var roots []cid.Cid
	err := l.repo.Roots(ctx, l.since, func(c cid.Cid) error {
		roots = append(roots, c)
		return nil
	})
	if err == nil {
		err = l.set.Add(ctx, l.repo.Store(), roots)
	}
	if err != nil {
		return fmt.Errorf("what is needed: %w", err)
	}
	return nil
}
