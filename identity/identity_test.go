package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"archivecache/dagcbor"
	"archivecache/message"
	"archivecache/store"
)

// vectors returns the lines "name: value" of a file in testdata.
func vectors(t testing.TB, name string) (lines [][2]string) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			t.Fatalf("%s: no colon in %q", name, line)
		}
		lines = append(lines, [2]string{key, value})
	}
	if len(lines) == 0 {
		t.Fatalf("%s: no vectors", name)
	}
	return lines
}

// golden is the one identity in testdata/vectors.txt.
type golden map[string]string

func readGolden(t testing.TB) golden {
	t.Helper()
	g := golden{}
	for _, v := range vectors(t, "vectors.txt") {
		g[v[0]] = v[1]
	}
	return g
}

func (g golden) bytes(t testing.TB, name string) []byte {
	t.Helper()
	data, err := hex.DecodeString(g[name])
	if err != nil || len(data) == 0 {
		t.Fatalf("vector %s: %q, %v", name, g[name], err)
	}
	return data
}

func (g golden) secret(t testing.TB) *Secret {
	return newSecret(ed25519.NewKeyFromSeed(g.bytes(t, "seed")), ed25519.NewKeyFromSeed(g.bytes(t, "next seed")))
}

func generate(t testing.TB) *Secret {
	t.Helper()
	s, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGolden(t *testing.T) {
	g := readGolden(t)
	s := g.secret(t)
	d := s.Document()
	for _, v := range []struct{ name, got, want string }{
		{"document", hex.EncodeToString(d.Encode()), g["document"]},
		{"block", hex.EncodeToString(d.Block().Data), g["document"]},
		{"id", d.ID().String(), g["id"]},
		{"id of block", d.Block().Cid.String(), g["id"]},
		{"message", string(d.JSON()), g["message"]},
		{"public key", hex.EncodeToString(s.Document().Public()), g["public"]},
		{"did:key", DIDKey(s.Document().Public()), g["did"]},
		{"encoding that is signed", hex.EncodeToString(PAE(PayloadType(g["policy"]), g.bytes(t, "payload"))), g["pae"]},
		{"signature", hex.EncodeToString(at(t, s, 0).Sign(g["policy"], g.bytes(t, "payload"))), g["signature"]},
	} {
		if v.got != v.want {
			t.Errorf("%s:\n%s, want\n%s", v.name, v.got, v.want)
		}
	}
	if err := store.Verify(d.ID(), d.Encode()); err != nil {
		t.Error(err)
	}
	again, err := DecodeDocument(d.Encode())
	if err != nil || again.ID() != d.ID() {
		t.Errorf("DecodeDocument = %v, %v", again, err)
	}
	again, err = DocumentFromJSON(d.JSON())
	if err != nil || again.ID() != d.ID() {
		t.Errorf("DocumentFromJSON = %v, %v", again, err)
	}
	canonical, err := message.Canonical(d.JSON())
	if err != nil || !bytes.Equal(canonical, d.JSON()) {
		t.Errorf("JSON is not canonical: %s, %v", canonical, err)
	}
	if !d.Commits(ed25519.NewKeyFromSeed(g.bytes(t, "next seed")).Public().(ed25519.PublicKey)) || d.Commits(s.Document().Public()) {
		t.Error("Commits")
	}
}

// damaged calls check with every proper prefix of data and with each byte changed in turn.
func damaged(data []byte, check func(what string, at int, bad []byte)) {
	for n := range data {
		check("cut off", n, data[:n:n])
		for _, flip := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(data)
			bad[n] ^= flip
			check("changed", n, bad)
		}
	}
	check("longer", len(data), append(bytes.Clone(data), 0))
	check("longer", len(data), append(bytes.Clone(data), '\n'))
	check("twice", len(data), append(bytes.Clone(data), data...))
}

func TestDocumentDamaged(t *testing.T) {
	d := readGolden(t).secret(t).Document()
	data := d.Encode()
	damaged(data, func(what string, at int, bad []byte) {
		got, err := DecodeDocument(bad)
		// A changed key may be another good key, but then it has another id.
		if err == nil && (got.ID() == d.ID() || !bytes.Equal(got.Encode(), bad)) {
			t.Errorf("document %s at %d: accepted", what, at)
		}
		if err != nil && !errors.Is(err, ErrDocument) {
			t.Errorf("document %s at %d: %v", what, at, err)
		}
		if err := store.Verify(d.ID(), bad); err == nil {
			t.Errorf("document %s at %d has the same id", what, at)
		}
	})
	damaged(d.JSON(), func(what string, at int, bad []byte) {
		if _, err := DocumentFromJSON(bad); err == nil {
			t.Errorf("message %s at %d: accepted: %s", what, at, bad)
		}
	})
}

func TestDecodeDocumentRefuses(t *testing.T) {
	good := generate(t).Document()
	encode := func(v any) []byte {
		data, err := dagcbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	with := func(change func(d *Document)) []byte {
		d := good
		change(&d)
		return encode(d)
	}
	identityPoint := make([]byte, 32)
	identityPoint[0] = 1
	for name, data := range map[string][]byte{
		"nothing":             nil,
		"other policy":        with(func(d *Document) { d.Policy = "identity_v2" }),
		"policy in capitals":  with(func(d *Document) { d.Policy = "Identity_v1" }),
		"no policy":           with(func(d *Document) { d.Policy = "" }),
		"short key":           with(func(d *Document) { d.Key = d.Key[1:] }),
		"long key":            with(func(d *Document) { d.Key = append([]byte{0}, d.Key...) }),
		"short commitment":    with(func(d *Document) { d.Next = d.Next[1:] }),
		"bytes moved over":    with(func(d *Document) { d.Key, d.Next = d.Key[1:], append([]byte{0}, d.Next...) }),
		"key of small order":  with(func(d *Document) { d.Key = identityPoint }),
		"commits to itself":   with(func(d *Document) { d.Next = NewDocument(d.Key, d.Key).Next }),
		"field missing":       encode(map[string]any{".key": good.Key, ".policy": Policy}),
		"unknown field":       encode(map[string]any{".key": good.Key, ".next": good.Next, ".policy": Policy, "a": "b"}),
		"key as text":         encode(map[string]any{".key": string(good.Key), ".next": good.Next, ".policy": Policy}),
		"policy as bytes":     encode(map[string]any{".key": good.Key, ".next": good.Next, ".policy": []byte(Policy)}),
		"names in capitals":   bytes.Replace(good.Encode(), []byte(".key"), []byte(".Key"), 1),
		"a field twice":       bytes.Replace(good.Encode(), []byte(".next"), []byte(".key\x00"), 1),
		"fields out of order": append([]byte{0xa3}, append(bytes.Clone(good.Encode()[40:80]), append(bytes.Clone(good.Encode()[1:40]), good.Encode()[80:]...)...)...),
		"an array":            encode([]any{good.Key, good.Next, Policy}),
		"bytes of zero":       make([]byte, DocumentSize),
	} {
		if d, err := DecodeDocument(data); !errors.Is(err, ErrDocument) {
			t.Errorf("%s: %v, %v; want %v", name, d, err, ErrDocument)
		}
	}
}

func TestDocumentFromJSONRefuses(t *testing.T) {
	d, other := generate(t).Document(), generate(t).Document()
	good := string(d.JSON())
	id, otherID := d.ID().String(), other.ID().String()
	key := base64.StdEncoding.EncodeToString(d.Key)
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	lowOrder := Document{Policy: Policy, Key: append([]byte{1}, make([]byte, 31)...), Next: d.Next}
	for _, test := range []struct {
		name, json string
		want       error
	}{
		{"another's hash", replace(`.ipfs_hash":"`+id, `.ipfs_hash":"`+otherID), ErrWrongID},
		{"another's owner", replace(`.owner":"`+id, `.owner":"`+otherID), ErrWrongID},
		{"another's ids", strings.ReplaceAll(good, id, otherID), ErrWrongID},
		{"another's key", replace(key, base64.StdEncoding.EncodeToString(other.Key)), ErrWrongID},
		{"id in capitals", replace(id, strings.ToUpper(id)), ErrWrongID},
		{"no id", strings.ReplaceAll(good, id, ""), ErrWrongID},
		{"name in capitals", replace(".owner", ".OWNER"), ErrDocument},
		{"unknown field", replace("{", `{".a":1,`), ErrDocument},
		{"unknown field last", replace(`"}`, `",".signature":""}`), ErrDocument},
		{"field twice", replace("{", `{".ipfs_hash":"`+id+`",`), ErrDocument},
		{"field missing", replace(`,".policy":"identity_v1"`, ""), ErrDocument},
		{"other policy", replace("identity_v1", "identity_v2"), ErrDocument},
		{"null", replace(`"`+key+`"`, "null"), ErrDocument},
		{"number", replace(`"`+key+`"`, "1"), ErrDocument},
		{"line break in base64", replace(key, key[:20]+`\n`+key[20:]), ErrDocument},
		{"escape", replace(".policy", `.\u0070olicy`), ErrDocument},
		{"space", replace(":", ": "), ErrDocument},
		{"line feed at the end", good + "\n", ErrDocument},
		{"second object", good + good, ErrDocument},
		{"small order", string(lowOrder.JSON()), ErrDocument},
		{"array", "[" + good + "]", ErrDocument},
		{"long", good + strings.Repeat(" ", 2000), ErrDocument},
		{"empty", "", ErrDocument},
		{"empty object", "{}", ErrDocument},
	} {
		if got, err := DocumentFromJSON([]byte(test.json)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v; want %v", test.name, got, err, test.want)
		}
	}
}

func FuzzDocument(f *testing.F) {
	d := readGolden(f).secret(f).Document()
	f.Add(d.Encode())
	f.Add(d.JSON())
	f.Add(bytes.Replace(d.Encode(), []byte(".next"), []byte(".key\x00"), 1))
	f.Add(bytes.Repeat([]byte{0xff}, DocumentSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := DecodeDocument(data); err == nil && !bytes.Equal(d.Encode(), data) {
			t.Errorf("document %x is encoded as %x", data, d.Encode())
		}
		d, err := DocumentFromJSON(data)
		if err != nil {
			return
		}
		if !json.Valid(data) || !bytes.Equal(d.JSON(), data) {
			t.Errorf("message %q is written as %q", data, d.JSON())
		}
		if _, err := DecodeDocument(d.Encode()); err != nil {
			t.Errorf("message %q holds a bad document: %v", data, err)
		}
	})
}
