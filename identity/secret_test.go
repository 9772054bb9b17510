package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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

func TestSecretGolden(t *testing.T) {
	want, err := os.ReadFile("testdata/secret.key")
	if err != nil {
		t.Fatal(err)
	}
	s := readGolden(t).secret(t)
	if !bytes.Equal(s.text(), want) {
		t.Errorf("key file:\n%s, want\n%s", s.text(), want)
	}
	got, err := Import(bytes.NewReader(want), nil)
	if err != nil || got.ID() != s.ID() || !bytes.Equal(got.text(), want) {
		t.Errorf("Import: %v, %v", got, err)
	}
}

func TestSecretNeverPrinted(t *testing.T) {
	s := generate(t)
	inside := struct {
		Public *Secret
		hidden *Secret
		value  Secret
		any    any
	}{s, s, *s, s}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		fmt.Fprintf(&out, verb+verb+verb+verb+"\n", s, *s, inside, &inside)
	}
	data, err := json.Marshal([]any{s, *s, inside})
	if err != nil {
		t.Fatal(err)
	}
	text := out.String() + string(data)
	if !strings.Contains(text, "secret key of "+s.ID().String()) {
		t.Errorf("it does not print the id: %s", text)
	}
	for _, key := range [][]byte{s.keys().current, s.keys().next} {
		for what, form := range map[string]string{
			"hex": hex.EncodeToString(key[:8]), "HEX": strings.ToUpper(hex.EncodeToString(key[:8])),
			"base64": base64.StdEncoding.EncodeToString(key[:9]), "bytes": string(key[:8]),
			"decimals": strings.Trim(fmt.Sprint([]byte(key[:8])), "[]"),
			"Go":       strings.Trim(fmt.Sprintf("%#v", []byte(key[:8])), "[]byte{}"),
		} {
			if strings.Contains(text, form) {
				t.Errorf("it prints the key as %s", what)
			}
		}
	}
}

func TestKeyFileDamaged(t *testing.T) {
	s := generate(t)
	damaged(s.text(), func(what string, at int, bad []byte) {
		if _, err := Import(bytes.NewReader(bad), answer("a")); !errors.Is(err, ErrKeyFile) {
			t.Errorf("key file %s at %d: %v; want %v", what, at, err, ErrKeyFile)
		}
	})
}

func TestKeyFileRefuses(t *testing.T) {
	s, other := generate(t), generate(t)
	text, otherText := string(s.text()), string(other.text())
	lines, otherLines := strings.SplitAfter(text, "\n"), strings.SplitAfter(otherText, "\n")
	same := newSecret(s.keys().current, s.keys().current)
	for name, bad := range map[string]string{
		"nothing":              "",
		"prose":                "my key",
		"a newer version":      strings.Replace(text, "KEY-1", "KEY-2", 1),
		"another's id":         strings.Replace(text, s.ID().String(), other.ID().String(), 1),
		"another's key":        strings.Replace(text, lines[3], otherLines[3], 1),
		"another's next key":   strings.Replace(text, lines[4], otherLines[4], 1),
		"lines swapped":        strings.Replace(text, lines[3]+lines[4], lines[4]+lines[3], 1),
		"CRLF":                 strings.ReplaceAll(text, "\n", "\r\n"),
		"a line more":          text + "\n",
		"white space before":   "\n" + text,
		"without the comment":  strings.Replace(text, lines[1], "", 1),
		"next is the same key": string(same.text()),
		"an age key":           "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQS3290GQ\n",
		"too long":             text + strings.Repeat("\n", MaxKeyFile),
	} {
		_, err := Import(strings.NewReader(bad), answer("a"))
		if !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v; want %v", name, err, ErrKeyFile)
		}
		if err != nil && (strings.Contains(err.Error(), lines[3][4:12]) || strings.Contains(err.Error(), lines[4][5:13])) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
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

func FuzzKeyFile(f *testing.F) {
	s := readGolden(f).secret(f)
	f.Add(s.text())
	var out bytes.Buffer
	if err := Export(s, []byte("a"), &out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add(mustUnarmor(f, out.Bytes()))
	f.Add([]byte(keyFileHead))
	f.Fuzz(func(t *testing.T, data []byte) {
		// A file may ask for work up to the limit, which is too much for fuzzing.
		got, err := Import(bytes.NewReader(data), nil)
		if err == nil && !bytes.Equal(got.text(), data) {
			t.Errorf("%q is written as %q", data, got.text())
		}
		if err != nil && !errors.Is(err, ErrKeyFile) && !errors.Is(err, ErrNeedPassphrase) {
			t.Errorf("%q: %v", data, err)
		}
		checkArmor(data)
	})
}
