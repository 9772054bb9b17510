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

// TestServices asks a real cluster, by both of its APIs.
func TestServices(t *testing.T) {
	daemons, peers := threeDaemons(t)
	cluster, err := pinning.OpenCluster(peers[0].API, 2, pinning.Options{})
	if err != nil {
		t.Fatal(err)
	}
	remote, err := pinning.OpenRemote(peers[0].Service, pinning.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("cluster", func(t *testing.T) { liveAndDie(t, daemons, cluster, "cluster", 2) })
	t.Run("remote", func(t *testing.T) { liveAndDie(t, daemons, remote, "remote", 1) })
	t.Run("too many replicas", func(t *testing.T) { tooMany(t, daemons, peers) })
	t.Run("a machine is gone", func(t *testing.T) { loseMachine(t, daemons, peers) })
	t.Run("wrong ports", func(t *testing.T) { wrongPorts(t, daemons, peers) })
}

// liveAndDie goes through the life of a pin, which the service says is at so many places. It is on two
// machines at least in any case.
func liveAndDie(t *testing.T, daemons []*kubotest.Kubo, s pinning.Service, kind string, places int) {
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	name := "archivecache/" + kind + "/node"
	root := addFile(t, daemons[0], kind)
	for range 2 { // twice is once
		if _, err := s.Pin(t.Context(), root, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	pins := await(t, s, name, pinnedAt(places))
	for tries := 0; ; tries++ { // asked for again a machine may say that it is at it
		p, err := s.Look(t.Context(), pins[0])
		if err == nil && p.Pinned() == places && p.Root.Equals(root) {
			break
		}
		if tries == 60 {
			t.Fatalf("look: %+v, %v", p, err)
		}
		time.Sleep(250 * time.Millisecond)
	}
	if !pins[0].Root.Equals(root) {
		t.Errorf("pinned is %s, not %s", pins[0].Root, root)
	}
	// By the Pinning Service API a cluster says so as soon as one machine has it.
	for n, tries := keptBy(daemons, root), 0; n < 2; n, tries = keptBy(daemons, root), tries+1 {
		if tries == 60 {
			t.Fatalf("%d daemons have pinned it", n)
		}
		time.Sleep(250 * time.Millisecond)
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
}

// tooMany pins on more machines than there are: it is on those then.
func tooMany(t *testing.T, daemons []*kubotest.Kubo, peers []*kubotest.Peer) {
	s, err := pinning.OpenCluster(peers[1].API, 9, pinning.Options{})
	if err != nil {
		t.Fatal(err)
	}
	name := "archivecache/nine/node"
	if _, err = s.Pin(t.Context(), addFile(t, daemons[0], "nine"), name, nil); err != nil {
		t.Fatal(err)
	}
	await(t, s, name, pinnedAt(3))
}

// loseMachine stops one that has a pin.
func loseMachine(t *testing.T, daemons []*kubotest.Kubo, peers []*kubotest.Peer) {
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
}

// wrongPorts takes one API for another.
func wrongPorts(t *testing.T, daemons []*kubotest.Kubo, peers []*kubotest.Peer) {
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
}
