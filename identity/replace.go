package identity

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

var (
	// ErrKeyLost is a key file that has keys which its replacement has not.
	ErrKeyLost = errors.New("the key file has other keys by now; run the command again")
	// errMoved is a key file that another process has replaced meanwhile.
	errMoved = errors.New("the key file was changed")
)

// Replace puts s in the place of the key file that is there, as [Keyring.Update] does. Only keys
// of epochs below all of s may get lost; otherwise, as when another process has added one, the
// error is [ErrKeyLost] and nothing is changed.
func (k *Keyring) Replace(s *Secret, ask Ask) error {
	first, _ := s.Epochs()
	_, err := k.Update(s.ID(), ask, func(before *Secret) (*Secret, error) {
		if !s.Has(before.From(first)) {
			return nil, ErrKeyLost
		}
		return s, nil
	})
	return err
}

// Update puts what change makes of the key of id in its place and returns it. A file under a
// passphrase stays under it, and ask is called once, as by [Keyring.Load]; whoever calls both
// gives them [Once]. The change may be called again, if another process is at it. The file is
// replaced in one step and durably: at any time it has all of the old or all of the new keys.
// Where a symbolic link leads elsewhere, the file there is replaced. Errors are those of Load, of
// change, and of the system; then nothing is changed.
func (k *Keyring) Update(id ID, ask Ask, change func(*Secret) (*Secret, error)) (*Secret, error) {
	ask = Once(ask)
	for {
		s, err := k.update(id, ask, change)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, errMoved) {
			return nil, fmt.Errorf("change key %s: %w", k.Path(id), err)
		}
	}
}

func (k *Keyring) update(id ID, ask Ask, change func(*Secret) (*Secret, error)) (*Secret, error) {
	before, err := readKeyFile(k.Path(id))
	if err != nil {
		return nil, err
	}
	s, passphrase, err := parseKeyFile(before, id, ask)
	if err != nil {
		return nil, err
	}
	after, err := change(s)
	if err != nil {
		return nil, err
	}
	if after == nil || after.ID() != id {
		return nil, fmt.Errorf("no key of %s would be left: %w", id, ErrKeyLost)
	}
	if after.Has(s) && s.Has(after) {
		return after, nil
	}
	return after, k.swap(id, before, after, passphrase)
}

// swap replaces the key file of id if it still has the bytes before; otherwise it is errMoved.
func (k *Keyring) swap(id ID, before []byte, s *Secret, passphrase []byte) error {
	path, err := filepath.EvalSymlinks(k.Path(id))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), temporary)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which is not there after a rename
	if err := write(f, s, passphrase); err != nil {
		return err
	}
	return locked(filepath.Dir(path), func() error {
		now, err := readKeyFile(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, before) {
			return errMoved
		}
		return os.Rename(f.Name(), path)
	})
}

// locked calls change while no other process does so in the same folder, and makes the names in it
// durable.
func locked(dir string, change func() error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // which gives the lock up
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := change(); err != nil {
		return err
	}
	return d.Sync()
}
