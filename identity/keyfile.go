package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrKeyFile is a key file that is not as the package comment demands.
var ErrKeyFile = errors.New("not a key file, or a damaged one; take the backup of it")

// KeyHeader is what every key file without a passphrase begins with, of whatever version.
const KeyHeader = "ARCHIVECACHE-SECRET-KEY-"

const (
	keyFileComment = "\n# Whoever has this can sign in its owner's name. Keep it secret.\n"
	keyFileHead    = KeyHeader + "2" + keyFileComment
	keyFileHead1   = KeyHeader + "1" + keyFileComment
)

// text returns the key file without a passphrase.
func (s *Secret) text() []byte {
	out := fmt.Appendf(nil, "%sid %s\ndocument %s\n", keyFileHead, s.ID(), encode(s.document.Encode()))
	for _, epoch := range s.epochs() {
		out = fmt.Appendf(out, "key %d %s\n", epoch, encode(s.keys()[epoch].Seed()))
	}
	sum := sha256.Sum256(out)
	return fmt.Appendf(out, "sum %s\n", encode(sum[:]))
}

// text1 returns the key file of version 1 of an identity with the keys of epochs 0 and 1.
func (s *Secret) text1() []byte {
	return fmt.Appendf(nil, "%sid %s\nkey %s\nnext %s\n", keyFileHead1, s.ID(),
		encode(s.keys()[0].Seed()), encode(s.keys()[1].Seed()))
}

func encode(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// parseSecret reads a key file without a passphrase. Its errors hold nothing of the file.
func parseSecret(text []byte) (*Secret, error) {
	if rest, ok := strings.CutPrefix(string(text), keyFileHead1); ok {
		return parseVersion1(text, strings.Split(rest, "\n"))
	}
	rest, ok := strings.CutPrefix(string(text), keyFileHead)
	if !ok {
		return nil, fmt.Errorf("it does not begin with the lines of version 1 or 2: %w", ErrKeyFile)
	}
	return parseVersion2(text, strings.Split(rest, "\n"))
}

// parseVersion2 reads a key file from the lines after its head: the id, the document, the keys,
// the sum, and nothing behind the last LF.
func parseVersion2(text []byte, lines []string) (*Secret, error) {
	if n := len(lines) - 4; n < 1 || n > maxKeys {
		return nil, fmt.Errorf("it has not the number of lines that a key file has: %w", ErrKeyFile)
	}
	document, err := parseDocument(lines[1])
	if err != nil {
		return nil, err
	}
	found := keys{}
	for _, line := range lines[2 : len(lines)-2] {
		epoch, key, err := parseKey(line)
		if err != nil {
			return nil, err
		}
		found[epoch] = key
	}
	s := withKeys(document, found)
	if err := s.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(text, s.text()) {
		return nil, fmt.Errorf("the id, the order of the keys, or the sum in it is wrong: %w", ErrKeyFile)
	}
	return s, nil
}

// check compares the keys with the document, which knows those of epochs 0 and 1.
func (s *Secret) check() error {
	if key, ok := s.keys()[0]; ok && !bytes.Equal(public(key), s.document.Key) {
		return fmt.Errorf("the key of epoch 0 is not that of the document: %w", ErrKeyFile)
	}
	if key, ok := s.keys()[1]; ok && !s.document.Commits(public(key)) {
		return fmt.Errorf("the key of epoch 1 is not the one that the document commits to: %w", ErrKeyFile)
	}
	return nil
}

func parseDocument(line string) (Document, error) {
	encoded, ok := strings.CutPrefix(line, "document ")
	if !ok {
		return Document{}, fmt.Errorf("the line of the document is not where it should be: %w", ErrKeyFile)
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return Document{}, fmt.Errorf("the line of the document is not base64: %w", ErrKeyFile)
	}
	document, err := DecodeDocument(data)
	if err != nil {
		return Document{}, fmt.Errorf("%w: %w", err, ErrKeyFile)
	}
	return document, nil
}

// parseKey reads a line "key EPOCH SEED".
func parseKey(line string) (uint64, ed25519.PrivateKey, error) {
	rest, isKey := strings.CutPrefix(line, "key ")
	number, encoded, hasSeed := strings.Cut(rest, " ")
	if !isKey || !hasSeed {
		return 0, nil, fmt.Errorf("a line of a key is not where it should be: %w", ErrKeyFile)
	}
	epoch, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch > MaxEpoch {
		return 0, nil, fmt.Errorf("an epoch is not a number up to %d: %w", uint64(MaxEpoch), ErrKeyFile)
	}
	key, err := parseSeed(encoded)
	return epoch, key, err
}

func parseSeed(encoded string) (ed25519.PrivateKey, error) {
	seed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("a key is not base64 of %d bytes: %w", ed25519.SeedSize, ErrKeyFile)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// parseVersion1 reads a key file of version 1 from the lines after its head.
func parseVersion1(text []byte, lines []string) (*Secret, error) {
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "key ") || !strings.HasPrefix(lines[2], "next ") {
		return nil, fmt.Errorf("it has not the lines that a key file of version 1 has: %w", ErrKeyFile)
	}
	current, err := parseSeed(lines[1][len("key "):])
	if err != nil {
		return nil, err
	}
	next, err := parseSeed(lines[2][len("next "):])
	if err != nil {
		return nil, err
	}
	s := newSecret(current, next)
	if err := s.document.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrKeyFile)
	}
	if !bytes.Equal(text, s.text1()) {
		return nil, fmt.Errorf("the id in it is not that of its keys: %w", ErrKeyFile)
	}
	return s, nil
}

// Export writes the secret as an age file under a passphrase, which must not be empty. The
// program age opens it, and [Import] reads it.
func Export(s *Secret, passphrase []byte, w io.Writer) error {
	if err := seal(s.text(), passphrase, w); err != nil {
		return fmt.Errorf("export %s: %w", s.ID(), err)
	}
	return nil
}

// WriteFile makes a key file for its owner only (0600) at a name that nothing has yet, otherwise
// the error is fs.ErrExist; under a passphrase unless that is empty. When it returns the file is
// on disk; when it fails there is none. [Import] reads it.
func WriteFile(name string, s *Secret, passphrase []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	err = write(f, s, passphrase)
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write key file: %w", err), os.Remove(name))
	}
	return nil
}

// SyncFile makes sure that a key file that is there is on disk, as one that [WriteFile] has made.
func SyncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("sync key file: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close(), syncDir(filepath.Dir(name))); err != nil {
		return fmt.Errorf("sync key file: %w", err)
	}
	return nil
}

// write fills f with the key file of s and closes it.
func write(f *os.File, s *Secret, passphrase []byte) error {
	var err error
	if len(passphrase) == 0 {
		_, err = f.Write(s.text())
	} else {
		err = seal(s.text(), passphrase, f)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Import reads a key file with or without a passphrase, for which it calls ask with an undefined
// id. White space around an armored file and CRLF in it do no harm. The errors are
// [ErrKeyFile], [ErrWrongPassphrase], [ErrNeedPassphrase], and those of r and ask.
func Import(r io.Reader, ask Ask) (*Secret, error) {
	data, err := readBounded(r)
	if err != nil {
		return nil, fmt.Errorf("import identity: %w", err)
	}
	s, err := open(data, ID{}, ask)
	if err != nil {
		return nil, fmt.Errorf("import identity: %w", err)
	}
	return s, nil
}

// readBounded reads at most MaxKeyFile bytes, and refuses more.
func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxKeyFile {
		return nil, fmt.Errorf("more than %d bytes: %w", MaxKeyFile, ErrKeyFile)
	}
	return data, nil
}
