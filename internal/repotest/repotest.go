// Package repotest makes repositories for tests.
package repotest

import (
	"context"
	"path/filepath"
	"testing"

	"archivecache/identity"
	"archivecache/repo"
	"archivecache/tree/path"
	"archivecache/tree/reference"
)

// New makes a repository with an identity at identities/me, whose key nobody has, and the shared
// directory root/forum. It returns its folder; nothing has it open.
func New(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	forum := reference.Founding{Policy: reference.SharedPolicy, Path: "root/forum"}
	r, err := repo.Initialize(t.Context(), dir, []reference.Founding{forum}, repo.Place{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	secret, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	err = r.Update(t.Context(), "new-identity", func(ctx context.Context, tx *repo.Tx) error {
		return tx.AddIdentity(ctx, path.MustParse("identities/me"), secret.Document())
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
