package reference_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"archivecache/dagcbor"
	"archivecache/identity"
	"archivecache/internal/treetest"
	"archivecache/store"
	"archivecache/tree/reference"

	"github.com/ipfs/go-cid"
)

var update = flag.Bool("update", false, "write the golden files")

func link(codec uint64, text string) *dagcbor.Link {
	return dagcbor.LinkTo(store.Sum(codec, []byte(text)))
}

// samples returns one reference of each policy with all of its fields, signed by signer 1.
func samples(t testing.TB) map[string]*reference.Reference {
	s := treetest.NewSigner(1)
	owned := reference.Founding{
		Policy: reference.OwnedPolicy, Owner: dagcbor.LinkTo(s.ID()), Path: "root/go", Salt: bytes.Repeat([]byte{7}, 16),
	}
	forum := treetest.Shared("root/forum")
	all := map[string]*reference.Reference{
		"node": {
			Policy: reference.NodePolicy, Sequence: 3, History: link(cid.DagCBOR, "history"), Time: 1700000000,
			Content: link(cid.DagCBOR, "root"), Addresses: []string{"http://127.0.0.1:7070", "https://example.org/<&>"},
			Seen: link(cid.DagCBOR, "seen"), Proofs: link(cid.DagCBOR, "proofs"),
		},
		"owned": {
			Policy: reference.OwnedPolicy, Sequence: 1, Time: 1700000001, Path: "root/golang", Directory: &owned,
			Content: link(cid.DagProtobuf, "content"),
		},
		"deleted": {
			Policy: reference.OwnedPolicy, Sequence: 2, History: link(cid.DagCBOR, "history"), Path: "root/go", Directory: &owned, Deleted: true,
		},
		"shared": {
			Policy: reference.SharedPolicy, Sequence: dagcbor.MaxInt, History: link(cid.DagCBOR, "history"), Time: dagcbor.MaxInt,
			Path: "root/forum", Directory: &forum, Content: link(cid.DagProtobuf, "content"), Marks: link(cid.DagCBOR, "marks"),
		},
	}
	for name, r := range all {
		if err := r.Sign(s, s.Chain); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	all["rotation"] = rotate(t, s, all["owned"], all["shared"])
	all["rotation-2"] = rotate(t, s)
	for name, r := range map[string]*reference.Reference{
		"node-2":  {Policy: reference.NodePolicy, Sequence: 1, Content: link(cid.DagCBOR, "root")},
		"owned-2": {Policy: reference.OwnedPolicy, Sequence: 1, Path: "root/go", Directory: &owned, Content: link(cid.DagProtobuf, "content")},
	} {
		if err := r.Sign(s, s.Chain); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = r
	}
	return all
}

func rotate(t testing.TB, s *treetest.Signer, last ...*reference.Reference) *reference.Reference {
	r, err := s.Rotate(t.Context(), store.NewOverlay(store.NewMemory()), last...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// chainOf returns the keys of signer 1 for the epoch of a sample.
func chainOf(t testing.TB, r *reference.Reference) reference.Chain {
	s := treetest.NewSigner(1)
	if r.Epoch > 0 {
		all := samples(t)
		s.Rotations = []*reference.Reference{all["rotation"], all["rotation-2"]}[:r.Epoch]
	}
	return s.Chain
}

// TestVectors holds what is written against text files: JSON, DAG-CBOR in hexadecimal digits, and
// its SHA-256.
func TestVectors(t *testing.T) {
	for name, r := range samples(t) {
		text, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		hash, err := r.Hash()
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s\n%x\n%x\n", text, data, hash)
		file := "testdata/" + name + ".txt"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: written as\n%swant\n%s", name, got, want)
		}
		lines := strings.Split(string(want), "\n")
		data, err = hex.DecodeString(lines[1])
		if err != nil {
			t.Fatal(err)
		}
		fromData, err := reference.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fromJSON, err := reference.FromJSON([]byte(lines[0]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, again := range []*reference.Reference{fromData, fromJSON} {
			if err := again.Verify(chainOf(t, r)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if h, err := again.Hash(); err != nil || !bytes.Equal(h, hash) {
				t.Errorf("%s: read as another reference, %v", name, err)
			}
		}
	}
}

// TestDamage changes every byte of a reference, and cuts it at every one: none of that is both
// readable and signed.
func TestDamage(t *testing.T) {
	for name, r := range samples(t) {
		chain := chainOf(t, r)
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			if _, err := reference.Decode(data[:i]); err == nil {
				t.Errorf("%s: read although cut at byte %d", name, i)
			}
			for _, flip := range []byte{1, 0x20, 0x80, 0xff} {
				bad := bytes.Clone(data)
				bad[i] ^= flip
				if r, err := reference.Decode(bad); err == nil && r.Verify(chain) == nil {
					t.Errorf("%s: byte %d changed to %02x, and verified", name, i, bad[i])
				}
			}
		}
		if _, err := reference.Decode(append(data, 0)); err == nil {
			t.Errorf("%s: read with a byte behind it", name)
		}
	}
}

// founding returns a change of the founding document.
func founding(change func(*reference.Founding)) func(*reference.Reference) {
	return func(r *reference.Reference) {
		f := *r.Directory
		change(&f)
		r.Directory = &f
	}
}

var long = "root/" + strings.Repeat("a/", 5000) + "a"

// badFields breaks one rule of Check in each.
var badFields = []struct {
	sample, why string
	change      func(r *reference.Reference)
}{
	{"node", "an unknown policy", func(r *reference.Reference) { r.Policy = "node_v2" }},
	{"node", "a short key", func(r *reference.Reference) { r.Key = r.Key[1:] }},
	{"node", "sequence 0", func(r *reference.Reference) { r.Sequence = 0 }},
	{"shared", "a sequence that JSON loses", func(r *reference.Reference) { r.Sequence = dagcbor.MaxInt + 1 }},
	{"shared", "an epoch that JSON loses", func(r *reference.Reference) { r.Epoch = dagcbor.MaxInt + 1 }},
	{"shared", "a time that JSON loses", func(r *reference.Reference) { r.Time = dagcbor.MaxInt + 1 }},
	{"node", "no history of a third", func(r *reference.Reference) { r.History = nil }},
	{"owned", "a history of a first", func(r *reference.Reference) { r.History = link(cid.DagCBOR, "x") }},
	{"node", "an owner that is a file", func(r *reference.Reference) { r.Owner = *link(cid.Raw, "x") }},
	{"node", "a history that is a file", func(r *reference.Reference) { r.History = link(cid.Raw, "x") }},
	{"node", "a path", func(r *reference.Reference) { r.Path = "root/a" }},
	{"node", "a directory", func(r *reference.Reference) { f := treetest.Shared("root/a"); r.Directory = &f }},
	{"node", "deleted", func(r *reference.Reference) { r.Deleted = true }},
	{"node", "marks", func(r *reference.Reference) { r.Marks = link(cid.DagCBOR, "x") }},
	{"node", "no content", func(r *reference.Reference) { r.Content = nil }},
	{"node", "content that is a directory", func(r *reference.Reference) { r.Content = link(cid.DagProtobuf, "x") }},
	{"node", "seen that is a file", func(r *reference.Reference) { r.Seen = link(cid.Raw, "x") }},
	{"node", "proofs that are a file", func(r *reference.Reference) { r.Proofs = link(cid.Raw, "x") }},
	{"node", "too many addresses", func(r *reference.Reference) { r.Addresses = strings.Split(strings.Repeat("a", 17), "") }},
	{"node", "an empty address", func(r *reference.Reference) { r.Addresses = []string{""} }},
	{"node", "an address that is not ASCII", func(r *reference.Reference) { r.Addresses = []string{"é"} }},
	{"node", "a long address", func(r *reference.Reference) { r.Addresses = []string{strings.Repeat("a", 257)} }},
	{"owned", "no directory", func(r *reference.Reference) { r.Directory = nil }},
	{"owned", "a shared directory", func(r *reference.Reference) { f := treetest.Shared("root/go"); r.Directory = &f }},
	{"owned", "another's directory", founding(func(f *reference.Founding) { f.Owner = link(cid.DagCBOR, "x") })},
	{"owned", "nobody's directory", founding(func(f *reference.Founding) { f.Owner = nil })},
	{"owned", "a short salt", founding(func(f *reference.Founding) { f.Salt = f.Salt[1:] })},
	{"owned", "a founding path that is none", founding(func(f *reference.Founding) { f.Path = "root/../a" })},
	{"owned", "a long founding path", founding(func(f *reference.Founding) { f.Path = long })},
	{"owned", "a long path", func(r *reference.Reference) { r.Path = long }},
	{"owned", "no path", func(r *reference.Reference) { r.Path = "" }},
	{"owned", "a path outside of root", func(r *reference.Reference) { r.Path = "friends/a" }},
	{"owned", "root itself", func(r *reference.Reference) { r.Path = "root" }},
	{"owned", "a slash at the end", func(r *reference.Reference) { r.Path += "/" }},
	{"owned", "marks", func(r *reference.Reference) { r.Marks = link(cid.DagCBOR, "x") }},
	{"owned", "addresses", func(r *reference.Reference) { r.Addresses = []string{"a"} }},
	{"owned", "seen", func(r *reference.Reference) { r.Seen = link(cid.DagCBOR, "x") }},
	{"owned", "proofs", func(r *reference.Reference) { r.Proofs = link(cid.DagCBOR, "x") }},
	{"owned", "neither content nor deleted", func(r *reference.Reference) { r.Content = nil }},
	{"owned", "content that is a file", func(r *reference.Reference) { r.Content = link(cid.Raw, "x") }},
	{"deleted", "content and deleted", func(r *reference.Reference) { r.Content = link(cid.DagProtobuf, "x") }},
	{"shared", "deleted", func(r *reference.Reference) { r.Deleted = true }},
	{"shared", "content that is a file", func(r *reference.Reference) { r.Content = link(cid.Raw, "x") }},
	{"shared", "marks that are a file", func(r *reference.Reference) { r.Marks = link(cid.Raw, "x") }},
	{"shared", "an owner in the founding", founding(func(f *reference.Founding) { f.Owner = link(cid.DagCBOR, "x") })},
	{"shared", "another path", func(r *reference.Reference) { r.Path = "root/other" }},
	{"shared", "seen", func(r *reference.Reference) { r.Seen = link(cid.DagCBOR, "x") }},
}

func TestCheck(t *testing.T) {
	for _, test := range badFields {
		r := *samples(t)[test.sample]
		test.change(&r)
		if err := r.Check(); !errors.Is(err, reference.ErrMalformed) {
			t.Errorf("%s with %s: %v", test.sample, test.why, err)
		}
		if data, err := r.Encode(); err == nil {
			if _, err := reference.Decode(data); err == nil {
				t.Errorf("%s with %s: decoded", test.sample, test.why)
			}
		}
	}
}

// TestJSONIsStrict spells a reference in other ways, which json readers tend to take.
func TestJSONIsStrict(t *testing.T) {
	data, err := samples(t)["shared"].JSON()
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	swap := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%s does not contain %s", text, old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for why, bad := range map[string]string{
		"a name in capitals":   swap(`".path"`, `".Path"`),
		"an unknown field":     swap(`{`, `{"!":1,`),
		"a field twice":        swap(`".epoch":0`, `".epoch":0,".epoch":0`),
		"twice, in capitals":   swap(`".epoch":0`, `".epoch":0,".EPOCH":0`),
		"another order":        swap(`".epoch":0,`, ``)[:len(text)-len(`".epoch":0,`)-1] + `,".epoch":0}`,
		"white space":          swap(`:`, `: `),
		"a line behind it":     text + "\n",
		"a second value":       text + text,
		"null":                 swap(`".epoch":0`, `".epoch":null`),
		"null for what may be": swap(`{`, `{".addresses":null,`),
		"a false flag":         swap(`".directory"`, `".deleted":false,".directory"`),
		"a fraction":           swap(`".epoch":0`, `".epoch":0.0`),
		"an escape":            swap(`root`, `\u0072oot`),
		"base64 without end":   swap(`==`, ``),
		"a number as text":     swap(`".epoch":0`, `".epoch":"0"`),
		"cut":                  text[:len(text)-1],
		"a list":               "[" + text + "]",
		"nothing":              "",
	} {
		if bad == text {
			t.Fatalf("%s: nothing changed", why)
		}
		if _, err := reference.FromJSON([]byte(bad)); !errors.Is(err, reference.ErrMalformed) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if !json.Valid(data) {
		t.Error("what is written is no JSON")
	}
}

// TestSignatureHoldsEveryField moves a signature to references that differ in one field.
func TestSignatureHoldsEveryField(t *testing.T) {
	s, other := treetest.NewSigner(1), treetest.NewSigner(2)
	shared := samples(t)["shared"]
	for why, change := range map[string]func(r *reference.Reference){
		"sequence": func(r *reference.Reference) { r.Sequence-- },
		"history":  func(r *reference.Reference) { r.History = link(cid.DagCBOR, "x") },
		"time":     func(r *reference.Reference) { r.Time-- },
		"content":  func(r *reference.Reference) { r.Content = link(cid.DagProtobuf, "x") },
		"no marks": func(r *reference.Reference) { r.Marks = nil },
		"path": func(r *reference.Reference) {
			f := treetest.Shared("root/other")
			r.Path, r.Directory = f.Path, &f
		},
		"directory": func(r *reference.Reference) {
			f := treetest.Shared(r.Path)
			f.Salt = bytes.Repeat([]byte{1}, 16)
			r.Directory = &f
		},
		"policy": func(r *reference.Reference) {
			f := reference.Founding{Policy: reference.OwnedPolicy, Owner: &r.Owner, Path: r.Path}
			r.Policy, r.Directory, r.Marks = f.Policy, &f, nil
		},
		"epoch": func(r *reference.Reference) { r.Epoch, r.Rotation = 1, link(cid.DagCBOR, "rotation") },
	} {
		r := *shared
		change(&r)
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v; the test wants a valid reference", why, err)
		}
		if err := r.Verify(s.Chain); err == nil {
			t.Errorf("another %s, and verified", why)
		}
	}
	r := *shared
	if err := r.Verify(other.Chain); !errors.Is(err, reference.ErrWrongOwner) {
		t.Errorf("another's identity: %v", err)
	}
	r.Owner.Cid = other.ID()
	if err := r.Verify(other.Chain); !errors.Is(err, reference.ErrUnknownKey) {
		t.Errorf("another owner: %v", err)
	}
	r.Key = other.Public()
	if err := r.Verify(other.Chain); !errors.Is(err, identity.ErrBadSignature) {
		t.Errorf("another owner and key: %v", err)
	}
	r = *shared
	r.Signature = nil
	if err := r.Verify(s.Chain); !errors.Is(err, identity.ErrUnsigned) {
		t.Errorf("no signature: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range samples(f) {
		data, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := reference.Decode(data)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is read and written as %x, %v", data, again, err)
		}
		text, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := reference.FromJSON(text)
		if err != nil {
			t.Fatalf("written as JSON and refused: %s: %v", text, err)
		}
		if b, err := again.Encode(); err != nil || !bytes.Equal(b, data) {
			t.Fatalf("%x is another by way of JSON: %x, %v", data, b, err)
		}
	})
}

func FuzzFromJSON(f *testing.F) {
	for _, r := range samples(f) {
		text, err := r.JSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := reference.FromJSON(data)
		if err != nil {
			return
		}
		if _, err := r.Encode(); err != nil {
			t.Fatalf("read, but not to be written: %v", err)
		}
	})
}

// TestRotationsOfANode shows nodes whose rotations are not the chain that leads to their key.
func TestRotationsOfANode(t *testing.T) {
	blocks := store.NewOverlay(store.NewMemory())
	if err := blocks.Put(t.Context(), treetest.NewSigner(1).Document.Block()); err != nil {
		t.Fatal(err)
	}
	node := samples(t)["node-2"]
	if err := node.VerifyWith(t.Context(), blocks); err != nil {
		t.Fatal(err)
	}
	first, second := node.Rotations[0], node.Rotations[1]
	for why, rotations := range map[string][][]byte{
		"the wrong order": {second, first}, "one twice": {second, second}, "the first twice": {first, first},
		"junk": {[]byte("junk"), second}, "one": {second}, "one too many": {first, first, second},
	} {
		bad := *node
		bad.Rotations = rotations
		if err := bad.VerifyWith(t.Context(), blocks); !errors.Is(err, reference.ErrMalformed) && !errors.Is(err, dagcbor.ErrMalformed) {
			t.Errorf("%s: %v", why, err)
		}
	}
}
