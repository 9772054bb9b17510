package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// MaxKeyFile is the size in bytes of the largest key file that is read.
const MaxKeyFile = 1 << 20

// maxWorkFactor is the base 2 logarithm of the most that scrypt may be asked to do: 1 GiB
// of memory and a few seconds.
const maxWorkFactor = 20

// workFactor is what age itself takes: 256 MiB and about a second. Tests take less.
var workFactor = 18

var (
	// ErrWrongPassphrase is a passphrase that does not open the file.
	ErrWrongPassphrase = errors.New("wrong passphrase, or the file is damaged")
	// ErrNeedPassphrase is a file with a passphrase where there is nobody to ask for it.
	ErrNeedPassphrase = errors.New("the key is protected by a passphrase, and none was given")
)

// An Ask returns the passphrase for the key of id; the id is undefined if it is not known yet.
type Ask func(id ID) ([]byte, error)

// Once returns an Ask that asks once for each identity and gives the answer again from then on.
// It is for one goroutine. Of nil it is nil.
func Once(ask Ask) Ask {
	if ask == nil {
		return nil
	}
	answers := map[ID][]byte{}
	return func(id ID) ([]byte, error) {
		if answer, ok := answers[id]; ok {
			return answer, nil
		}
		answer, err := ask(id)
		if err == nil {
			answers[id] = answer
		}
		return answer, err
	}
}

// seal writes text as an armored age file under a passphrase.
func seal(text, passphrase []byte, w io.Writer) error {
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return err
	}
	recipient.SetWorkFactor(workFactor)
	armored := armor.NewWriter(w)
	sealed, err := age.Encrypt(armored, recipient)
	if err != nil {
		return err
	}
	if _, err := sealed.Write(text); err != nil {
		return err
	}
	if err := sealed.Close(); err != nil {
		return err
	}
	return armored.Close()
}

const ageHeader = "age-encryption.org/"

// open reads a key file of either kind, and asks for a passphrase if it needs one.
func open(data []byte, id ID, ask Ask) (*Secret, error) {
	text := data
	if !bytes.HasPrefix(data, []byte(KeyHeader)) {
		var err error
		if text, err = unseal(data, id, ask); err != nil {
			return nil, err
		}
	}
	return parseSecret(text)
}

// unseal decrypts an age file, armored or not.
func unseal(data []byte, id ID, ask Ask) ([]byte, error) {
	if start := bytes.TrimSpace(data); bytes.HasPrefix(start, []byte(armor.Header)) {
		binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(data)))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, ErrKeyFile)
		}
		data = binary
	}
	if !bytes.HasPrefix(data, []byte(ageHeader)) {
		return nil, ErrKeyFile
	}
	if ask == nil {
		return nil, ErrNeedPassphrase
	}
	passphrase, err := ask(id)
	if err != nil {
		return nil, err
	}
	scrypt, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, err
	}
	scrypt.SetMaxWorkFactor(maxWorkFactor)
	plain, err := age.Decrypt(bytes.NewReader(data), scrypt)
	if err != nil {
		return nil, unsealError(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrKeyFile)
	}
	return text, nil
}

func unsealError(err error) error {
	var noMatch *age.NoIdentityMatchError
	if !errors.As(err, &noMatch) {
		return fmt.Errorf("%w: %w", err, ErrKeyFile)
	}
	if !slices.Contains(noMatch.StanzaTypes, "scrypt") {
		return fmt.Errorf("it is encrypted for a key, not with a passphrase: %w", ErrKeyFile)
	}
	return ErrWrongPassphrase
}

// checkArmor refuses an armored file in any spelling but its own: age lets white space around
// it and CRLF in it pass.
func checkArmor(data []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte(armor.Header)) {
		return nil
	}
	binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(data)))
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrKeyFile)
	}
	var again bytes.Buffer
	w := armor.NewWriter(&again)
	if _, err := w.Write(binary); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if !bytes.Equal(again.Bytes(), data) {
		return fmt.Errorf("white space was changed in it: %w", ErrKeyFile)
	}
	return nil
}
