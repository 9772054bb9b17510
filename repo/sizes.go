package repo

import (
	"context"
	"errors"

	"archivecache/internal/sqlite"
	"archivecache/tree"
	"archivecache/tree/shared"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// sizes are [shared.Sizes]: those in the database, and those that were measured since.
type sizes struct {
	repo     *Repo
	measured map[cid.Cid]shared.Size
}

// Sizes returns the sizes that are known; the commit writes what is measured.
func (tx *Tx) Sizes() shared.Sizes { return tx.sizes }

func newSizes(r *Repo) *sizes { return &sizes{r, map[cid.Cid]shared.Size{}} }

// Size returns a size that is known.
func (s *sizes) Size(ctx context.Context, c cid.Cid) (size shared.Size, known bool, err error) {
	if size, known = s.measured[c]; known {
		return size, true, nil
	}
	err = s.repo.db.Read(ctx, func(conn *sqlite3.Conn) error {
		st, err := sqlite.Stmt(conn, "SELECT entries, bytes FROM size WHERE cid = ?")
		if err != nil {
			return err
		}
		if err := st.BindBlob(1, c.Bytes()); err != nil {
			return err
		}
		if known = st.Step(); known {
			size = shared.Size{Entries: uint64(st.ColumnInt64(0)), Bytes: uint64(st.ColumnInt64(1))}
		}
		return errors.Join(st.Err(), st.Reset())
	})
	return size, known, explain(err)
}

// SetSize remembers a size until the next commit, which writes it.
func (s *sizes) SetSize(c cid.Cid, size shared.Size) { s.measured[c] = size }

func (s *sizes) write(c *sqlite3.Conn) error {
	for id, size := range s.measured {
		err := exec(c, "INSERT OR REPLACE INTO size (cid, entries, bytes) VALUES (?, ?, ?)",
			id.Bytes(), int64(size.Entries), int64(size.Bytes))
		if err != nil {
			return err
		}
	}
	return nil
}

// trusts returns what tells how much counts in the root of the tree t, which is not edited.
func (r *Repo) trusts(t *tree.Tree) func(context.Context) (tree.Trusts, error) {
	return func(ctx context.Context) (tree.Trusts, error) {
		if _, err := t.Get(ctx, TrustPath); errors.Is(err, tree.ErrNotFound) {
			return tree.Trusts{}, nil
		}
		authors, err := AuthorsOf(ctx, t)
		return authors.trusts(newSizes(r)), err
	}
}
