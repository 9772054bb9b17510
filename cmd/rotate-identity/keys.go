package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"

	"archivecache/identity"
	"archivecache/internal/passphrase"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

// assemble returns the secret with the next key, which may be in a file of its own, and the one
// after, which is new unless a rotation before was killed.
func assemble(keys *identity.Keyring, id cid.Cid, ask identity.Ask, epoch uint64, o options) (*identity.Secret, error) {
	s, err := keys.Load(id, ask)
	if err != nil {
		return nil, err
	}
	var files []string
	if o.next != "" {
		files = append(files, o.next)
	}
	if isWritten(o.nextOut) {
		files = append(files, o.nextOut)
	}
	for _, name := range files {
		away, err := readKeys(name, o.words)
		if err != nil {
			return nil, err
		}
		if s, err = s.With(away); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := s.At(epoch + 1); err != nil {
		return nil, err
	}
	if _, err := s.At(epoch + 2); err == nil {
		return s, nil
	}
	return s.Grow()
}

// keep keeps the keys of the secret in the key folder; the last one only in the file for it, if
// there is to be one: it is on the disk there before the folder loses it.
func keep(keys *identity.Keyring, secret *identity.Secret, ask identity.Ask, epoch uint64, o options) error {
	if o.nextOut != "" {
		_, last := secret.Split(epoch + 2)
		if err := writeLast(o, last); err != nil {
			return err
		}
	}
	_, err := keys.Update(secret.ID(), ask, func(s *identity.Secret) (*identity.Secret, error) {
		all, err := s.With(secret) // which another process may have changed
		if err == nil && o.nextOut != "" {
			all, _ = all.Split(epoch + 2)
		}
		return all, err
	})
	return err
}

// writeLast writes the file with the last key, unless a rotation that was killed has.
func writeLast(o options, last *identity.Secret) error {
	if isWritten(o.nextOut) {
		before, err := readKeys(o.nextOut, o.words)
		if err != nil || !before.Has(last) {
			return fmt.Errorf("write key file: %s: %w, with another key", o.nextOut, fs.ErrExist)
		}
		return identity.SyncFile(o.nextOut)
	}
	if info, err := os.Lstat(o.nextOut); err == nil && info.Mode().IsRegular() {
		if err := os.Remove(o.nextOut); err != nil { // it is empty, as a process leaves it that is killed at once
			return err
		}
	}
	return identity.WriteFile(o.nextOut, last, nil)
}

// isWritten reports whether something stands in the file.
func isWritten(name string) bool {
	info, err := os.Stat(name)
	return err == nil && (info.Size() > 0 || !info.Mode().IsRegular())
}

// finish does what a rotation with the same file for the last key has left to do, if it was killed
// between its commit and its end: the key of that file is the next one by now, and the folder has
// the old one still, or that one as well. It reports whether that was so.
func finish(keys *identity.Keyring, chain reference.Chain, id cid.Cid, ask identity.Ask, o options) (bool, error) {
	if !isWritten(o.nextOut) || chain.Rotation() == nil {
		return false, nil
	}
	away, err := readKeys(o.nextOut, o.words)
	if err != nil {
		return false, err
	}
	here, err := keys.Load(id, ask)
	if err != nil {
		return false, err
	}
	if _, err := here.At(chain.Epoch()); err != nil || !isNext(away, chain) || rest(here, chain).Has(here) {
		return false, nil
	}
	if err := identity.SyncFile(o.nextOut); err != nil {
		return false, err
	}
	_, err = keys.Update(id, ask, func(s *identity.Secret) (*identity.Secret, error) {
		if _, err := s.At(chain.Epoch()); err != nil { // another process has changed it
			return nil, err
		}
		return rest(s, chain), nil
	})
	return err == nil, err
}

// rest returns s without old keys, and without the next one.
func rest(s *identity.Secret, chain reference.Chain) *identity.Secret {
	rest, _ := s.From(chain.Epoch()).Split(chain.Epoch() + 1)
	return rest
}

// isNext reports whether s is the key to which the last rotation of the chain commits, alone.
func isNext(s *identity.Secret, chain reference.Chain) bool {
	first, last := s.Epochs()
	key, err := s.At(chain.Epoch() + 1)
	if err != nil || first != last || s.ID() != chain.Rotation().Owner.Cid {
		return false
	}
	commitment := sha256.Sum256(key.Public())
	return bytes.Equal(chain.Rotation().Next, commitment[:])
}

// checkNextOut checks that the file for the last key is none of the key folder, which loses that
// key.
func checkNextOut(keys *identity.Keyring, id cid.Cid, o options) error {
	there, err := os.Stat(o.nextOut)
	if o.nextOut == "" || err != nil {
		return nil // a new file
	}
	here, err := os.Stat(keys.Path(id))
	if err == nil && os.SameFile(here, there) {
		return fmt.Errorf("write key file: %s: %w, the one in the key folder", o.nextOut, fs.ErrExist)
	}
	return err
}

func readKeys(name string, words *passphrase.Source) (*identity.Secret, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := identity.Import(f, func(identity.ID) ([]byte, error) { return words.Ask(name) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}
