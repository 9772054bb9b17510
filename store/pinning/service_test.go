package pinning_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"archivecache/internal/kubotest"
	"archivecache/store/pinning"

	"github.com/ipfs/go-cid"
)

// threeDaemons starts three daemons and a cluster of them.
func threeDaemons(t *testing.T) ([]*kubotest.Kubo, []*kubotest.Peer) {
	t.Helper()
	daemons := []*kubotest.Kubo{kubotest.Daemon(t), kubotest.Daemon(t), kubotest.Daemon(t)}
	return daemons, kubotest.Cluster(t, daemons...)
}

// addFile puts a file into a daemon, pinned by nothing, and returns its root.
func addFile(t *testing.T, k *kubotest.Kubo, text string) cid.Cid {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := cid.Decode(k.Run("add", "-Q", "--pin=false", "--cid-version=1", file))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// await asks for the pins of a name until done says that it is enough.
func await(t *testing.T, s pinning.Service, name string, done func([]pinning.Pin) bool) []pinning.Pin {
	t.Helper()
	var pins []pinning.Pin
	var err error
	for range 240 { // a cluster that loses a machine may fail to answer now and then
		if pins, err = s.Pins(t.Context(), name); err == nil && done(pins) {
			return pins
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Fatalf("%s: %+v, %v", name, pins, err)
	return nil
}

func pinnedAt(n int) func([]pinning.Pin) bool {
	return func(pins []pinning.Pin) bool { return len(pins) == 1 && pins[0].Pinned() == n }
}

func none(pins []pinning.Pin) bool { return len(pins) == 0 }

// keptBy returns how many of the daemons have pinned root.
func keptBy(daemons []*kubotest.Kubo, root cid.Cid) (n int) {
	for _, k := range daemons {
		if strings.Contains(k.Run("pin", "ls", "--type=recursive", "-q"), root.String()) {
			n++
		}
	}
	return n
}

// TestServices goes through the life of a pin at a real cluster, by both of its APIs.
func TestServices(t *testing.T) {
	daemons, peers := threeDaemons(t)
	open := map[string]func() (pinning.Service, error){
		"cluster": func() (pinning.Service, error) { return pinning.OpenCluster(peers[0].API, 2, pinning.Options{}) },
		"remote":  func() (pinning.Service, error) { return pinning.OpenRemote(peers[0].Service, pinning.Options{}) },
	}
	want := map[string]int{"cluster": 2, "remote": 1}
	copies := map[string]int{"cluster": 2, "remote": 3} // the cluster's own default is everywhere
	for kind := range open {
		t.Run(kind, func(t *testing.T) {
			s, err := open[kind]()
			if err == nil {
				err = s.Check(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			name := "archivecache/" + kind + "/node"
			root := addFile(t, daemons[0], kind)
			for range 2 { // twice is once
				if _, err := s.Pin(t.Context(), root, name, nil); err != nil {
					t.Fatal(err)
				}
			}
			pins := await(t, s, name, pinnedAt(want[kind]))
			if p, err := s.Look(t.Context(), pins[0]); err != nil || p.Pinned() != want[kind] || !p.Root.Equals(root) {
				t.Errorf("look: %+v, %v", p, err)
			}
			if !pins[0].Root.Equals(root) {
				t.Errorf("pinned is %s, not %s", pins[0].Root, root)
			}
			if n := keptBy(daemons, root); n < min(2, copies[kind]) {
				t.Errorf("%d daemons have pinned it", n)
			}
			if other, err := s.Pins(t.Context(), name+"s"); err != nil || len(other) > 0 {
				t.Errorf("under another name: %v, %v", other, err)
			}
			for range 2 {
				if err := s.Unpin(t.Context(), pins[0]); err != nil {
					t.Error(err)
				}
			}
			await(t, s, name, none)
		})
	}
	t.Run("too many replicas", func(t *testing.T) {
		s, err := pinning.OpenCluster(peers[1].API, 9, pinning.Options{})
		if err != nil {
			t.Fatal(err)
		}
		name := "archivecache/nine/node"
		if _, err = s.Pin(t.Context(), addFile(t, daemons[0], "nine"), name, nil); err != nil {
			t.Fatal(err)
		}
		await(t, s, name, pinnedAt(3)) // as many as there are
	})
	t.Run("a machine is gone", func(t *testing.T) {
		s, err := pinning.OpenCluster(peers[0].API, 2, pinning.Options{})
		if err != nil {
			t.Fatal(err)
		}
		root, name := addFile(t, daemons[0], "gone"), "archivecache/gone/node"
		if _, err := s.Pin(t.Context(), root, name, nil); err != nil {
			t.Fatal(err)
		}
		pins := await(t, s, name, pinnedAt(2))
		// One that has it, and is not the one that is asked.
		gone := slices.IndexFunc(pins[0].Places, func(at pinning.Place) bool { return at.Name != "peer1" })
		which := map[string]int{"peer2": 1, "peer3": 2}[pins[0].Places[gone].Name]
		peers[which].Stop()
		daemons[which].Stop()
		await(t, s, name, func(pins []pinning.Pin) bool { return len(pins) == 1 && pins[0].Pinned() == 1 && pins[0].Failed() == 1 })
		// Asked again, another one takes its place, when the cluster has understood.
		await(t, s, name, func(pins []pinning.Pin) bool {
			if len(pins) == 1 && pins[0].Pinned() == 2 {
				return true
			}
			if _, err := s.Pin(t.Context(), root, name, nil); err != nil {
				t.Log(err)
			}
			return false
		})
	})
	t.Run("wrong ports", func(t *testing.T) {
		for _, address := range []string{peers[0].Proxy, daemons[0].API, peers[0].Service} {
			s, err := pinning.OpenCluster(address, 2, pinning.Options{})
			if err == nil {
				err = s.Check(t.Context())
			}
			if !errors.Is(err, pinning.ErrNotCluster) {
				t.Errorf("%s as a cluster: %v", address, err)
			}
		}
		for _, address := range []string{daemons[0].Gateway, "http://127.0.0.1:" + peers[0].API[strings.LastIndex(peers[0].API, "/")+1:] + "/x"} {
			s, err := pinning.OpenRemote(address, pinning.Options{})
			if err == nil {
				err = s.Check(t.Context())
			}
			if !errors.Is(err, pinning.ErrNotService) {
				t.Errorf("%s as a pinning service: %v", address, err)
			}
		}
	})
}
