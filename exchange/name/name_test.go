package name_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"archivecache/exchange"
	"archivecache/exchange/name"
	"archivecache/store"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
)

var node = store.Sum(cid.DagCBOR, []byte("a node"))

func generate(t testing.TB) *name.Key {
	t.Helper()
	k, err := name.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k *name.Key, sequence uint64, lifetime time.Duration) []byte {
	t.Helper()
	data, err := k.Sign(node, sequence, time.Now().Add(lifetime))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestVerify(t *testing.T) {
	k, other := generate(t), generate(t)
	data := sign(t, k, name.Sequence(256, 1<<53-1), time.Hour)
	for _, given := range []string{k.Name(), "", "/ipns/" + k.Name()} {
		r, err := name.Verify(data, given)
		if err != nil || r.Name != k.Name() || !r.Node.Equals(node) || r.Sequence != 256<<53+1<<53-1 || time.Until(r.Until) > time.Hour {
			t.Errorf("%q: %+v, %v", given, r, err)
		}
	}
	if _, err := name.Verify(data, other.Name()); !errors.Is(err, name.ErrRecord) {
		t.Errorf("of another name: %v", err)
	}
	if r, err := name.Verify(sign(t, k, 7, -time.Hour), ""); !errors.Is(err, name.ErrExpired) || r.Sequence != 7 {
		t.Errorf("expired: %+v, %v", r, err)
	}
	for i := range data {
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			if r, err := name.Verify(bad, k.Name()); err == nil && (!r.Node.Equals(node) || r.Name != k.Name() || r.Sequence != name.Sequence(256, 1<<53-1)) {
				t.Errorf("byte %d changed: %+v", i, r)
			}
		}
		if _, err := name.Verify(data[:i], k.Name()); err == nil {
			t.Errorf("cut at %d", i)
		}
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v %s", k, k, k, k), "private") {
		t.Error("the key is printed")
	}
}

// TestValues is about records that lead elsewhere than to the CID of a node.
func TestValues(t *testing.T) {
	private, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"/ipfs/" + node.String() + "/root", "/ipfs/" + store.Sum(cid.Raw, []byte("x")).String(), "/ipfs/bafkqaaa",
		"/ipfs/" + cid.NewCidV0(node.Hash()).String(), "/ipns/" + generate(t).Name(), "/ipns/ipfs.tech",
	} {
		value, err := path.NewPath(text)
		if err != nil {
			t.Fatal(err)
		}
		record, err := ipns.NewRecord(private, value, 1, time.Now().Add(time.Hour), time.Minute, ipns.WithPublicKey(true))
		if err != nil {
			t.Fatal(err)
		}
		data, err := ipns.MarshalRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := name.Verify(data, ""); !errors.Is(err, name.ErrRecord) {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
}

func TestParse(t *testing.T) {
	k := generate(t)
	id, err := ipns.NameFromString(k.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{k.Name(), "/ipns/" + k.Name(), id.Peer().String(), id.Cid().String()} {
		if got, err := name.Parse(text); err != nil || got != k.Name() {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "me.ipns", "/ipfs/" + k.Name(), node.String(), "ipfs.tech", strings.Repeat("k", 300)} {
		if got, err := name.Parse(text); !errors.Is(err, name.ErrName) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "names")
	f := name.Folder(dir)
	var group sync.WaitGroup
	names := make([]string, 8)
	for i := range names {
		group.Go(func() {
			k, err := f.Key(node)
			if err != nil {
				t.Error(err)
				return
			}
			names[i] = k.Name()
		})
	}
	group.Wait()
	for _, n := range names {
		if n != names[0] || n == "" {
			t.Fatalf("different keys: %q", names)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	k, err := f.Key(node)
	if err != nil {
		t.Fatal(err)
	}
	keep := func(sequence uint64, lifetime time.Duration, want error) {
		t.Helper()
		if err := f.Keep(k.Name(), sign(t, k, sequence, lifetime)); !errors.Is(err, want) {
			t.Errorf("keep %d: %v", sequence, err)
		}
	}
	keep(5, time.Hour, nil)
	keep(5, time.Minute, nil)
	keep(4, time.Hour, name.ErrOlder)
	keep(6, -time.Hour, name.ErrExpired)
	data, err := f.Record(k.Name())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := name.Verify(data, k.Name()); err != nil || r.Sequence != 5 {
		t.Errorf("%+v, %v", r, err)
	}
	// What has expired still says how far the name was.
	if err := os.WriteFile(filepath.Join(dir, k.Name()+".record"), sign(t, k, 9, -time.Hour), 0o600); err != nil {
		t.Fatal(err)
	}
	keep(8, time.Hour, name.ErrOlder)
	keep(9, time.Hour, nil)
	if data, err := f.Record(generate(t).Name()); data != nil || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := f.Record("../" + k.Name()); !errors.Is(err, name.ErrName) {
		t.Errorf("a path: %v", err)
	}
	file := filepath.Join(dir, node.String()+".key")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Key(node); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key for everybody: %v", err)
	}
	if err := errors.Join(os.WriteFile(file, []byte("garbage"), 0o600), os.Chmod(file, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Key(node); err == nil || !strings.Contains(err.Error(), "not the key of a name") {
		t.Errorf("a damaged key: %v", err)
	}
}

// answering returns the address of a server that always answers so.
func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func gateway(t *testing.T, h http.HandlerFunc) name.Source {
	t.Helper()
	a, err := exchange.ParseAddress(answering(t, h))
	if err != nil {
		t.Fatal(err)
	}
	return name.Gateway{Address: a}
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// TestFind takes the newest of what several sources say, some of which are wrong.
func TestFind(t *testing.T) {
	k := generate(t)
	record := func(sequence uint64, lifetime time.Duration) name.Source {
		return gateway(t, text(200, string(sign(t, k, sequence, lifetime))))
	}
	bad := []name.Source{
		gateway(t, text(404, "no")), gateway(t, text(200, "")), gateway(t, text(200, strings.Repeat("x", 1<<20))), record(9, -time.Hour),
		gateway(t, text(200, string(sign(t, generate(t), 9, time.Hour)))),
		gateway(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String()+"&x", http.StatusTemporaryRedirect)
		}),
	}
	_, err := name.Find(t.Context(), k.Name(), bad)
	if !errors.Is(err, name.ErrNotFound) {
		t.Fatalf("%v", err)
	}
	for _, word := range []string{"status 404", "more than 10240 bytes", "expired", "does not match", "status 307"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("it does not say %q: %v", word, err)
		}
	}
	all := append(bad, record(3, time.Hour), record(4, time.Hour), record(4, 2*time.Hour), record(2, 9*time.Hour))
	r, err := name.Find(t.Context(), k.Name(), all)
	if err != nil || r.Sequence != 4 || time.Until(r.Until) < 90*time.Minute {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestDeadline is about a gateway that never answers.
func TestDeadline(t *testing.T) {
	never := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := name.Find(ctx, generate(t).Name(), []name.Source{gateway(t, never)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// FuzzVerify checks that what is accepted was signed by the key of the name, and leads to a CID that a
// node can have.
func FuzzVerify(f *testing.F) {
	private, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte("seed"), 8)))
	if err != nil {
		f.Fatal(err)
	}
	record, err := ipns.NewRecord(private, path.FromCid(node), 3, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), time.Minute, ipns.WithPublicKey(true))
	if err != nil {
		f.Fatal(err)
	}
	data, err := ipns.MarshalRecord(record)
	if err != nil {
		f.Fatal(err)
	}
	good, err := name.Verify(data, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:50])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := name.Verify(data, good.Name)
		if err == nil && r != good {
			t.Errorf("%+v, and only %+v was signed", r, good)
		}
		if r, err := name.Verify(data, ""); err == nil && (r.Name == "" || r.Node.Type() != cid.DagCBOR) {
			t.Errorf("%+v", r)
		}
	})
}
