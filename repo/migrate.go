package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"archivecache/store"
	"archivecache/store/kubo"
	"archivecache/store/tiered"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
	"github.com/ncruces/go-sqlite3"
)

// ErrThere is a repository that keeps its blocks at the place that it is to be moved to.
var ErrThere = errors.New("the blocks are there already")

// ErrOtherDaemon is a daemon to which blocks cannot be moved from another daemon at once.
var ErrOtherDaemon = errors.New("that daemon does not have what this repository has written")

// copyBatch is how many blocks are read at a time when they are moved.
const copyBatch = 256

// Moved says how far a move is.
type Moved struct {
	Blocks int64
	Bytes  int64
}

// Migrate moves the blocks of the repository to another place, and reads all of them there before
// it counts on them. Interrupted at any moment the repository is as before or as after, and
// Migrate goes on where it was; what others write meanwhile comes along. From one daemon to another
// the way leads over the folder, unless the other has everything: it may be the same one at
// another address.
func (r *Repo) Migrate(ctx context.Context, to Place, progress func(Moved)) error {
	from, err := r.Place(ctx)
	if err != nil {
		return err
	}
	if to.Store == "" {
		to.Store = Embedded
	}
	if err := to.check(ctx); err != nil {
		return err
	}
	m := &migration{r: r, progress: progress}
	switch {
	case from == to:
		return fmt.Errorf("%s: %w", to.Store, ErrThere)
	case from.Store == to.Store:
		return m.otherAddress(ctx, to)
	case to.Store == Kubo:
		return m.toDaemon(ctx, to)
	}
	return m.toFolder(ctx)
}

// A migration is a move of all blocks.
type migration struct {
	r        *Repo
	moved    Moved
	progress func(Moved)
}

// toDaemon copies the blocks of the folder into a daemon.
func (m *migration) toDaemon(ctx context.Context, to Place) error {
	pins, err := m.r.preparePins(ctx, to)
	if err != nil {
		return err
	}
	d := &daemon{api: to.API, pins: pins}
	tiers := d.tiers(m.r)
	defer tiers.Close()
	absent := without(m.r.local.All(ctx), func(c cid.Cid) (bool, error) { return tiers.Keeps(ctx, c) })
	if err := m.copy(ctx, absent, m.r.local, tiers.NewWriter()); err != nil {
		return err
	}
	remote, err := tiers.Remote(ctx)
	if err != nil {
		return err
	}
	if err := m.read(ctx, m.r.local.All(ctx), remote); err != nil {
		return err
	}
	return m.r.alone(ctx, func() error {
		if err := m.late(ctx, absent, m.r.local, tiers.NewWriter(), remote); err != nil {
			return err
		}
		if err := m.r.setPlace(ctx, to); err != nil {
			return err
		}
		return writeFormat(m.r.dir, to.format())
	})
}

// toFolder copies the blocks that a daemon keeps into the folder.
func (m *migration) toFolder(ctx context.Context) error {
	tiers := m.r.store.(inTiers)
	absent := without(tiers.Kept(ctx), func(c cid.Cid) (bool, error) { return m.r.localHas(ctx, c) })
	if err := m.copy(ctx, absent, tiers, m.r.local.NewWriter()); err != nil {
		return err
	}
	if err := m.read(ctx, tiers.Kept(ctx), m.r.local); err != nil {
		return err
	}
	return m.r.alone(ctx, func() error {
		if err := m.late(ctx, absent, tiers, m.r.local.NewWriter(), m.r.local); err != nil {
			return err
		}
		return m.leaveDaemon(ctx)
	})
}

// late moves the blocks that have come meanwhile, while nobody writes, and reads those as well.
func (m *migration) late(ctx context.Context, absent iter.Seq2[store.Digest, error], from getter, w store.Writer, to getter) error {
	var late []store.Digest
	for d, err := range absent {
		if err != nil {
			return errors.Join(err, w.Close())
		}
		late = append(late, d)
	}
	all := func(yield func(store.Digest, error) bool) {
		for _, d := range late {
			if !yield(d, nil) {
				return
			}
		}
	}
	if err := m.copy(ctx, all, from, w); err != nil {
		return err
	}
	return m.read(ctx, all, to)
}

func (r *Repo) localHas(ctx context.Context, c cid.Cid) (bool, error) {
	has, err := r.local.Has(ctx, []cid.Cid{c})
	return err == nil && has[0], err
}

// without yields those of the blocks that has does not say yes to.
func without(all iter.Seq2[store.Digest, error], has func(cid.Cid) (bool, error)) iter.Seq2[store.Digest, error] {
	return func(yield func(store.Digest, error) bool) {
		for d, err := range all {
			there := false
			if err == nil {
				there, err = has(rawCid(d))
			}
			if there && err == nil {
				continue
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// leaveDaemon goes on with the folder, in which all blocks are, and lets the daemon have its room
// back.
func (m *migration) leaveDaemon(ctx context.Context) error {
	d, err := m.r.daemon.open(ctx)
	if err != nil {
		return err
	}
	if err := writeFormat(m.r.dir, format); err != nil {
		return err
	}
	sole := m.r.checkSole(ctx)
	m.r.store, m.r.daemon = inFolder{m.r.local}, nil
	// First nothing may count on the daemon any more.
	err = m.r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		return errors.Join(c.Exec("DROP TABLE remote"), exec(c, "DELETE FROM setting WHERE name IN (?, ?, ?, ?, ?)",
			storeSetting, apiSetting, pinsSetting, peerSetting, folderSetting))
	})
	switch {
	case err != nil:
		return fmt.Errorf("leave the daemon: %w", explain(err))
	case errors.Is(sole, ErrCopied):
		return nil // the other one needs what is there
	case sole != nil:
		return sole
	}
	_, err = d.Store().Compact(ctx, kubo.CompactOptions{Keep: func(store.Digest) bool { return false }})
	return err
}

// otherAddress goes on with the same daemon at another address, or with a copy of it.
func (m *migration) otherAddress(ctx context.Context, to Place) error {
	other := &daemon{api: to.API, pins: m.r.daemon.pins}
	d, err := other.open(ctx)
	if err != nil {
		return err
	}
	peer, err := other.peer(ctx)
	if err != nil {
		return err
	}
	there := map[store.Digest]bool{}
	err = d.Store().Each(ctx, func(digest store.Digest, _ int64) error {
		there[digest] = true
		return nil
	})
	if err != nil {
		return err
	}
	for digest, err := range m.r.store.(inTiers).Kept(ctx) {
		if err != nil {
			return err
		}
		if !there[digest] {
			return fmt.Errorf("%s: %w: block %s", d.Address(), ErrOtherDaemon, rawCid(digest))
		}
	}
	// What the table says holds for it as well.
	err = m.r.db.Write(ctx, true, func(c *sqlite3.Conn) error { return putSetting(c, peerSetting, peer) })
	if err != nil {
		return fmt.Errorf("choose the store: %w", explain(err))
	}
	return m.r.setPlace(ctx, to)
}

// rawCid returns the CID by which a block is asked for whose codec is not known: stores do not tell
// them apart.
func rawCid(d store.Digest) cid.Cid {
	return cid.NewCidV1(cid.Raw, append(mh.Multihash{mh.SHA2_256, byte(len(d))}, d[:]...))
}

// copy puts those of the blocks into w that are in from.
func (m *migration) copy(ctx context.Context, all iter.Seq2[store.Digest, error], from getter, w store.Writer) error {
	defer w.Close()
	err := m.pages(ctx, all, from, func(c cid.Cid, data []byte) error {
		m.moved = Moved{m.moved.Blocks + 1, m.moved.Bytes + int64(len(data))}
		m.progress(m.moved)
		return w.Put(ctx, store.Block{Cid: c, Data: bytes.Clone(data)})
	})
	if err != nil {
		return err
	}
	return w.Commit(ctx)
}

// read reads the blocks, which verifies them.
func (m *migration) read(ctx context.Context, all iter.Seq2[store.Digest, error], from getter) error {
	return m.pages(ctx, all, from, func(cid.Cid, []byte) error { return nil })
}

// getter reads many blocks at a time.
type getter interface {
	GetMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error
}

// pages calls fn with all the blocks.
func (m *migration) pages(ctx context.Context, all iter.Seq2[store.Digest, error], from getter, fn func(cid.Cid, []byte) error) error {
	return eachPage(all, func(page []cid.Cid) error {
		return from.GetMany(ctx, page, func(i int, data []byte, err error) error {
			if err != nil {
				return fmt.Errorf("move: %w", err)
			}
			return fn(page[i], data)
		})
	})
}

// eachPage calls fn with some hundred of the blocks at a time.
func eachPage(all iter.Seq2[store.Digest, error], fn func([]cid.Cid) error) error {
	var page []cid.Cid
	for d, err := range all {
		if err != nil {
			return err
		}
		if page = append(page, rawCid(d)); len(page) < copyBatch {
			continue
		}
		if err := fn(page); err != nil {
			return err
		}
		page = page[:0]
	}
	return fn(page)
}

// tiers returns the store of which the daemon is the lower tier.
func (d *daemon) tiers(r *Repo) *tiered.Store {
	return tiered.New(r.db, r.local, func(ctx context.Context) (tiered.Remote, error) {
		k, err := d.open(ctx)
		if err != nil {
			return nil, err
		}
		return k.Store(), nil
	})
}
