package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"archivecache/dagcbor"

	"github.com/ipfs/go-cid"
)

var (
	// ErrNoKey is an identity whose private key, or that of an epoch, is not in the key folder.
	ErrNoKey = errors.New("no private key here; bring it with import-identity, or take an identity of your own")
	// ErrKeyExists is an identity whose private key is in the key folder already.
	ErrKeyExists = errors.New("the private key is here already")
	// ErrKeyMode is a key file that others than its owner may read or change.
	ErrKeyMode = errors.New("others can read the private key")
)

// A Keyring is a folder of private keys. Several processes may use it at once.
type Keyring struct {
	dir string
}

// OpenKeyring returns the key folder dir, which the first Create makes.
func OpenKeyring(dir string) *Keyring { return &Keyring{dir} }

const keySuffix = ".key"

// temporary is the pattern of names of files that are being written. It keeps List from taking
// one for a key.
const temporary = ".new-*.tmp"

// Path returns the name of the file for the key of id, whether it is there or not.
func (k *Keyring) Path(id ID) string { return filepath.Join(k.dir, id.String()+keySuffix) }

// Create keeps a key that is not in the folder yet, in a file for its owner only (0600), under
// a passphrase unless that is empty. When it returns the key is on disk; when it fails there
// is no file of it. A key that is there already is [ErrKeyExists].
func (k *Keyring) Create(s *Secret, passphrase []byte) error {
	if err := k.create(s, passphrase); err != nil {
		return fmt.Errorf("keep key %s: %w", s.ID(), err)
	}
	return nil
}

func (k *Keyring) create(s *Secret, passphrase []byte) error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	// CreateTemp uses O_EXCL and 0600.
	f, err := os.CreateTemp(k.dir, temporary)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := write(f, s, passphrase); err != nil {
		return err
	}
	if err := publish(f.Name(), k.Path(s.ID())); err != nil {
		return err
	}
	return syncDir(k.dir)
}

// publish gives the file from the name to, which nothing may have.
func publish(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return existing(err, to)
	}
	// A file system without hard links. Nobody else makes a file of this name, unless the
	// same key is imported twice at the same moment, which does no harm.
	if _, err := os.Lstat(to); err == nil {
		return existing(fs.ErrExist, to)
	}
	return os.Rename(from, to)
}

func existing(err error, path string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", path, ErrKeyExists)
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load returns the key of id, and calls ask only if it is under a passphrase; ask may be nil.
// The errors are [ErrNoKey], [ErrKeyMode], [ErrKeyFile] (also for the key of another
// identity), [ErrWrongPassphrase], [ErrNeedPassphrase], and those of the system and of ask.
func (k *Keyring) Load(id ID, ask Ask) (*Secret, error) {
	if !id.Defined() {
		return nil, fmt.Errorf("load key: no id: %w", ErrNoKey)
	}
	s, err := k.load(id, ask)
	if err != nil {
		return nil, fmt.Errorf("load key %s: %w", k.Path(id), err)
	}
	return s, nil
}

func (k *Keyring) load(id ID, ask Ask) (*Secret, error) {
	data, err := readKeyFile(k.Path(id))
	if err != nil {
		return nil, err
	}
	s, _, err := parseKeyFile(data, id, ask)
	return s, err
}

// parseKeyFile reads the key file of id. It returns the passphrase as well, nil if the file has
// none.
func parseKeyFile(data []byte, id ID, ask Ask) (s *Secret, passphrase []byte, err error) {
	if err := checkArmor(data); err != nil {
		return nil, nil, err
	}
	if s, err = open(data, id, remember(ask, &passphrase)); err != nil {
		return nil, nil, err
	}
	if !s.ID().Equals(id) {
		return nil, nil, fmt.Errorf("it holds the key of %s: %w", s.ID(), ErrKeyFile)
	}
	return s, passphrase, nil
}

// remember returns ask, which leaves its answer in to as well; nil for nil.
func remember(ask Ask, to *[]byte) Ask {
	if ask == nil {
		return nil
	}
	return func(id ID) (answer []byte, err error) {
		*to, err = ask(id)
		return *to, err
	}
}

// readKeyFile reads a regular file that only its owner may read; a symbolic link
// to one will do.
func readKeyFile(path string) ([]byte, error) {
	// O_NONBLOCK so that a named pipe does not make it wait.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file: %w", ErrKeyFile)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("its mode is %04o; run chmod 600 %q: %w", info.Mode().Perm(), path, ErrKeyMode)
	}
	return readBounded(f)
}

// List returns the ids of all keys in the folder, ordered by their text. Whether the files are
// as they should be is not looked at. A folder that is not there has none.
func (k *Keyring) List() ([]ID, error) {
	entries, err := os.ReadDir(k.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var ids []ID
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), keySuffix)
		if !ok {
			continue
		}
		if id, err := dagcbor.ParseCid(name); err == nil && id.Type() == cid.DagCBOR {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b ID) int { return strings.Compare(a.String(), b.String()) })
	return ids, nil
}

// Remove deletes the key of id for good; [ErrNoKey] if it is not there.
func (k *Keyring) Remove(id ID) error {
	err := os.Remove(k.Path(id))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoKey
	}
	if err == nil {
		err = syncDir(k.dir)
	}
	if err != nil {
		return fmt.Errorf("remove key %s: %w", k.Path(id), err)
	}
	return nil
}
