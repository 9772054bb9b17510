package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"archivecache/internal/sqlite"
	"archivecache/store"
	"archivecache/store/kubo"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
	"github.com/ncruces/go-sqlite3"
)

// A PinningService is told to keep what is published, so that it is on more machines than the one
// with the daemon of the repository.
type PinningService struct {
	Name    string // what its user calls it; see [kubo.ValidName]
	Address string
	// Replicas is on how many of its machines an IPFS Cluster is to keep it; 0 is a service with
	// the Pinning Service API, which does not say.
	Replicas int
}

// Reasons why pinning services are refused.
var (
	ErrServiceName    = errors.New("not a name for a pinning service")
	ErrServiceThere   = errors.New("there is a pinning service of that name")
	ErrServiceUnknown = errors.New("there is no pinning service of that name")
	ErrNoDaemon       = errors.New("the blocks are in the folder of the repository, where no service can fetch them")
)

// maxToken is how long a token may be, in bytes.
const maxToken = 16 << 10

func checkServiceName(name string) error {
	if !kubo.ValidName(name) {
		return fmt.Errorf("%w: %.100q", ErrServiceName, name)
	}
	return nil
}

// tokenFile returns the file with the token of a service.
func (r *Repo) tokenFile(name string) string { return filepath.Join(r.dir, "tokens", name) }

// CheckPinningService returns an error if a service cannot be added under that name.
func (r *Repo) CheckPinningService(ctx context.Context, name string) error {
	if err := checkServiceName(name); err != nil {
		return err
	}
	if r.daemon == nil {
		return ErrNoDaemon
	}
	known, err := r.PinningServices(ctx)
	if err != nil {
		return err
	}
	return checkFree(known, name)
}

func checkFree(known []PinningService, name string) error {
	if slices.ContainsFunc(known, func(k PinningService) bool { return k.Name == name }) {
		return fmt.Errorf("%s: %w", name, ErrServiceThere)
	}
	return nil
}

// AddPinningService records a service that passes CheckPinningService, and the token by which it
// knows its user, if there is one. The token stays in a file of its own that nobody else can read.
func (r *Repo) AddPinningService(ctx context.Context, s PinningService, token string) error {
	if err := r.CheckPinningService(ctx, s.Name); err != nil {
		return err
	}
	err := r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		known, err := readServices(c)
		if err == nil {
			err = checkFree(known, s.Name) // nobody was faster
		}
		if err == nil {
			err = r.writeToken(s.Name, token) // others who want to wait for the end of this
		}
		if err != nil {
			return err
		}
		err = exec(c, "INSERT INTO pinning (name, address, replicas) VALUES (?, ?, ?)", s.Name, s.Address, int64(s.Replicas))
		if err != nil {
			err = errors.Join(err, r.writeToken(s.Name, ""))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add pinning service: %w", explain(err))
	}
	return nil
}

// writeToken makes the file of a token; without one it takes an old file away.
func (r *Repo) writeToken(name, token string) error {
	file := r.tokenFile(name)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if token == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(token)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// CheckToken reads a token as it stands in a file: one line without spaces, or nothing.
func CheckToken(text string) (string, error) {
	token := strings.TrimSpace(text)
	visible := func(r rune) bool { return r > ' ' && r < unicode.MaxASCII }
	if len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return !visible(r) }) {
		return "", errors.New("a token is one line of at most 16 KiB, without spaces")
	}
	return token, nil
}

// PinningToken returns the token of a service; "" if it has none.
func (r *Repo) PinningToken(name string) (string, error) {
	data, err := os.ReadFile(r.tokenFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("token of %s: %w", name, err)
	}
	token, err := CheckToken(string(data))
	if err != nil {
		return "", fmt.Errorf("token of %s: %w", name, err)
	}
	return token, nil
}

// RemovePinningService forgets a service and its token, also one that was left by a process that was
// killed. What the service keeps is its own affair then.
func (r *Repo) RemovePinningService(ctx context.Context, name string) error {
	if err := checkServiceName(name); err != nil {
		return err
	}
	err := r.db.Write(ctx, true, func(c *sqlite3.Conn) error {
		known, err := readServices(c)
		if err == nil {
			err = r.writeToken(name, "")
		}
		if err == nil && checkFree(known, name) == nil {
			err = fmt.Errorf("%s: %w", name, ErrServiceUnknown)
		}
		if err != nil {
			return err
		}
		return exec(c, "DELETE FROM pinning WHERE name = ?", name)
	})
	if err != nil {
		return fmt.Errorf("remove pinning service: %w", explain(err))
	}
	return nil
}

// PinningServices returns all services, in the order of their names.
func (r *Repo) PinningServices(ctx context.Context) (services []PinningService, err error) {
	err = r.db.Read(ctx, func(c *sqlite3.Conn) error {
		services, err = readServices(c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pinning services: %w", explain(err))
	}
	return services, nil
}

func readServices(c *sqlite3.Conn) (services []PinningService, err error) {
	s, err := sqlite.Stmt(c, "SELECT name, address, replicas FROM pinning ORDER BY name")
	if err != nil {
		return nil, err
	}
	for s.Step() {
		services = append(services, PinningService{Name: s.ColumnText(0), Address: s.ColumnText(1), Replicas: s.ColumnInt(2)})
	}
	return services, errors.Join(s.Err(), s.Reset())
}

// A Published is the newest node that an identity of one's own has published.
type Published struct {
	Author cid.Cid
	Cid    cid.Cid // of the node, from which all that was published hangs
	Node   *reference.Reference
}

// Published returns the newest node of each identity of one's own that has published.
func (r *Repo) Published(ctx context.Context) ([]Published, error) {
	t, err := r.Tree(ctx)
	if err != nil {
		return nil, err
	}
	authors, err := AuthorsOf(ctx, t)
	if err != nil {
		return nil, err
	}
	var all []Published
	for author := range authors.All() {
		if _, own := authors.Own[author]; !own {
			continue
		}
		mark, err := r.Mark(ctx, reference.NodeSlot(author))
		if err != nil {
			return nil, err
		}
		if mark.Reference == nil {
			continue
		}
		b, err := mark.Reference.Block()
		if err != nil {
			return nil, err
		}
		all = append(all, Published{author, b.Cid, mark.Reference})
	}
	return all, nil
}

// Replaced reports whether the node old, which has to be here, was published before p, and is
// continued by it.
func (p Published) Replaced(ctx context.Context, blocks store.Getter, old cid.Cid) (bool, error) {
	data, err := blocks.Get(ctx, old)
	if err != nil {
		return false, err
	}
	node, err := reference.Decode(data)
	if err != nil {
		return false, err
	}
	if node.Slot() != p.Node.Slot() {
		return false, nil
	}
	order, err := reference.Compare(ctx, blocks, p.Node, node)
	return order == reference.Stale, err
}

// Origins returns the addresses at which other IPFS daemons find the one of the repository.
func (r *Repo) Origins(ctx context.Context) ([]string, error) {
	if r.daemon == nil {
		return nil, ErrNoDaemon
	}
	d, err := r.daemon.open(ctx)
	if err != nil {
		return nil, err
	}
	_, addresses, err := d.ID(ctx)
	return addresses, err
}
