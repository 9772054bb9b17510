package kubotest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Peer is one peer of an IPFS Cluster, beside its daemon. Its methods end the test when they fail.
type Peer struct {
	API     string // multiaddr of the REST API
	Service string // URL of the Pinning Service API
	Proxy   string // multiaddr of the IPFS proxy

	tb     testing.TB
	dir    string
	name   string
	swarm  string // multiaddr by which other peers reach it
	cmd    *exec.Cmd
	log    lockedBuffer
	exited chan struct{}
}

// secret is what the peers of all clusters of tests have in common; they listen on loopback only.
const secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Cluster starts an IPFS Cluster with a peer for each of the daemons, which have to be online and
// are connected with each other. It is stopped at the end of the test. It returns when every peer
// knows all, and how much room each has, without which none is given anything to keep.
func Cluster(tb testing.TB, daemons ...*Kubo) []*Peer {
	tb.Helper()
	for i, k := range daemons {
		for _, other := range daemons[:i] {
			Connect(k, other)
		}
	}
	var peers []*Peer
	var others []string // that a peer has to be told of, as nothing else leads to what is on loopback
	for i, k := range daemons {
		p := &Peer{tb: tb, dir: filepath.Join(tb.TempDir(), "cluster"), name: fmt.Sprintf("peer%d", i+1)}
		p.configure(k)
		if i == 0 {
			p.start()
		} else {
			p.start("--bootstrap", strings.Join(others, ","))
		}
		tb.Cleanup(p.Stop)
		peers, others = append(peers, p), append(others, p.swarm)
	}
	for _, p := range peers {
		p.wait(len(peers))
	}
	return peers
}

// configure makes the folder of a peer, which is to pin in the daemon k.
func (p *Peer) configure(k *Kubo) {
	p.tb.Helper()
	if out, err := p.command("init", "--datastore", "leveldb").CombinedOutput(); err != nil {
		p.tb.Fatalf("ipfs-cluster-service init: %v\n%s", err, out)
	}
	anyPort := "/ip4/127.0.0.1/tcp/0"
	set := map[string]any{
		"cluster/listen_multiaddress": []string{anyPort}, "cluster/peername": p.name, "cluster/secret": secret,
		"cluster/monitor_ping_interval": "1s", "cluster/peer_watch_interval": "1s", "cluster/mdns_interval": "0s",
		"api/restapi/http_listen_multiaddress": anyPort, "api/pinsvcapi/http_listen_multiaddress": anyPort,
		"api/ipfsproxy/listen_multiaddress": anyPort, "api/ipfsproxy/node_multiaddress": k.API,
		"ipfs_connector/ipfshttp/node_multiaddress": k.API, "ipfs_connector/ipfshttp/pin_timeout": "10s",
		"informer/disk/metric_ttl": "8s", "informer/pinqueue/metric_ttl": "8s", "informer/tags/metric_ttl": "8s",
		"monitor/pubsubmon/check_interval": "1s",
	}
	file := filepath.Join(p.dir, "service.json")
	var config map[string]any
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	for path, value := range set {
		put(config, strings.Split(path, "/"), value)
	}
	if err == nil {
		data, err = json.Marshal(config)
	}
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		p.tb.Fatal(err)
	}
}

func put(config map[string]any, path []string, value any) {
	for ; len(path) > 1; path = path[1:] {
		inner, ok := config[path[0]].(map[string]any)
		if !ok {
			inner = map[string]any{}
			config[path[0]] = inner
		}
		config = inner
	}
	config[path[0]] = value
}

func (p *Peer) command(args ...string) *exec.Cmd {
	cmd := exec.Command(cluster.path(p.tb, clusterBinary), append([]string{"--config", p.dir}, args...)...)
	cmd.Env = append(os.Environ(), "CLUSTER_SECRET="+secret)
	return cmd
}

// start runs the peer until it says where it listens, and that it is ready.
func (p *Peer) start(args ...string) {
	p.tb.Helper()
	p.cmd = p.command(append([]string{"daemon"}, args...)...)
	dieWithParent(p.cmd)
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.cmd.Stderr = p.cmd.Stdout
		err = p.cmd.Start()
	}
	if err != nil {
		p.tb.Fatalf("ipfs-cluster-service: %v", err)
	}
	ready := make(chan bool, 1)
	p.exited = make(chan struct{})
	go p.watch(out, ready)
	select {
	case ok := <-ready:
		if ok && p.API != "" && p.Service != "" && p.Proxy != "" && p.swarm != "" {
			return
		}
	case <-time.After(time.Minute):
	}
	p.Stop()
	p.tb.Fatalf("ipfs-cluster-service did not start:\n%s", &p.log)
}

// watch reads the log of the peer.
func (p *Peer) watch(out io.Reader, ready chan<- bool) {
	defer close(p.exited)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		fmt.Fprintln(&p.log, line)
		after := func(mark string) string {
			_, rest, _ := strings.Cut(line, mark)
			address, _, _ := strings.Cut(rest, " ")
			return address
		}
		switch {
		case strings.Contains(line, "PINSVCAPI (HTTP): "):
			p.Service = "http://" + hostPort(after("(HTTP): "))
		case strings.Contains(line, "RESTAPI (HTTP): "):
			p.API = after("(HTTP): ")
		case strings.Contains(line, "IPFS Proxy: "):
			p.Proxy = after("IPFS Proxy: ")
		case p.swarm == "" && strings.HasPrefix(strings.TrimSpace(line), "/ip4/127.0.0.1/tcp/"):
			p.swarm = strings.TrimSpace(line)
		case strings.Contains(line, "IPFS Cluster is READY"):
			ready <- true
		}
	}
	p.cmd.Wait() // that it was killed is no news
	select {
	case ready <- false:
	default:
	}
}

// wait waits until the peer knows so many, with their room.
func (p *Peer) wait(peers int) {
	p.tb.Helper()
	var known int
	for range 240 {
		metrics, err := p.get("/monitor/metrics/freespace")
		var all []struct {
			Valid bool
			Peer  string
		}
		if err == nil {
			err = json.Unmarshal(metrics, &all)
		}
		seen := map[string]bool{}
		for _, m := range all {
			if m.Valid {
				seen[m.Peer] = true
			}
		}
		if known = len(seen); err == nil && known == peers {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	p.tb.Fatalf("%s knows the room of %d peers of %d:\n%s", p.name, known, peers, &p.log)
}

func (p *Peer) get(path string) ([]byte, error) {
	resp, err := http.Get("http://" + hostPort(p.API) + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, resp.Body)
	return b.Bytes(), err
}

// Stop ends the peer, and not its daemon.
func (p *Peer) Stop() {
	p.cmd.Process.Signal(syscall.SIGTERM) // if it has ended, that is what is wanted
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.exited
	}
}
