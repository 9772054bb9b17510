package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrKeyFile is a key file that is not as the package comment demands.
var ErrKeyFile = errors.New("not a key file, or a damaged one; take the backup of it")

// KeyHeader is what every key file without a passphrase begins with, of whatever version.
const KeyHeader = "ARCHIVECACHE-SECRET-KEY-"

const keyFileHead = KeyHeader + "1\n# Whoever has this can sign in its owner's name. Keep it secret.\n"

// A Secret is the private side of an identity. It prints as the id, with whatever verb.
type Secret struct {
	document Document
	// The keys stand behind a function because fmt calls no methods on a Secret that is an
	// unexported field of something else, and follows a pointer there under some verbs.
	keys func() keys
}

type keys struct {
	current ed25519.PrivateKey
	next    ed25519.PrivateKey
}

// Generate makes a new identity from the system's random numbers.
func Generate() (*Secret, error) {
	_, current, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("generate identity: %w", err)
	}
	_, next, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("generate identity: %w", err)
	}
	return newSecret(current, next), nil
}

func newSecret(current, next ed25519.PrivateKey) *Secret {
	document := NewDocument(public(current), public(next))
	return &Secret{document, func() keys { return keys{current, next} }}
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// Document returns the public side.
func (s *Secret) Document() Document { return s.document }

// ID returns the id of the identity.
func (s *Secret) ID() ID { return s.document.ID() }

// Public returns the public key of the current epoch.
func (s *Secret) Public() ed25519.PublicKey { return public(s.keys().current) }

// Sign returns the signature of payload under policy by the key of the current epoch.
func (s *Secret) Sign(policy string, payload []byte) []byte {
	return ed25519.Sign(s.keys().current, PAE(PayloadType(policy), payload))
}

// Format prints the id for every verb, never the keys.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "secret key of %s", s.document.ID()) }

// text returns the key file without a passphrase.
func (s *Secret) text() []byte {
	return fmt.Appendf(nil, "%sid %s\nkey %s\nnext %s\n", keyFileHead, s.ID(),
		base64.StdEncoding.EncodeToString(s.keys().current.Seed()),
		base64.StdEncoding.EncodeToString(s.keys().next.Seed()))
}

// parseSecret reads a key file without a passphrase. Its errors hold nothing of the file.
func parseSecret(text []byte) (*Secret, error) {
	rest, ok := strings.CutPrefix(string(text), keyFileHead)
	if !ok {
		return nil, fmt.Errorf("it does not begin with the lines of version 1: %w", ErrKeyFile)
	}
	lines := strings.Split(rest, "\n")
	if len(lines) != 4 {
		return nil, fmt.Errorf("it has not the number of lines that a key file has: %w", ErrKeyFile)
	}
	current, err := parseSeed("key ", lines[1])
	if err != nil {
		return nil, err
	}
	next, err := parseSeed("next ", lines[2])
	if err != nil {
		return nil, err
	}
	s := newSecret(current, next)
	if err := s.document.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrKeyFile)
	}
	if !bytes.Equal(text, s.text()) {
		return nil, fmt.Errorf("the id in it is not that of its keys: %w", ErrKeyFile)
	}
	return s, nil
}

func parseSeed(name, line string) (ed25519.PrivateKey, error) {
	encoded, ok := strings.CutPrefix(line, name)
	if !ok {
		return nil, fmt.Errorf("the line of %sis not where it should be: %w", name, ErrKeyFile)
	}
	seed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the line of %sis not base64 of %d bytes: %w", name, ed25519.SeedSize, ErrKeyFile)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Export writes the secret as an age file under a passphrase, which must not be empty. The
// program age opens it, and [Import] reads it.
func Export(s *Secret, passphrase []byte, w io.Writer) error {
	if err := seal(s.text(), passphrase, w); err != nil {
		return fmt.Errorf("export %s: %w", s.ID(), err)
	}
	return nil
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
