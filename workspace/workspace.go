// Package workspace is the tree as files and directories that can be written, for a mount and for
// WebDAV: what is committed, and on top of it the changes that are not yet.
//
// # Changes
//
// What is written to a file goes into a local file of the same length, with holes where nothing was
// written; what is renamed, made or removed changes nodes in memory. All of it is in a journal
// before the call returns, so that it outlives the process, and what was synced outlives the
// machine. A short while after the first change all are committed together: their chunks are hashed
// and put into the store, those of a file that did not change are not even read, and the changed
// paths are put on the tree of the head, whatever else was committed to that meanwhile. So a commit
// by somebody else is never undone, but where both changed the same file the last one stays.
//
// # Folder
//
// In the folder workspaces of the repository each writable workspace has one of its own:
//
//	lock             locked for as long as the process lives
//	NUMBER.journal   what was changed (type statement), one for each commit that is not done
//	N                local files, in the order in which they were begun
//
// The setting workspace/ID of the repository has the number of the last journal that is committed,
// written with that commit. Whoever opens a workspace first commits what killed ones have left, and
// takes their folders away.
//
// # Following
//
// The head is looked at ten times a second. If somebody else has committed, what differs and is
// known here is told to whoever watches, so that no cache shows what was.
package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// Options say how a workspace is opened.
type Options struct {
	Identity string // the path of the author; "" is the first identity
	ReadOnly bool
	At       cid.Cid       // the tree to show; undefined is that of the head, now and later
	Timeout  time.Duration // how long to wait for a block; 0 is DefaultTimeout
	Command  string        // the name in the log
	// Missing returns a block that is not here, from elsewhere and verified; nil is nobody to ask.
	Missing func(context.Context, cid.Cid) ([]byte, error)
	Log     func(format string, args ...any)
	Watch   func(Event) // is told what others have changed; it must not call back into the workspace at once
}

// DefaultTimeout is how long a read waits for a block.
const DefaultTimeout = 20 * time.Second

// An Event is a change by somebody else. With a name it is the entry of that name in the directory
// Node that differs; without one it is the content of Node.
type Event struct {
	Node *Node
	Name string
}

// A Workspace is open until it is closed, and safe for use by several goroutines.
type Workspace struct {
	repo   *repo.Repo
	blocks reading
	opt    Options
	chunks *chunkCache
	top    *Node

	mu         sync.RWMutex
	numbers    map[uint64]*Node
	lastNumber uint64
	head       view
	lastChange uint64
	dirty      map[*Node]struct{}   // directories with changed names
	fresh      map[*Node]struct{}   // nodes whose attributes are not committed
	ours       map[cid.Cid]struct{} // what was committed at places that were changed since
	steps      []func(*repo.Tx)     // what becomes of recorded attributes, in this order
	journals   []*journal           // that are not committed; the last is the one that is written to
	done       uint64               // number of the last journal that is committed
	events     []Event
	again      bool      // a directory was read while the head was followed
	behind     bool      // a commit was done that could not be followed yet
	foreign    bool      // somebody else has committed something of what is followed
	lastWrite  time.Time // when lastChange was

	journal  atomic.Pointer[journal] // that is written to; nil is none
	folder   string
	lock     *os.File
	id       string
	locals   locals
	moved    map[string]bool  // paths that something is moved from, in the record that is read
	replayed map[uint64]*file // by the numbers of their local files, while journals are read

	started    time.Time  // of the commit that was the head when the workspace was opened
	committing sync.Mutex // held while something is committed
	following  sync.Mutex // held while the head moves, or is followed; after committing, and before mu
	wake       chan struct{}
	stop       chan struct{}
	closed     atomic.Bool // nothing is written any more
	said       atomic.Pointer[string]
	stopped    sync.WaitGroup
}

// reading reads blocks that are here, and others from elsewhere.
type reading struct {
	store.Getter
	missing func(context.Context, cid.Cid) ([]byte, error)
}

// Get implements [store.Getter].
func (r reading) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := r.Getter.Get(ctx, c)
	if r.missing != nil && errors.Is(err, store.ErrNotFound) {
		return r.missing(ctx, c)
	}
	return data, err
}

// A view is what the head shows.
type view struct {
	repo.Head
	author cid.Cid                    // undefined if there is no identity
	places map[string]*tree.Directory // by where they are shown
	since  time.Time                  // of the commit
}

// Open opens a workspace. It must be closed before r is. r is for the workspace alone, unless it is
// read only.
func Open(ctx context.Context, r *repo.Repo, opt Options) (*Workspace, error) {
	ws, err := open(ctx, r, opt)
	if err == nil {
		ws.stopped.Go(ws.work)
		ws.stopped.Go(ws.watch)
	}
	return ws, err
}

// open opens a workspace that commits and follows only when it is told to.
func open(ctx context.Context, r *repo.Repo, opt Options) (*Workspace, error) {
	ws := &Workspace{
		repo: r, blocks: reading{r.Store(), opt.Missing}, opt: opt, chunks: newChunkCache(maxCachedChunks), numbers: map[uint64]*Node{},
		dirty: map[*Node]struct{}{}, fresh: map[*Node]struct{}{}, replayed: map[uint64]*file{}, ours: map[cid.Cid]struct{}{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if ws.opt.Timeout == 0 {
		ws.opt.Timeout = DefaultTimeout
	}
	if opt.At.Defined() {
		ws.opt.ReadOnly = true
	}
	var err error
	if ws.head, err = ws.look(ctx); err != nil {
		return nil, err
	}
	ws.started = ws.head.since
	ws.forgetAll()
	if !ws.opt.ReadOnly {
		if err := ws.beginWriting(ctx); err != nil {
			return nil, err
		}
	}
	return ws, nil
}

// forgetAll begins with no nodes but the top.
func (ws *Workspace) forgetAll() {
	clear(ws.numbers)
	clear(ws.dirty)
	clear(ws.fresh)
	ws.top = ws.newNode(unixfs.Directory, nil, "")
	ws.top.placed = true
	ws.top.dir.local = &localDir{}
}

// Close commits what is left and closes the workspace. What is still written meanwhile is refused.
func (ws *Workspace) Close(ctx context.Context) error {
	ws.closed.Store(true)
	close(ws.stop)
	ws.stopped.Wait()
	if ws.opt.ReadOnly {
		return nil
	}
	err := errors.Join(ws.Commit(ctx), ws.syncJournals())
	if err != nil {
		err = fmt.Errorf("%w; what is not committed stays in %s, and is committed when the tree is mounted the next time", err, ws.folder)
	}
	return errors.Join(err, ws.endWriting(err == nil))
}

// Top returns the directory that holds all others.
func (ws *Workspace) Top() *Node { return ws.top }

// Dir returns the folder of the repository.
func (ws *Workspace) Dir() string { return ws.repo.Dir() }

func (ws *Workspace) log(format string, args ...any) {
	if ws.opt.Log != nil {
		ws.opt.Log(format, args...)
	}
}

// tree opens the tree that is shown.
func (ws *Workspace) tree(ctx context.Context) (*tree.Tree, repo.Head, error) {
	if ws.opt.At.Defined() {
		return ws.repo.TreeAt(ws.opt.At), repo.Head{Cid: ws.opt.At}, nil
	}
	return ws.repo.TreeOfHead(ctx)
}

// look reads what the head shows.
func (ws *Workspace) look(ctx context.Context) (view, error) {
	t, head, err := ws.tree(ctx)
	if err != nil {
		return view{}, err
	}
	v := view{Head: head, places: map[string]*tree.Directory{}, since: time.Now()}
	if entries, err := ws.repo.Log(ctx, head.Entry+1, 1); err == nil && len(entries) > 0 {
		v.since = entries[0].Time
	}
	v.author, err = ws.repo.Author(ctx, t, ws.opt.Identity)
	if errors.Is(err, repo.ErrNoIdentity) && ws.opt.Identity == "" {
		err = nil
	}
	if err != nil {
		return view{}, err
	}
	root, err := t.Root(ctx)
	if err != nil {
		return view{}, err
	}
	dirs, err := root.Directories(ctx)
	for _, d := range dirs {
		if !d.Shown.IsTop() {
			v.places[d.Shown.String()] = d
		}
	}
	return v, err
}
