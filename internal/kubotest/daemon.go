package kubotest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// An Option changes how [Daemon] starts a daemon.
type Option func(*Kubo)

// Offline starts the daemon with --offline: it talks to no peer and asks nobody for blocks.
func Offline(k *Kubo) { k.args = append(k.args, "--offline") }

// Synced has the daemon sync each block to the disk, as one does that was not made for tests.
func Synced(k *Kubo) { k.sync = true }

// At puts the IPFS repository below the folder dir, such as one of [SmallDisk].
func At(dir string) Option { return func(k *Kubo) { k.Dir = filepath.Join(dir, "ipfs") } }

// Config sets one value of the configuration, as JSON, before the daemon starts.
func Config(key, value string) Option {
	return func(k *Kubo) { k.config = append(k.config, [2]string{key, value}) }
}

// Kubo is a daemon of a test. Its methods end the test when they fail.
type Kubo struct {
	Repo
	API     string // multiaddr of the RPC API, the same after a Restart
	Gateway string // URL of the gateway
	Peer    string // peer id

	tb     testing.TB
	args   []string
	sync   bool
	config [][2]string
	cmd    *exec.Cmd
	log    lockedBuffer
	exited chan struct{}
}

// Daemon starts an IPFS daemon with a repository of its own that listens only on loopback, at free
// ports, knows no other peer, and is stopped at the end of the test. It returns when the API
// answers.
func Daemon(tb testing.TB, options ...Option) *Kubo {
	tb.Helper()
	k := &Kubo{tb: tb, Repo: Repo{binary: Binary(tb), Dir: filepath.Join(tb.TempDir(), "ipfs")}}
	for _, option := range options {
		option(k)
	}
	k.Repo.Run(tb, "init", "--profile=test")
	k.listen("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0")
	for _, c := range k.config {
		k.Repo.Run(tb, "config", "--json", c[0], c[1])
	}
	if k.sync {
		k.syncBlocks()
	}
	k.Start()
	tb.Cleanup(k.Stop)
	k.Peer = k.Run("id", "-f", "<id>")
	k.keepPorts()
	return k
}

func (k *Kubo) listen(api, gateway string) {
	k.Repo.Run(k.tb, "config", "--json", "Addresses", fmt.Sprintf(
		`{"API": %q, "Gateway": %q, "Swarm": ["/ip4/127.0.0.1/tcp/0"]}`, api, gateway))
}

func (k *Kubo) syncBlocks() {
	file := filepath.Join(k.Dir, "config")
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(data, []byte(`"sync": false`), []byte(`"sync": true`), 1), 0o600)
	}
	if err != nil {
		k.tb.Fatal(err)
	}
}

// keepPorts writes the ports that were free into the configuration, for a Restart.
func (k *Kubo) keepPorts() {
	host, port, _ := strings.Cut(strings.TrimPrefix(k.Gateway, "http://"), ":")
	k.listen(k.API, "/ip4/"+host+"/tcp/"+port)
}

// Run runs ipfs, which talks to the daemon if that is running, and returns what it prints.
func (k *Kubo) Run(args ...string) string {
	k.tb.Helper()
	return k.Repo.Run(k.tb, args...)
}

// Start starts the daemon again after Stop or Kill.
func (k *Kubo) Start() {
	k.tb.Helper()
	k.cmd = k.Command(append([]string{"daemon"}, k.args...)...)
	dieWithParent(k.cmd)
	out, err := k.cmd.StdoutPipe()
	if err == nil {
		k.cmd.Stderr = &k.log
		err = k.cmd.Start()
	}
	if err != nil {
		k.tb.Fatalf("ipfs daemon: %v", err)
	}
	ready := make(chan bool, 1)
	k.exited = make(chan struct{})
	go k.watch(out, ready)
	if !<-ready {
		<-k.exited
		k.tb.Fatalf("ipfs daemon did not start:\n%s", &k.log)
	}
	k.API, k.Gateway = k.readFile("api"), k.readFile("gateway")
}

// watch reads what the daemon says and tells when it is ready, or has ended before.
func (k *Kubo) watch(out io.Reader, ready chan<- bool) {
	defer close(k.exited)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(&k.log, lines.Text())
		if lines.Text() == "Daemon is ready" {
			ready <- true
		}
	}
	k.cmd.Wait() // that it was killed is no news
	select {
	case ready <- false:
	default:
	}
}

func (k *Kubo) readFile(name string) string {
	k.tb.Helper()
	data, err := os.ReadFile(filepath.Join(k.Dir, name))
	if err != nil {
		k.tb.Fatalf("ipfs daemon: %v\n%s", err, &k.log)
	}
	return strings.TrimSpace(string(data))
}

// Stop ends the daemon in order, and Kill at once. Neither does anything if it is not running.
func (k *Kubo) Stop() { k.end(syscall.SIGTERM) }

// Kill ends the daemon at once.
func (k *Kubo) Kill() { k.end(syscall.SIGKILL) }

func (k *Kubo) end(how syscall.Signal) {
	k.cmd.Process.Signal(how) // if it has ended, that is what is wanted
	select {
	case <-k.exited:
	case <-time.After(30 * time.Second):
		k.cmd.Process.Kill()
		<-k.exited
	}
	// What a killed daemon leaves would be taken for a running one.
	os.Remove(filepath.Join(k.Dir, "api"))
	os.Remove(filepath.Join(k.Dir, "gateway"))
}

// Restart stops the daemon and starts it again, at the same address.
func (k *Kubo) Restart() {
	k.tb.Helper()
	k.Stop()
	k.Start()
}

// Suspend stops the daemon's process where it is, so that it keeps its connections and answers
// nothing, until the function that is returned is called.
func (k *Kubo) Suspend() (resume func()) {
	k.cmd.Process.Signal(syscall.SIGSTOP)
	resume = sync.OnceFunc(func() { k.cmd.Process.Signal(syscall.SIGCONT) })
	k.tb.Cleanup(resume)
	return resume
}

// Connect connects two daemons, neither of which is offline.
func Connect(a, b *Kubo) {
	a.tb.Helper()
	for _, address := range strings.Split(b.Run("id", "-f", "<addrs>"), "\n") {
		a.Run("swarm", "connect", address)
	}
}

// lockedBuffer is written by a process and read by a test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
