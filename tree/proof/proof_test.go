package proof_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree/proof"
	"archivecache/tree/reference"
	"archivecache/tree/state"
)

type tb interface {
	Helper()
	Fatal(...any)
}

// forked returns a proof whose references have long histories, and the blocks that it is read from.
func forked(t tb, length int) (*state.Proof, *store.Overlay) {
	t.Helper()
	blocks := store.NewOverlay(store.NewMemory())
	layer := func(previous *reference.Reference, time uint64) *reference.Reference {
		r, err := treetest.NewSigner(1).Layer(context.Background(), blocks, treetest.Shared("root/forum"), previous, time)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var last *reference.Reference
	for i := range length {
		last = layer(last, uint64(i))
	}
	return state.NewProof(layer(last, 1000), layer(layer(last, 1001), 1002)), blocks
}

func makeJSON(t tb, p *state.Proof, blocks store.Getter) []byte {
	t.Helper()
	whole, err := proof.Whole(context.Background(), blocks, p)
	if err != nil {
		t.Fatal(err)
	}
	json, err := proof.JSON(whole)
	if err != nil {
		t.Fatal(err)
	}
	return json
}

func TestStandsOnItsOwn(t *testing.T) {
	for _, length := range []int{0, 1, 40, 1100} {
		p, blocks := forked(t, length)
		got, err := proof.FromJSON(makeJSON(t, p, blocks))
		if err != nil {
			t.Fatal(err)
		}
		if again := makeJSON(t, got, store.NewMemory()); !bytes.Equal(again, makeJSON(t, p, blocks)) {
			t.Errorf("after %d references, a message of a message is another", length)
		}
		if err := proof.Verify(t.Context(), got); err != nil {
			t.Errorf("after %d references: %v", length, err)
		}
		for i := range got.Blocks {
			less := *got
			less.Blocks = slices.Delete(slices.Clone(got.Blocks), i, i+1)
			if err := proof.Verify(t.Context(), &less); !errors.Is(err, proof.ErrMalformed) {
				t.Errorf("after %d references, without block %d of %d: %v", length, i, len(got.Blocks), err)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	p, blocks := forked(t, 3)
	good := string(makeJSON(t, p, blocks))
	q := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("there is no %q in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for why, text := range map[string]string{
		"another policy": q("fork_proof_v1", "fork_proof_v2"),
		"another field":  q(`"blocks":`, `"block":`),
		"one more field": q(`{".policy"`, `{".more":1,".policy"`),
		"white space":    q(`,"a":`, `, "a":`),
		"no references":  `{".policy":"fork_proof_v1","a":{},"b":{},"blocks":[]}`,
		"nothing":        `{}`,
		"null blocks":    good[:strings.Index(good, `"blocks":`)] + `"blocks":null}`,
		"many blocks":    good[:strings.Index(good, `"blocks":`)] + `"blocks":[` + strings.TrimSuffix(strings.Repeat(`"AAAA",`, 65), ",") + `]}`,
		"block repeated": q(`"blocks":[`, `"blocks":["",`+"\"\","),
	} {
		if _, err := proof.FromJSON([]byte(text)); !errors.Is(err, proof.ErrMalformed) {
			t.Errorf("%s: %v", why, err)
		}
	}
	json, err := proof.JSON(&state.Proof{A: p.B, B: p.A})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.FromJSON(json); !errors.Is(err, proof.ErrMalformed) {
		t.Errorf("the wrong order: %v", err)
	}
}

// TestProvesNothing has messages of the right form that prove nothing.
func TestProvesNothing(t *testing.T) {
	ctx := t.Context()
	blocks := store.NewOverlay(store.NewMemory())
	layer := func(path string, previous *reference.Reference) *reference.Reference {
		r, err := treetest.NewSigner(1).Layer(ctx, blocks, treetest.Shared(path), previous, 1)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := layer("root/forum", nil)
	second := layer("root/forum", first)
	forged := *second
	forged.Time++
	for why, p := range map[string]*state.Proof{
		"one continues the other": state.NewProof(first, second),
		"forged":                  state.NewProof(second, &forged),
		"two directories":         state.NewProof(first, layer("root/other", nil)),
		"twice the same":          state.NewProof(second, second),
	} {
		if _, err := proof.Whole(ctx, blocks, p); !errors.Is(err, state.ErrNoProof) {
			t.Errorf("%s: whole, %v", why, err)
		}
		given := *p
		for _, b := range blocks.Pending() {
			given.Blocks = append(given.Blocks, b.Data)
		}
		slices.SortFunc(given.Blocks, bytes.Compare)
		json, err := proof.JSON(&given)
		if err != nil {
			t.Fatal(err)
		}
		got, err := proof.FromJSON(json)
		if err == nil {
			err = proof.Verify(ctx, got)
		}
		if !errors.Is(err, state.ErrNoProof) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func FuzzFromJSON(f *testing.F) {
	for _, length := range []int{0, 1, 40} {
		p, blocks := forked(f, length)
		f.Add(makeJSON(f, p, blocks))
	}
	f.Add([]byte(`{".policy":"fork_proof_v1","a":{},"b":{},"blocks":[""]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := proof.FromJSON(data)
		if err != nil {
			return
		}
		if again, err := proof.JSON(p); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s is read and written as %s, %v", data, again, err)
		}
		if proof.Verify(t.Context(), p) == nil && p.A.Slot() != p.B.Slot() {
			t.Errorf("%s proves something of two slots", data)
		}
	})
}
