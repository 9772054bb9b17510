package identity

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Scrypt as slow as it should be makes slow tests; TestWorkFactor looks at the real value.
func TestMain(m *testing.M) {
	realWorkFactor = workFactor
	workFactor = 2
	os.Exit(m.Run())
}

var realWorkFactor int

func TestWorkFactor(t *testing.T) {
	if realWorkFactor != 18 {
		t.Errorf("the work factor is %d, want 18", realWorkFactor)
	}
}

func answer(passphrase string) Ask {
	return func(ID) ([]byte, error) { return []byte(passphrase), nil }
}

func TestExport(t *testing.T) {
	s := generate(t)
	var out bytes.Buffer
	if err := Export(s, []byte("correct horse"), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), armor.Header+"\n") || !strings.HasSuffix(out.String(), armor.Footer+"\n") {
		t.Errorf("not armored: %s", out.String())
	}
	// What the program age does with it.
	stock, err := age.NewScryptIdentity("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := age.Decrypt(armor.NewReader(bytes.NewReader(out.Bytes())), stock)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(plain); err != nil || !bytes.Equal(text, s.text()) {
		t.Errorf("age finds %q, %v; want the key file", text, err)
	}
	binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(out.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"as exported": out.Bytes(),
		"CRLF":        bytes.ReplaceAll(out.Bytes(), []byte("\n"), []byte("\r\n")),
		"white space": []byte("\n  \n" + out.String() + "\n\n"),
		"binary":      binary,
	} {
		got, err := Import(bytes.NewReader(data), answer("correct horse"))
		if err != nil || got.ID() != s.ID() || !bytes.Equal(got.text(), s.text()) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if err := Export(s, nil, io.Discard); err == nil {
		t.Error("exported without a passphrase")
	}
}

func TestImportRefuses(t *testing.T) {
	s := generate(t)
	var out bytes.Buffer
	if err := Export(s, []byte("a"), &out); err != nil {
		t.Fatal(err)
	}
	nobody := errors.New("nobody there")
	for name, test := range map[string]struct {
		ask  Ask
		want error
	}{
		"wrong passphrase": {answer("b"), ErrWrongPassphrase},
		"nobody to ask":    {nil, ErrNeedPassphrase},
		"failing ask":      {func(ID) ([]byte, error) { return nil, nobody }, nobody},
	} {
		if _, err := Import(bytes.NewReader(out.Bytes()), test.ask); !errors.Is(err, test.want) {
			t.Errorf("%s: %v; want %v", name, err, test.want)
		}
	}
	if _, err := Import(bytes.NewReader(out.Bytes()), answer("")); err == nil {
		t.Error("an empty passphrase opens it")
	}
	dead := errors.New("the line is dead")
	if _, err := Import(iotest.ErrReader(dead), nil); !errors.Is(err, dead) {
		t.Errorf("Import: %v; want %v", err, dead)
	}
	if err := Export(s, []byte("a"), failing{dead}); !errors.Is(err, dead) {
		t.Errorf("Export: %v; want %v", err, dead)
	}
}

// failing is a writer that fails.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// encrypted returns text as an armored age file for a recipient.
func encrypted(t testing.TB, text string, recipient age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, recipient)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, text)
	if err := errors.Join(w.Close(), armored.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestImportForeignAge(t *testing.T) {
	x25519, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	scrypt, err := age.NewScryptRecipient("a")
	if err != nil {
		t.Fatal(err)
	}
	scrypt.SetWorkFactor(2)
	costly := bytes.Replace(mustUnarmor(t, encrypted(t, "", scrypt)), []byte(" 2\n"), []byte(" 21\n"), 1)
	for name, data := range map[string][]byte{
		"for a key":         encrypted(t, string(generate(t).text()), x25519.Recipient()),
		"something else":    encrypted(t, "my diary", scrypt),
		"nothing":           encrypted(t, "", scrypt),
		"long":              encrypted(t, strings.Repeat("a", MaxKeyFile-100), scrypt),
		"sealed twice":      encrypted(t, string(encrypted(t, string(generate(t).text()), scrypt)), scrypt),
		"too much work":     costly,
		"header of age":     []byte("age-encryption.org/v1\n"),
		"header of armor":   []byte(armor.Header),
		"age of the future": []byte("age-encryption.org/v9\n-> scrypt\n"),
	} {
		if got, err := Import(bytes.NewReader(data), answer("a")); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, ErrKeyFile)
		}
	}
}

func mustUnarmor(t testing.TB, data []byte) []byte {
	t.Helper()
	binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
