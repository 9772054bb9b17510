package identity

import (
	"crypto/ed25519"
	"errors"
	"testing"
)

func TestPAE(t *testing.T) {
	// The first is from the specification of DSSE.
	for _, test := range []struct{ kind, payload, want string }{
		{"http://example.com/HelloWorld", "hello world", "DSSEv1 29 http://example.com/HelloWorld 11 hello world"},
		{"", "", "DSSEv1 0  0 "},
		{"é", "a b\x00\n", "DSSEv1 2 é 5 a b\x00\n"},
	} {
		if got := PAE(test.kind, []byte(test.payload)); string(got) != test.want {
			t.Errorf("PAE(%q, %q) = %q, want %q", test.kind, test.payload, got, test.want)
		}
	}
}

func TestVerify(t *testing.T) {
	s, other := generate(t), generate(t)
	payload := []byte("payload")
	sig := at(t, s, 0).Sign("node_v1", payload)
	if err := Verify(s.Document().Public(), "node_v1", payload, sig); err != nil {
		t.Error(err)
	}
	// The same signature with the group order added to its second half, which RFC 8032 refuses.
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	malleable := append([]byte{}, sig...)
	carry := 0
	for i, b := range order {
		carry += int(malleable[32+i]) + int(b)
		malleable[32+i] = byte(carry)
		carry >>= 8
	}
	for _, test := range []struct {
		name    string
		pub     ed25519.PublicKey
		policy  string
		payload string
		sig     []byte
		want    error
	}{
		{"no signature", s.Document().Public(), "node_v1", "payload", nil, ErrUnsigned},
		{"empty signature", s.Document().Public(), "node_v1", "payload", []byte{}, ErrUnsigned},
		{"other policy", s.Document().Public(), "layer_v1", "payload", sig, ErrBadSignature},
		{"policy and payload moved", s.Document().Public(), "node_v", "1payload", sig, ErrBadSignature},
		{"other payload", s.Document().Public(), "node_v1", "payloae", sig, ErrBadSignature},
		{"shorter payload", s.Document().Public(), "node_v1", "payloa", sig, ErrBadSignature},
		{"a stranger's key", other.Document().Public(), "node_v1", "payload", sig, ErrBadSignature},
		{"a stranger's signature", s.Document().Public(), "node_v1", "payload", at(t, other, 0).Sign("node_v1", payload), ErrBadSignature},
		{"signature without encoding", s.Document().Public(), "node_v1", "payload", ed25519.Sign(s.keys()[0], payload), ErrBadSignature},
		{"the next key's signature", s.Document().Public(), "node_v1", "payload", ed25519.Sign(s.keys()[1], PAE(PayloadType("node_v1"), payload)), ErrBadSignature},
		{"long signature", s.Document().Public(), "node_v1", "payload", append(sig[:64:64], 0), ErrBadSignature},
		{"malleable signature", s.Document().Public(), "node_v1", "payload", malleable, ErrBadSignature},
		{"no key", nil, "node_v1", "payload", sig, ErrBadKey},
		{"short key", s.Document().Public()[:31], "node_v1", "payload", sig, ErrBadKey},
	} {
		if err := Verify(test.pub, test.policy, []byte(test.payload), test.sig); !errors.Is(err, test.want) {
			t.Errorf("%s: %v; want %v", test.name, err, test.want)
		}
	}
	damaged(sig, func(what string, at int, bad []byte) {
		if err := Verify(s.Document().Public(), "node_v1", payload, bad); err == nil {
			t.Errorf("signature %s at %d: accepted", what, at)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s := generate(b)
	payload := make([]byte, 300)
	sig := at(b, s, 0).Sign("node_v1", payload)
	for b.Loop() {
		if err := Verify(s.Document().Public(), "node_v1", payload, sig); err != nil {
			b.Fatal(err)
		}
	}
}
