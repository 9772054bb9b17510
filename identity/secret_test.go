package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// forms are the ways in which a key might be printed.
func forms(key []byte) map[string]string {
	return map[string]string{
		"hex": hex.EncodeToString(key[:8]), "HEX": strings.ToUpper(hex.EncodeToString(key[:8])),
		"base64": base64.StdEncoding.EncodeToString(key[:9]), "bytes": string(key[:8]),
		"decimals": strings.Trim(fmt.Sprint([]byte(key[:8])), "[]"),
		"Go":       strings.Trim(fmt.Sprintf("%#v", []byte(key[:8])), "[]byte{}"),
	}
}

func TestSecretNeverPrinted(t *testing.T) {
	s := grow(t, generate(t))
	key := at(t, s, 2)
	inside := struct {
		Public *Secret
		hidden *Secret
		value  Secret
		any    any
		Key    *Key
		key    *Key
		keys   []Key
	}{s, s, *s, s, key, key, []Key{*key}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		fmt.Fprintf(&out, strings.Repeat(verb, 6)+"\n", s, *s, key, *key, inside, &inside)
	}
	data, err := json.Marshal([]any{s, *s, key, *key, inside})
	if err != nil {
		t.Fatal(err)
	}
	text := out.String() + string(data)
	for _, want := range []string{"secret key of " + s.ID().String(), "secret key of epoch 2 of " + s.ID().String()} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not print %q: %s", want, text)
		}
	}
	for epoch, key := range s.keys() {
		for what, form := range forms(key) {
			if strings.Contains(text, form) {
				t.Errorf("it prints the key of epoch %d as %s", epoch, what)
			}
		}
	}
}

func grow(t testing.TB, s *Secret) *Secret {
	t.Helper()
	grown, err := s.Grow()
	if err != nil {
		t.Fatal(err)
	}
	return grown
}

func at(t testing.TB, s *Secret, epoch uint64) *Key {
	t.Helper()
	key, err := s.At(epoch)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// checkEpochs compares the epochs of which s has the keys with those that it should have.
func checkEpochs(t *testing.T, what string, s *Secret, want ...uint64) {
	t.Helper()
	var got []uint64
	if s != nil {
		got = s.epochs()
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has the keys of epochs %v, want %v", what, got, want)
	}
}

func TestAt(t *testing.T) {
	s := grow(t, generate(t))
	if first, last := s.Epochs(); first != 0 || last != 2 {
		t.Errorf("Epochs = %d, %d; want 0, 2", first, last)
	}
	d, payload := s.Document(), []byte("what is signed")
	var publics []string
	for epoch := range uint64(3) {
		key := at(t, s, epoch)
		if key.Epoch() != epoch || key.ID() != s.ID() {
			t.Errorf("At(%d) = %v", epoch, key)
		}
		if err := Verify(key.Public(), "node_v1", payload, key.Sign("node_v1", payload)); err != nil {
			t.Errorf("epoch %d: %v", epoch, err)
		}
		publics = append(publics, string(key.Public()))
	}
	if publics[0] != string(d.Key) || !d.Commits([]byte(publics[1])) || publics[2] == publics[1] || publics[2] == publics[0] {
		t.Errorf("the public keys %x do not follow from the document %v", publics, d)
	}
	for _, epoch := range []uint64{3, MaxEpoch, 1<<64 - 1} {
		_, err := s.At(epoch)
		if !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), fmt.Sprintf("epochs 0 to 2, not of epoch %d: take the newest backup", epoch)) {
			t.Errorf("At(%d): %v; want %v", epoch, err, ErrNoKey)
		}
	}
}

func TestFromAndSplit(t *testing.T) {
	s := grow(t, generate(t))
	before := bytes.Clone(s.text())
	checkEpochs(t, "From(0)", s.From(0), 0, 1, 2)
	checkEpochs(t, "From(2)", s.From(2), 2)
	checkEpochs(t, "From(3)", s.From(3))
	without, only := s.Split(2)
	checkEpochs(t, "without 2", without, 0, 1)
	checkEpochs(t, "only 2", only, 2)
	without, only = s.Split(1)
	checkEpochs(t, "without 1", without, 0, 2)
	checkEpochs(t, "only 1", only, 1)
	without, only = s.Split(3)
	checkEpochs(t, "without 3", without, 0, 1, 2)
	checkEpochs(t, "only 3", only)
	without, only = s.From(2).Split(2)
	checkEpochs(t, "nothing without 2", without)
	checkEpochs(t, "all of 2", only, 2)
	if !bytes.Equal(s.text(), before) {
		t.Error("the Secret that was split has changed")
	}
	if only.ID() != s.ID() || !bytes.Equal(at(t, only, 2).Public(), at(t, s, 2).Public()) {
		t.Error("the key that was split off is another")
	}
}

func TestWith(t *testing.T) {
	s := grow(t, generate(t))
	without, only := s.Split(1)
	for name, pair := range map[string][2]*Secret{
		"the parts": {without, only}, "the other way": {only, without}, "with a part": {s, only}, "itself": {s, s},
	} {
		both, err := pair[0].With(pair[1])
		if err != nil || !bytes.Equal(both.text(), s.text()) {
			t.Errorf("%s: %v, %v", name, both, err)
		}
	}
	checkEpochs(t, "the part", only, 1)
	if !s.Has(only) || !s.Has(s) || !s.Has(nil) || only.Has(s) || s.Has(generate(t)) {
		t.Error("Has")
	}
	another := grow(t, s.From(1).keep(func(epoch uint64) bool { return epoch == 1 })) // another key of epoch 2
	if _, err := s.With(another); !errors.Is(err, ErrKeysDiffer) || !strings.Contains(err.Error(), "epoch 2") {
		t.Errorf("two keys of epoch 2: %v; want %v", err, ErrKeysDiffer)
	}
	if s.Has(another) {
		t.Error("Has takes another key of the same epoch for the same")
	}
	if _, err := s.With(generate(t)); !errors.Is(err, ErrKeysDiffer) {
		t.Errorf("another identity: %v; want %v", err, ErrKeysDiffer)
	}
}

func TestGrowEnds(t *testing.T) {
	s := generate(t)
	for range maxKeys - 2 {
		s = grow(t, s)
	}
	if _, err := s.Grow(); !errors.Is(err, ErrTooManyKeys) {
		t.Errorf("%d keys: %v; want %v", maxKeys+1, err, ErrTooManyKeys)
	}
	if got := len(s.epochs()); got != maxKeys {
		t.Errorf("%d keys, want %d", got, maxKeys)
	}
	if _, err := atEpochs(t, s, MaxEpoch).Grow(); err == nil {
		t.Error("a key after the last epoch")
	}
}

// atEpochs returns the first keys of s as if they were of other epochs.
func atEpochs(t testing.TB, s *Secret, epochs ...uint64) *Secret {
	t.Helper()
	mapped := keys{}
	for i, epoch := range s.epochs()[:len(epochs)] {
		mapped[epochs[i]] = s.keys()[epoch]
	}
	if !slices.Equal(slices.Sorted(maps.Keys(mapped)), epochs) {
		t.Fatalf("epochs %v are not ascending", epochs)
	}
	return withKeys(s.document, mapped)
}
