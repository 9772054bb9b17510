package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"syscall"
	"time"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/tree/state"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// A Tx is a commit in the making: the tree of the head, and what goes with it into the database.
type Tx struct {
	*tree.Tree
	repo     *Repo
	head     Head
	root     *tree.Root
	marks    map[reference.Slot]Mark
	merged   map[cid.Cid]cid.Cid
	settings map[string]string
	undoes   int64
	// attributes are steps that change the table of that name.
	attributes []func(*sqlite3.Conn) error

	counted      Authors // those by which root is
	sizes        *sizes
	forget       []cid.Cid // authors of whom nothing is to be remembered
	forgetMerged bool
}

// maxAttempts bounds how often a change is done again because the head moved.
const maxAttempts = 200

// turnWait is how long a process waits for its turn; others have theirs meanwhile.
const turnWait = 24 * time.Hour

var errMoved = errors.New("the head has moved")

// Update commits what fn does to the tree, with an entry in the log under the name of the
// command. If somebody else commits first, fn is called again with the new tree. Nothing is
// committed, and nothing logged, if fn returns an error or changes nothing.
func (r *Repo) Update(ctx context.Context, command string, fn func(context.Context, *Tx) error) error {
	return r.UpdateOver(ctx, command, r.store, fn)
}

// UpdateOver is Update with blocks read from base, which may know more than the store; fn makes
// durable what it read from elsewhere.
func (r *Repo) UpdateOver(ctx context.Context, command string, base store.Getter, fn func(context.Context, *Tx) error) error {
	if err := r.BeginWriting(ctx); err != nil {
		return err
	}
	unlock := func() error { return nil }
	defer func() { unlock() }()
	for attempt := range maxAttempts {
		if attempt == 1 {
			var err error
			if unlock, err = r.turn(ctx); err != nil {
				return err
			}
		}
		err := r.attempt(ctx, command, base, fn)
		if !errors.Is(err, errMoved) {
			return explain(err)
		}
	}
	return fmt.Errorf("commit: %w again and again; too many processes work on this repository", errMoved)
}

// turn waits until no other process is in its second attempt. Who gets there first in
// their first attempt may still be faster.
func (r *Repo) turn(ctx context.Context) (unlock func() error, err error) {
	f, err := r.flock(ctx, "lock", syscall.LOCK_EX, turnWait, errMoved)
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return f.Close, nil
}

func (r *Repo) attempt(ctx context.Context, command string, base store.Getter, fn func(context.Context, *Tx) error) error {
	head, err := r.Head(ctx)
	if err != nil {
		return err
	}
	overlay := store.NewOverlay(base)
	tx := &Tx{
		Tree: tree.Open(overlay, head.Cid), repo: r, head: head,
		marks: map[reference.Slot]Mark{}, merged: map[cid.Cid]cid.Cid{}, settings: map[string]string{},
		sizes: newSizes(r),
	}
	if tx.counted, err = tx.Accepted(ctx); err != nil {
		return err
	}
	trusts := tx.counted.trusts(tx.sizes)
	tx.Tree.Trusts = func(context.Context) (tree.Trusts, error) { return trusts, nil }
	kept := new(keptError)
	if err := fn(ctx, tx); err != nil && !errors.As(err, &kept) {
		return err
	}
	if err := tx.write(ctx, command, overlay); err != nil {
		return err
	}
	return kept.error
}

// Keep returns err for a function given to Update that fails, and still wants committed what it
// has learnt, such as the proof of a fork.
func Keep(err error) error { return &keptError{err} }

type keptError struct{ error }

func (e *keptError) Unwrap() error { return e.error }

// write commits the transaction.
func (tx *Tx) write(ctx context.Context, command string, overlay *store.Overlay) error {
	next, err := tx.finish(ctx)
	if err != nil {
		return err
	}
	if next.Equals(tx.head.Cid) && tx.nothingElse() {
		return nil
	}
	w := tx.repo.store.begin()
	defer w.Close()
	for _, b := range overlay.Pending() {
		if err := w.Put(ctx, b); err != nil {
			return err
		}
	}
	return w.CommitWith(ctx, func(c *sqlite3.Conn) error { return tx.commit(ctx, c, command, next) })
}

func (tx *Tx) nothingElse() bool {
	return len(tx.marks) == 0 && len(tx.merged) == 0 && len(tx.settings) == 0 && tx.undoes == 0 && !tx.forgetMerged && len(tx.forget) == 0 &&
		len(tx.attributes) == 0
}

// finish computes the root and returns the new head.
func (tx *Tx) finish(ctx context.Context) (cid.Cid, error) {
	if tx.undoes != 0 {
		return tx.Tree.Head(), nil
	}
	if _, err := tx.Recount(ctx); err != nil {
		return cid.Undef, err
	}
	if tx.root != nil {
		if err := tx.Tree.SetRoot(ctx, tx.root); err != nil {
			return cid.Undef, err
		}
	}
	return tx.Tree.Flush(ctx)
}

// EditRoot returns the root of the tree for editing. It is committed with the tree.
func (tx *Tx) EditRoot(ctx context.Context) (*tree.Root, error) {
	if tx.root == nil {
		root, err := tx.Tree.Root(ctx)
		if err != nil {
			return nil, err
		}
		tx.root = root
	}
	return tx.root, nil
}

// Repo returns the repository that the commit is for.
func (tx *Tx) Repo() *Repo { return tx.repo }

// SetSetting sets a setting of the repository; an empty value takes it away.
func (tx *Tx) SetSetting(name, value string) { tx.settings[name] = value }

// commit moves the head and writes all that goes with it.
func (tx *Tx) commit(ctx context.Context, c *sqlite3.Conn, command string, next cid.Cid) error {
	head, err := readHead(c)
	if err != nil {
		return err
	}
	if head != tx.head {
		return errMoved
	}
	entry := head.Entry
	if !next.Equals(head.Cid) || tx.undoes != 0 {
		if entry, err = tx.writeLog(ctx, c, command, next); err != nil {
			return err
		}
	}
	err = exec(c, "INSERT OR REPLACE INTO head (id, cid, entry, generation) VALUES (1, ?, ?, ?)",
		next.Bytes(), entry, head.generation+1)
	if err != nil {
		return err
	}
	return tx.writeRest(c, entry)
}

// writeRest writes what goes with the commit and is not part of the tree.
// Entry is the newest one of the log.
func (tx *Tx) writeRest(c *sqlite3.Conn, entry int64) error {
	for slot, m := range tx.marks {
		if err := writeMark(c, slot, m); err != nil {
			return err
		}
	}
	if tx.forgetMerged {
		if err := forgetMerged(c, tx.head.Entry); err != nil {
			return err
		}
	}
	for author, node := range tx.merged {
		if err := exec(c, "INSERT OR REPLACE INTO merged (author, node, entry) VALUES (?, ?, ?)", author.Bytes(), node.Bytes(), entry); err != nil {
			return err
		}
	}
	for name, value := range maps.All(tx.settings) {
		if err := putSetting(c, name, value); err != nil {
			return err
		}
	}
	if err := tx.writeAttributes(c); err != nil {
		return err
	}
	return tx.writeSizes(c)
}

func (tx *Tx) writeSizes(c *sqlite3.Conn) error {
	if err := tx.sizes.write(c); err != nil {
		return err
	}
	for _, author := range tx.forget {
		if err := forgetAuthor(c, author); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) writeLog(ctx context.Context, c *sqlite3.Conn, command string, next cid.Cid) (int64, error) {
	entry := tx.head.Entry + 1
	var before, root, undoes any
	if tx.head.Cid.Defined() {
		before = tx.head.Cid.Bytes()
	}
	if tx.undoes != 0 {
		undoes = tx.undoes
	}
	e, err := tree.Open(tx.Blocks, next).Get(ctx, path.MustParse(path.Root))
	switch {
	case err == nil:
		root = e.Link.Target().Bytes()
	case !errors.Is(err, tree.ErrNotFound):
		return 0, err
	}
	return entry, exec(c, "INSERT INTO log (id, time, command, cid, before, root, undoes) VALUES (?, ?, ?, ?, ?, ?, ?)",
		entry, time.Now().Unix(), command, next.Bytes(), before, root, undoes)
}

// exec runs a statement with the given parameters: nil, int64, string, bool or bytes.
func exec(c *sqlite3.Conn, sql string, params ...any) error {
	s, err := sqlite.Stmt(c, sql)
	if err != nil {
		return err
	}
	for i, p := range params {
		if err := bind(s, i+1, p); err != nil {
			return err
		}
	}
	s.Step()
	return s.Reset()
}

func bind(s *sqlite3.Stmt, i int, param any) error {
	switch p := param.(type) {
	case nil:
		return s.BindNull(i)
	case int64:
		return s.BindInt64(i, p)
	case bool:
		return s.BindBool(i, p)
	case string:
		return s.BindText(i, p)
	case []byte:
		if p == nil {
			return s.BindNull(i)
		}
		return s.BindBlob(i, p)
	}
	return fmt.Errorf("a parameter of type %T", param)
}

// A Mark is what is remembered of a slot outside the tree; the package comment says what the
// fields are.
type Mark struct {
	state.Mark
	Pending  *reference.Reference
	Proof    *state.Proof
	Complete bool
}
