package kubo_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"archivecache/internal/kubotest"
	"archivecache/store"
	"archivecache/store/kubo"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// TestRecord puts IPNS records into a daemon and gets them back.
func TestRecord(t *testing.T) {
	private, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	name := ipns.NameFromPeer(id).String()
	to := func(sequence uint64) path.Path { return path.FromCid(store.Sum(cid.Raw, []byte{byte(sequence)})) }
	sign := func(sequence uint64) []byte {
		r, err := ipns.NewRecord(private, to(sequence), sequence, time.Now().Add(time.Hour), 0)
		if err != nil {
			t.Fatal(err)
		}
		data, err := ipns.MarshalRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	ctx, second := t.Context(), sign(2)
	bad := [][]byte{sign(1), []byte("garbage"), bytes.Replace(second, []byte("/ipfs/"), []byte("/ipfx/"), 1)}
	for _, mode := range []kubotest.Option{kubotest.Offline, kubotest.Config("Routing.Type", `"dhtserver"`)} {
		d := open(t, kubotest.Daemon(t, mode).API, "records")
		if err := d.PutRecord(ctx, name, bad[1], to(1).String()); err == nil || !strings.Contains(err.Error(), "was not taken") {
			t.Errorf("garbage first: %v", err)
		}
		if err := d.PutRecord(ctx, name, second, to(2).String()); err != nil {
			t.Fatal(err)
		}
		for _, record := range bad {
			if err := d.PutRecord(ctx, name, record, to(1).String()); err == nil || !strings.Contains(err.Error(), "was not taken") {
				t.Errorf("%.20q: %v", record, err)
			}
		}
	}
	k := kubotest.Daemon(t, kubotest.Config("Routing.Type", `"dhtserver"`))
	for what, answer := range map[string]string{"no record": `{"Extra":"","Type":5}`, "no JSON": "hello", "too long": `{"Extra":"` + strings.Repeat("A", 1<<20) + `"}`} {
		lying := open(t, kubotest.Faulty(t, k, kubotest.Answer("application/json", answer, "routing/get")), "records")
		if got, err := lying.Record(ctx, name); err == nil || !strings.Contains(err.Error(), "routing/get") {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}
	silent := openWith(t, kubotest.Faulty(t, k, kubotest.Hang("routing/get", "routing/put")), kubo.Options{Name: "records", Timeout: 100 * time.Millisecond})
	if _, err := silent.Record(ctx, name); !errors.Is(err, kubo.ErrUnreachable) {
		t.Errorf("silent: %v", err)
	}
	if err := silent.PutRecord(ctx, name, second, to(2).String()); !errors.Is(err, kubo.ErrUnreachable) {
		t.Errorf("silent: %v", err)
	}
}
