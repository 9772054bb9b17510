package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"archivecache/identity"
)

// Reasons why something of the system does not go into a tree, from which it would be published.
var (
	ErrRepository = errors.New("a repository, which has private keys")
	ErrSecretKey  = errors.New("a private key, which must not be published")
)

// IsRepository reports whether the folder dir is a repository of whatever format, or was one
// before something in it was damaged: its format file begins as all of them do.
func IsRepository(dir string) bool {
	name := filepath.Join(dir, formatFile)
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, len(formatStart))
	n, _ := f.Read(start)
	return string(start[:n]) == formatStart
}

// leaveOut is why the folder dir is not imported; nil if it is.
func leaveOut(dir string) error {
	if IsRepository(dir) {
		return ErrRepository
	}
	return nil
}

// checkSource returns an error if source is a repository or stands in one.
func checkSource(source string) error {
	info, err := os.Lstat(source)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	at := source
	if info.Mode().Type() == fs.ModeSymlink { // itself is imported, and not what it points to
		at = filepath.Dir(source)
	}
	if at, err = filepath.Abs(at); err != nil {
		return fmt.Errorf("import %s: %w", source, err)
	}
	if at, err = filepath.EvalSymlinks(at); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	for ; ; at = filepath.Dir(at) {
		if IsRepository(at) {
			return fmt.Errorf("%s: %s is %w", source, at, ErrRepository)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// checkNoKey returns an error if a file that begins with head is a private key without a
// passphrase.
func checkNoKey(path string, head []byte) error {
	if bytes.HasPrefix(head, []byte(identity.KeyHeader)) {
		return fmt.Errorf("%s: %w", path, ErrSecretKey)
	}
	return nil
}
