package kubo_test

import (
	"testing"

	"archivecache/internal/kubotest"
	"archivecache/store"
	"archivecache/store/kubo"
	"archivecache/store/storetest"
)

// open opens the daemon at an address under a name.
func open(t testing.TB, api, name string) *kubo.Daemon {
	t.Helper()
	return openWith(t, api, kubo.Options{Name: name})
}

func openWith(t testing.TB, api string, opt kubo.Options) *kubo.Daemon {
	t.Helper()
	d, err := kubo.Open(t.Context(), api, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestStore runs the suite; no two of its tests use the same blocks, so that one daemon serves all.
func TestStore(t *testing.T) {
	k := kubotest.Daemon(t, kubotest.Offline)
	storetest.Test(t, func(t *testing.T) store.Store { return open(t, k.API, "suite").Store() })
	t.Run("shared", func(t *testing.T) {
		storetest.TestShared(t, func(t *testing.T) (a, b store.Store) {
			return open(t, k.API, "suite").Store(), open(t, k.API, "suite").Store()
		})
	})
}
