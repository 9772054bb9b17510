package identity

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestKeyFileGolden(t *testing.T) {
	want, err := os.ReadFile("testdata/secret.key")
	if err != nil {
		t.Fatal(err)
	}
	s := readGolden(t).secret(t)
	if !bytes.Equal(s.text(), want) {
		t.Errorf("key file:\n%s, want\n%s", s.text(), want)
	}
	for _, name := range []string{"secret.key", "secret1.key"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Import(bytes.NewReader(data), nil); err != nil || got.ID() != s.ID() || !bytes.Equal(got.text(), want) {
			t.Errorf("Import of %s: %v, %v", name, got, err)
		}
	}
}

// kinds are key files of all kinds, by name.
func kinds(t testing.TB) map[string]*Secret {
	two := generate(t)
	three := grow(t, two)
	current, next := two.Split(1)
	return map[string]*Secret{
		"two keys": two, "three keys": three, "the current key": current, "the next key": next,
		"after rotations": atEpochs(t, three, 41, 42, 43), "with a gap": atEpochs(t, three, 7, 9, 1000),
		"the last epoch": atEpochs(t, two, MaxEpoch),
	}
}

func TestKeyFileKinds(t *testing.T) {
	for name, s := range kinds(t) {
		got, err := Import(bytes.NewReader(s.text()), nil)
		if err != nil || got.ID() != s.ID() || !slices.Equal(got.epochs(), s.epochs()) || !bytes.Equal(got.text(), s.text()) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestKeyFileDamaged(t *testing.T) {
	files := map[string][]byte{"version 1": generate(t).text1()}
	for name, s := range kinds(t) {
		files[name] = s.text()
	}
	for name, data := range files {
		damaged(data, func(what string, at int, bad []byte) {
			if _, err := Import(bytes.NewReader(bad), answer("a")); !errors.Is(err, ErrKeyFile) {
				t.Errorf("%s: key file %s at %d: %v; want %v", name, what, at, err, ErrKeyFile)
			}
		})
	}
}

// summed returns the lines of a key file with the right sum behind them.
func summed(lines ...string) string {
	text := strings.Join(lines, "")
	sum := sha256.Sum256([]byte(text))
	return text + "sum " + encode(sum[:]) + "\n"
}

// TestKeyFileRefuses has files that are wrong though their sum is right, and some others.
func TestKeyFileRefuses(t *testing.T) {
	s, other := grow(t, generate(t)), generate(t)
	text := string(s.text())
	l, o := strings.SplitAfter(text, "\n"), strings.SplitAfter(string(other.text()), "\n")
	head, id, document, key0, key1, key2 := l[0]+l[1], l[2], l[3], l[4], l[5], l[6]
	seed := strings.TrimPrefix(key2, "key 2 ")
	same := newSecret(s.keys()[0], s.keys()[0])
	for name, bad := range map[string]string{
		"nothing":                   "",
		"prose":                     "my key",
		"no keys":                   summed(head, id, document),
		"no sum":                    strings.Join(l[:7], ""),
		"another sum":               strings.Replace(text, l[7], o[6], 1),
		"version 3":                 strings.Replace(text, "KEY-2", "KEY-3", 1),
		"version 1 with lines of 2": strings.Replace(text, "KEY-2", "KEY-1", 1),
		"version 2 with lines of 1": strings.Replace(string(s.text1()), "KEY-1", "KEY-2", 1),
		"version 1, wrong id":       strings.Replace(string(s.text1()), s.ID().String(), other.ID().String(), 1),
		"version 1, equal keys":     string(same.text1()),
		"another's id":              summed(head, o[2], document, key0, key1),
		"another's document":        summed(head, id, o[3], key0, key1),
		"another's id and document": summed(head, o[2], o[3], key0, key1),
		"another's, next key only":  summed(head, o[2], o[3], key1),
		"another's key":             summed(head, id, document, o[4], key1),
		"another's next key":        summed(head, id, document, key0, o[5]),
		"no document":               summed(head, id, key0, key1),
		"document twice":            summed(head, id, document, document, key0),
		"document of nothing":       summed(head, id, "document \n", key0),
		"document not base64":       summed(head, id, "document !\n", key0),
		"wrong order":               summed(head, id, document, key1, key0),
		"wrong order of later ones": summed(head, id, document, "key 9 "+seed, key2),
		"an epoch twice":            summed(head, id, document, key2, key2),
		"two keys of an epoch":      summed(head, id, document, "key 2 "+key1[len("key 1 "):], key2),
		"an epoch too far":          summed(head, id, document, "key 9007199254740992 "+seed),
		"an epoch of 2^64-1":        summed(head, id, document, "key 18446744073709551615 "+seed),
		"an epoch of 2^64":          summed(head, id, document, "key 18446744073709551616 "+seed),
		"a negative epoch":          summed(head, id, document, "key -1 "+seed),
		"an epoch with a plus":      summed(head, id, document, "key +2 "+seed),
		"an epoch with zeros":       summed(head, id, document, "key 02 "+seed),
		"no epoch":                  summed(head, id, document, "key  "+seed),
		"no seed":                   summed(head, id, document, "key 2\n"),
		"a short seed":              summed(head, id, document, "key 2 "+encode(make([]byte, 31))+"\n"),
		"a long seed":               summed(head, id, document, "key 2 "+encode(make([]byte, 33))+"\n"),
		"a seed spelt otherwise":    summed(head, id, document, "key 2 "+respell(seed)),
		"CRLF":                      summed(strings.ReplaceAll(strings.Join(l[:7], ""), "\n", "\r\n")),
		"an empty line":             summed(head, id, document, key0, "\n", key1),
		"a line behind":             text + "\n",
		"white space before":        "\n" + text,
		"white space in between":    summed(head, id, document, "key  2 "+seed),
		"without the comment":       summed(l[0], id, document, key0, key1),
		"too many keys":             summed(head, id, document, manyKeys(seed, maxKeys+1)),
		"a file full of keys":       summed(head, id, document, manyKeys(seed, MaxKeyFile/60)),
		"an age key":                "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQS3290GQ\n",
		"too long":                  text + strings.Repeat("\n", MaxKeyFile),
	} {
		_, err := Import(strings.NewReader(bad), answer("a"))
		if !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v; want %v", name, err, ErrKeyFile)
		}
		if err != nil && (strings.Contains(err.Error(), key0[6:14]) || strings.Contains(err.Error(), seed[:8])) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	for name, good := range map[string]string{
		"as written": summed(head, id, document, key0, key1, key2), "most keys": summed(head, id, document, manyKeys(seed, maxKeys)),
	} {
		if _, err := Import(strings.NewReader(good), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// manyKeys returns lines of keys from epoch 1000 on.
func manyKeys(seed string, n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "key %d %s", 1000+i, seed)
	}
	return out.String()
}

// respell returns base64 of 32 bytes and LF with another last digit, which has two bits that do not
// count: it is one of AEIMQUYcgkosw048, and the next letter or number stands for the next digit.
func respell(seed string) string {
	bad := []byte(seed)
	bad[42]++
	return string(bad)
}

func TestWriteFile(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	for name, words := range map[string]string{"plain": "", "sealed": "four words"} {
		_, next := generate(t).Split(1)
		path := filepath.Join(dir, name)
		if err := WriteFile(path, next, []byte(words)); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", name, info.Mode(), err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got, err := Import(f, answer("four words")); err != nil || !bytes.Equal(got.text(), next.text()) {
			t.Errorf("%s: Import = %v, %v", name, got, err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(path, generate(t), nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: over a file: %v; want %v", name, err, fs.ErrExist)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the file that was there has changed, %v", name, err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, generate(t), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a dangling link: %v; want %v", err, fs.ErrExist)
	}
	if err := WriteFile(filepath.Join(dir, "none", "x"), generate(t), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no folder: %v; want %v", err, fs.ErrNotExist)
	}
}

func FuzzKeyFile(f *testing.F) {
	s := readGolden(f).secret(f)
	f.Add(s.text())
	f.Add(s.text1())
	for _, s := range kinds(f) {
		f.Add(s.text())
	}
	var out bytes.Buffer
	if err := Export(s, []byte("a"), &out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add(mustUnarmor(f, out.Bytes()))
	f.Add([]byte(keyFileHead))
	f.Add([]byte(keyFileHead1))
	f.Fuzz(func(t *testing.T, data []byte) {
		// A file may ask for work up to the limit, which is too much for fuzzing.
		got, err := Import(bytes.NewReader(data), nil)
		if err == nil && !bytes.Equal(got.text(), data) && !bytes.Equal(got.text1(), data) {
			t.Errorf("%q is written as %q", data, got.text())
		}
		if err != nil && !errors.Is(err, ErrKeyFile) && !errors.Is(err, ErrNeedPassphrase) {
			t.Errorf("%q: %v", data, err)
		}
		// The sum hides the rest from chance: try what lies before it with the right one.
		if lines, _, ok := strings.Cut(string(data), "sum "); ok {
			again, err := parseSecret([]byte(summed(lines)))
			if err == nil && string(again.text()) != summed(lines) {
				t.Errorf("%q is written as %q", summed(lines), again.text())
			}
		}
		checkArmor(data)
	})
}
