package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"archivecache/store"
	"archivecache/store/embedded"
	"archivecache/store/kubo"
	"archivecache/store/tiered"

	"github.com/ipfs/go-cid"
)

// ErrCopied is a repository whose folder is a copy of another one that has its blocks in a daemon:
// what this one does not need the other may.
var ErrCopied = errors.New("this folder is a copy, or was restored from one, and the daemon keeps the blocks of both under one name")

// inTiers keeps most blocks elsewhere.
type inTiers struct {
	*tiered.Store
	local *embedded.Store
	repo  *Repo
}

func (t inTiers) begin() writer { return t.NewWriter() }

// Measure returns what [inTiers.Sweep] would drop.
func (t inTiers) Measure(ctx context.Context, keep func(store.Digest) bool) (store.Swept, error) {
	swept, err := t.Unwanted(ctx, keep, false)
	if err != nil {
		return swept, err
	}
	local, err := t.local.Measure(ctx, keep)
	swept.Files = local.Files
	return swept, err
}

// Sweep drops all blocks that keep does not want: from the table and the folder at once, and from
// what the daemon keeps with compact. The daemon's own collector frees their room.
func (t inTiers) Sweep(ctx context.Context, keep func(store.Digest) bool) (store.Swept, func(context.Context) error, error) {
	if err := t.repo.checkSole(ctx); err != nil {
		return store.Swept{}, nil, err
	}
	began := time.Now()
	d, err := t.repo.daemon.open(ctx)
	if err != nil {
		return store.Swept{}, nil, err
	}
	swept, err := t.Unwanted(ctx, keep, true)
	if err != nil {
		return swept, nil, err
	}
	local, compactLocal, err := t.local.Sweep(ctx, keep)
	if err != nil {
		return swept, nil, err
	}
	swept.Files = local.Files
	return swept, func(ctx context.Context) error {
		_, err := d.Store().Compact(ctx, kubo.CompactOptions{Keep: keep, Before: began})
		return errors.Join(err, compactLocal(ctx))
	}, nil
}

// Check reads every block where it is, in the folder and in the daemon, and calls fn once for each.
func (t inTiers) Check(ctx context.Context, fn func(d store.Digest, size int64, err error) error) error {
	remote, err := t.Remote(ctx)
	if err != nil {
		return err
	}
	err = eachPage(t.Kept(ctx), func(page []cid.Cid) error {
		return remote.GetMany(ctx, page, func(i int, data []byte, err error) error {
			size := int64(len(data))
			if _, localErr := t.local.Get(ctx, page[i]); !errors.Is(localErr, store.ErrNotFound) {
				err = errors.Join(err, localErr)
			}
			d, _ := store.DigestOf(page[i])
			return fn(d, size, err)
		})
	})
	if err != nil {
		return err
	}
	return t.local.Check(ctx, func(d store.Digest, size int64, err error) error {
		if kept, keptErr := t.Keeps(ctx, rawCid(d)); kept || keptErr != nil {
			return keptErr
		}
		return fn(d, size, err)
	})
}

// CheckDatabase returns what is wrong with the inner structure of the database.
func (t inTiers) CheckDatabase(ctx context.Context) ([]string, error) {
	return t.local.CheckDatabase(ctx)
}

// Drop takes damaged blocks out.
func (t inTiers) Drop(ctx context.Context, damaged []store.Digest) error {
	if err := t.local.Drop(ctx, damaged); err != nil {
		return err
	}
	return t.Forget(ctx, damaged)
}

// folder identifies the folder of the repository on this machine: a copy has another.
func (r *Repo) folder() (string, error) {
	info, err := os.Stat(filepath.Join(r.dir, "repository.db"))
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("the file system does not number its files")
	}
	return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino), nil
}

// checkSole returns an error if the folder is not the one in which the daemon was chosen as the
// store.
func (r *Repo) checkSole(ctx context.Context) error {
	known, err := r.Setting(ctx, folderSetting)
	if err != nil {
		return err
	}
	now, err := r.folder()
	if err == nil && now != known {
		err = ErrCopied
	}
	return err
}
