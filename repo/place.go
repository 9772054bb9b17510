package repo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"archivecache/store"
	"archivecache/store/embedded"
	"archivecache/store/kubo"
	"archivecache/store/tiered"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// A Place says where a repository keeps its blocks.
type Place struct {
	// Store is "" or [Embedded] for the folder of the repository, or [Kubo] for an IPFS daemon.
	Store string
	// API is the multiaddr of the RPC API of the daemon; "" is the one that $IPFS_PATH names.
	API string
}

// Kinds of stores.
const (
	Embedded = "embedded"
	Kubo     = "kubo"
)

// ErrStore is a kind of store that does not exist.
var ErrStore = errors.New("there is no such store; " + Embedded + " and " + Kubo + " are what there is")

// Settings of the repository that say where its blocks are.
const (
	storeSetting = "store"
	apiSetting   = "store.api"
	pinsSetting  = "store.pins" // what the pins in the daemon are named after
	peerSetting  = "store.peer" // the peer id of the daemon
	// folderSetting is the folder in which that was said, as Repo.folder has it.
	folderSetting = "store.folder"
)

func (p Place) format() string {
	if p.Store == Kubo {
		return formatTiered
	}
	return format
}

// check returns an error if there is no such place, or nobody answers there.
func (p Place) check(ctx context.Context) error {
	switch p.Store {
	case "", Embedded:
		if p.API != "" {
			return fmt.Errorf("%w: the address of an API is for %s", ErrStore, Kubo)
		}
		return nil
	case Kubo:
		d, err := (&daemon{api: p.API, pins: "check"}).open(ctx)
		if err != nil {
			return err
		}
		for _, err := range d.Pins(ctx) { // the proxy of a cluster answers the first call as a daemon does
			return err
		}
		return nil
	}
	return fmt.Errorf("%q: %w", p.Store, ErrStore)
}

// blocks are what a repository keeps blocks in.
type blocks interface {
	store.Store
	GetMany(ctx context.Context, cids []cid.Cid, fn func(i int, data []byte, err error) error) error
	begin() writer

	// What follows is as in package store/embedded.

	Measure(ctx context.Context, keep func(store.Digest) bool) (store.Swept, error)
	Sweep(ctx context.Context, keep func(store.Digest) bool) (store.Swept, func(context.Context) error, error)
	Check(ctx context.Context, fn func(d store.Digest, size int64, err error) error) error
	CheckDatabase(ctx context.Context) ([]string, error)
	Drop(ctx context.Context, damaged []store.Digest) error
}

// A writer is a batch whose commit can carry further changes to the database.
type writer interface {
	store.Writer
	CommitWith(ctx context.Context, fn func(*sqlite3.Conn) error) error
}

// inFolder keeps all blocks in the folder of the repository, which closes it.
type inFolder struct{ *embedded.Store }

func (f inFolder) begin() writer { return f.NewWriter() }
func (f inFolder) Close() error  { return nil }

// Place returns where the blocks are.
func (r *Repo) Place(ctx context.Context) (Place, error) {
	if r.daemon == nil {
		return Place{Store: Embedded}, nil
	}
	api, err := r.Setting(ctx, apiSetting)
	return Place{Store: Kubo, API: api}, err
}

// setPlace records where the blocks are, and goes on with that.
func (r *Repo) setPlace(ctx context.Context, p Place) error {
	if p.Store != Kubo {
		return nil
	}
	if _, err := r.preparePins(ctx, p); err != nil {
		return err
	}
	folder, err := r.folder()
	if err != nil {
		return fmt.Errorf("choose the store: %w", err)
	}
	err = r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		for name, value := range map[string]string{storeSetting: p.Store, apiSetting: p.API, folderSetting: folder} {
			if err := putSetting(c, name, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("choose the store: %w", explain(err))
	}
	return r.openPlace(ctx)
}

func putSetting(c *sqlite3.Conn, name, value string) error {
	if value == "" {
		return exec(c, "DELETE FROM setting WHERE name = ?", name)
	}
	return exec(c, "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", name, value)
}

// preparePins makes the table of what is in a daemon, and returns what the pins there are named
// after, which is drawn at random. If a move to the same daemon was interrupted both are there
// already; what stands in the table of another daemon says nothing.
func (r *Repo) preparePins(ctx context.Context, p Place) (string, error) {
	peer, err := (&daemon{api: p.API, pins: "check"}).peer(ctx)
	if err != nil {
		return "", err
	}
	known, err := r.Setting(ctx, peerSetting)
	if err != nil {
		return "", err
	}
	pins, err := r.Setting(ctx, pinsSetting)
	if err != nil || pins != "" && known == peer {
		return pins, err
	}
	random := make([]byte, 8)
	rand.Read(random) // never fails
	pins = hex.EncodeToString(random)
	err = r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		return errors.Join(
			c.Exec(tiered.Schema), exec(c, "DELETE FROM remote"),
			putSetting(c, pinsSetting, pins), putSetting(c, peerSetting, peer),
		)
	})
	if err != nil {
		return "", fmt.Errorf("choose the store: %w", explain(err))
	}
	return pins, nil
}

// openPlace goes on with the store that the settings name.
func (r *Repo) openPlace(ctx context.Context) error {
	kind, err := r.Setting(ctx, storeSetting)
	if err != nil {
		return err
	}
	api, err := r.Setting(ctx, apiSetting)
	if err != nil {
		return err
	}
	pins, err := r.Setting(ctx, pinsSetting)
	if err != nil {
		return err
	}
	if kind != Kubo || pins == "" {
		return fmt.Errorf("%w: its settings name the store %q", ErrDamaged, kind)
	}
	r.daemon = &daemon{api: api, pins: pins}
	r.store = inTiers{r.daemon.tiers(r), r.local, r}
	return nil
}

// Network asks the IPFS network for a block, by the daemon that is the store. It is nil without
// one.
func (r *Repo) Network() func(context.Context, cid.Cid) ([]byte, error) {
	if r.daemon == nil {
		return nil
	}
	return func(ctx context.Context, c cid.Cid) ([]byte, error) {
		d, err := r.daemon.open(ctx)
		if err != nil {
			return nil, err
		}
		return d.Fetch(ctx, c)
	}
}

// A daemon is connected to when it is needed first.
type daemon struct {
	api, pins string

	mu   sync.Mutex
	kubo *kubo.Daemon
}

func (d *daemon) open(ctx context.Context) (*kubo.Daemon, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kubo == nil {
		k, err := kubo.Open(ctx, d.api, kubo.Options{Name: d.pins})
		if err != nil {
			return nil, err
		}
		d.kubo = k
	}
	return d.kubo, nil
}

// peer returns the peer id of the daemon.
func (d *daemon) peer(ctx context.Context) (string, error) {
	k, err := d.open(ctx)
	if err != nil {
		return "", err
	}
	peer, _, err := k.ID(ctx)
	return peer, err
}
