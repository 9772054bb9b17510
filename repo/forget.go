package repo

import (
	"context"
	"errors"
	"fmt"

	"archivecache/internal/sqlite"
	"archivecache/tree"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// Reasons why an author cannot be forgotten.
var (
	ErrOwnIdentity   = errors.New("an identity of your own")
	ErrUnknownAuthor = errors.New("nothing is known of that author")
)

// ForgetAuthor removes an author from the tree: as a friend, with settings and node, and all that
// they wrote below root; and from the memory beside it: marks, and what was merged. Old references
// of theirs cannot be told from new ones then. It reports whether they are accepted all the same,
// through a friend, so that the next merge brings back what they wrote.
func (tx *Tx) ForgetAuthor(ctx context.Context, id cid.Cid) (accepted bool, err error) {
	authors, err := tx.Accepted(ctx)
	if err != nil {
		return false, err
	}
	if p, own := authors.Own[id]; own {
		return false, fmt.Errorf("%s: %w: %s", id, ErrOwnIdentity, p)
	}
	known, err := tx.repo.remembers(ctx, id)
	if err != nil {
		return false, err
	}
	for _, top := range []path.Path{FriendsPath, NodesPath} {
		p, err := top.Join(id.String())
		if err != nil {
			return false, err
		}
		err = tx.Remove(ctx, p)
		if known = known || err == nil; err != nil && !errors.Is(err, tree.ErrNotFound) {
			return false, err
		}
	}
	root, err := tx.EditRoot(ctx)
	if err != nil {
		return false, err
	}
	slots, err := root.Restrict(ctx, func(author cid.Cid) bool { return !author.Equals(id) })
	if err != nil {
		return false, err
	}
	if !known && slots == 0 {
		return false, fmt.Errorf("%s: %w", id, ErrUnknownAuthor)
	}
	tx.forget = append(tx.forget, id)
	authors, err = tx.Recount(ctx)
	accepted = authors.Accepts(id)
	tx.forgetMerged = tx.forgetMerged || accepted
	return accepted, err
}

// remembers reports whether something is remembered of the author beside the tree.
func (r *Repo) remembers(ctx context.Context, author cid.Cid) (known bool, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		s, err := sqlite.Stmt(c, "SELECT 1 FROM mark WHERE substr(slot, 37) = ?1 UNION ALL SELECT 1 FROM merged WHERE author = ?1 LIMIT 1")
		if err != nil {
			return err
		}
		if err := s.BindBlob(1, author.Bytes()); err != nil {
			return err
		}
		known = s.Step()
		return errors.Join(s.Err(), s.Reset())
	})
	return known, explain(err)
}

// forgetAuthor deletes what is remembered of the author beside the tree. The sizes of what they
// wrote cannot be told from those of others; they are measured again when they are needed.
func forgetAuthor(c *sqlite3.Conn, author cid.Cid) error {
	return errors.Join(
		exec(c, "DELETE FROM mark WHERE substr(slot, 37) = ?", author.Bytes()),
		exec(c, "DELETE FROM merged WHERE author = ?", author.Bytes()),
		exec(c, "DELETE FROM size"),
	)
}
