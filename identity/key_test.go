package identity

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/mr-tron/base58"
)

func TestCheckKey(t *testing.T) {
	says := map[string]string{"small order": "small order", "not a point": "not a point", "canonical": "canonical form"}
	for _, v := range vectors(t, "keys.txt") {
		pub, err := hex.DecodeString(v[1])
		if err != nil {
			t.Fatal(err)
		}
		err = CheckKey(pub)
		if v[0] == "good" {
			if err != nil {
				t.Errorf("%x: %v", pub, err)
			}
			continue
		}
		if !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), says[v[0]]) {
			t.Errorf("%x: %v; want %v, %s", pub, err, ErrBadKey, v[0])
		}
	}
	for range 100 {
		pub := generate(t).Document().Public()
		if err := CheckKey(pub); err != nil {
			t.Errorf("%x: %v", pub, err)
		}
	}
	for n := range 70 {
		if err := CheckKey(make([]byte, n)); !errors.Is(err, ErrBadKey) {
			t.Errorf("%d bytes: %v; want %v", n, err, ErrBadKey)
		}
	}
}

// TestSmallOrder shows why such keys are refused: under them one signature is good for all.
func TestSmallOrder(t *testing.T) {
	pub := make(ed25519.PublicKey, ed25519.PublicKeySize)
	pub[0] = 1 // the neutral element
	sig := make([]byte, ed25519.SignatureSize)
	sig[0] = 1
	if !ed25519.Verify(pub, []byte("anything"), sig) {
		t.Error("crypto/ed25519 has become stricter than this test expects")
	}
	if err := Verify(pub, "node_v1", []byte("anything"), sig); !errors.Is(err, ErrBadKey) {
		t.Errorf("Verify: %v; want %v", err, ErrBadKey)
	}
}

func TestDIDKey(t *testing.T) {
	// From the test vectors of the did:key specification.
	for seed, want := range map[string]string{
		"0000000000000000000000000000000000000000000000000000000000000000": "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
		"0000000000000000000000000000000000000000000000000000000000000001": "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG",
	} {
		data, err := hex.DecodeString(seed)
		if err != nil {
			t.Fatal(err)
		}
		pub := public(ed25519.NewKeyFromSeed(data))
		if got := DIDKey(pub); got != want {
			t.Errorf("DIDKey = %s, want %s", got, want)
		}
		if got, err := ParseDIDKey(want); err != nil || !got.Equal(pub) {
			t.Errorf("ParseDIDKey(%s) = %x, %v", want, got, err)
		}
	}
}

func TestParseDIDKeyRefuses(t *testing.T) {
	good := readGolden(t)["did"]
	x25519 := append([]byte{0xec, 0x01}, generate(t).Document().Public()...)
	point := append([]byte{0xed, 0x01, 1}, make([]byte, 31)...)
	for name, text := range map[string]string{
		"nothing":           "",
		"no prefix":         strings.TrimPrefix(good, "did:key:"),
		"another method":    strings.Replace(good, "key", "web", 1),
		"another base":      strings.Replace(good, ":z", ":u", 1),
		"with a fragment":   good + "#" + strings.TrimPrefix(good, "did:key:"),
		"space":             good + " ",
		"longer":            good + "1",
		"zero":              strings.Replace(good, "6Mk", "0Mk", 1),
		"key of X25519":     didPrefix + base58.Encode(x25519),
		"of small order":    didPrefix + base58.Encode(point),
		"very long":         didPrefix + strings.Repeat("z", 1<<20),
		"the right length":  didPrefix + strings.Repeat("z", 47),
		"leading zero byte": didPrefix + "1" + good[len(didPrefix):len(good)-1],
	} {
		if got, err := ParseDIDKey(text); !errors.Is(err, ErrBadKey) {
			t.Errorf("%s: %x, %v; want %v", name, got, err, ErrBadKey)
		}
	}
	for n := range good {
		if _, err := ParseDIDKey(good[:n]); err == nil {
			t.Errorf("the first %d characters are accepted", n)
		}
	}
}

func FuzzParseDIDKey(f *testing.F) {
	f.Add(readGolden(f)["did"])
	f.Add("did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc")
	f.Fuzz(func(t *testing.T, text string) {
		if pub, err := ParseDIDKey(text); err == nil && DIDKey(pub) != text {
			t.Errorf("%q is written as %q", text, DIDKey(pub))
		}
	})
}

func BenchmarkCheckKey(b *testing.B) {
	pub := generate(b).Document().Public()
	for b.Loop() {
		if err := CheckKey(pub); err != nil {
			b.Fatal(err)
		}
	}
}
