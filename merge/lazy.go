package merge

import (
	"context"
	"errors"
	"sync"
	"time"

	"archivecache/exchange"
	"archivecache/repo"

	"github.com/ipfs/go-cid"
)

// A Lazy fetches blocks of a repository that are missing, one by one as somebody reads them, from
// the addresses in all nodes that are known and from the gateways. It is for a process that goes on
// for long: what it has fetched is committed after a while without news, and sources that failed are
// asked again then.
type Lazy struct {
	dir string
	opt Options

	mu   sync.Mutex
	open *lazy
	ends *time.Timer
}

// lazy is what fetches for a while.
type lazy struct {
	repo    *repo.Repo
	fetcher *exchange.Fetcher
	users   sync.WaitGroup
	begun   time.Time
}

const (
	// lazyIdle is after how long without a block what was fetched is committed.
	lazyIdle = 5 * time.Second
	// lazyMost is for how long sources that failed are not asked again.
	lazyMost = time.Minute
)

// NewLazy returns a Lazy for the repository in the folder dir. Close it in the end.
func NewLazy(dir string, opt Options) *Lazy { return &Lazy{dir: dir, opt: opt} }

// Get returns the bytes of the block c, verified.
func (l *Lazy) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	now, err := l.take(ctx)
	if err != nil {
		return nil, err
	}
	defer now.users.Done()
	return now.fetcher.Get(ctx, c)
}

// take returns what fetches now, for one more user.
func (l *Lazy) take(ctx context.Context) (*lazy, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open != nil && time.Since(l.open.begun) > lazyMost {
		go l.open.end() // when those who use it are done
		l.open = nil
	}
	if l.open == nil {
		next, err := l.begin(ctx)
		if err != nil {
			return nil, err
		}
		l.open = next
	}
	if l.ends != nil {
		l.ends.Stop()
	}
	l.ends = time.AfterFunc(lazyIdle, func() { l.Close() })
	l.open.users.Add(1)
	return l.open, nil
}

// begin opens the repository once more: as long as it is open no block of it goes away.
func (l *Lazy) begin(ctx context.Context) (*lazy, error) {
	r, err := repo.Open(l.dir)
	if err != nil {
		return nil, err
	}
	t, err := r.Tree(ctx)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	sources, err := AllSources(ctx, t, l.opt)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	sources = append(append(sources, l.opt.Gateways...), Network(r)...)
	return &lazy{repo: r, fetcher: exchange.NewFetcher(r.Store(), sources, l.opt.Fetch), begun: time.Now()}, nil
}

// Close commits what was fetched. The next Get begins anew.
func (l *Lazy) Close() error {
	l.mu.Lock()
	open := l.open
	l.open = nil
	if l.ends != nil {
		l.ends.Stop()
	}
	l.mu.Unlock()
	if open == nil {
		return nil
	}
	return open.end()
}

// end commits what was fetched, once nobody uses it any more.
func (l *lazy) end() error {
	l.users.Wait()
	return errors.Join(l.fetcher.Commit(context.Background()), l.fetcher.Close(), l.repo.Close())
}
