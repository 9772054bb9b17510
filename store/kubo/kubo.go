// Package kubo keeps blocks in an IPFS daemon, kubo, over its RPC API.
//
// # Blocks
//
// The daemon keys blocks by their multihash, so they go up, and are pinned, under the raw alias of
// their CID: version 1, codec raw, the same multihash. The daemon decodes nothing. They come down
// by block/get, many at a time, and are hashed again here.
//
// # Manifests
//
// The daemon's garbage collector takes whatever hangs from no pin. So a [Writer] sends its blocks in
// batches, each as one CAR with a manifest as its root, and pins that, which reads all of it. If the
// collector was faster, it sends the batch once more by a call that pins what it imports while the
// collector waits. Blocks that the daemon is to fetch by itself are put on manifests without being
// sent ([Writer.Gather]). A manifest is a dag-pb node:
//
//	Links  one for each block of the batch: the raw alias, an empty name, and as Tsize the size of
//	       the block in bytes; in ascending order of the digests, none twice
//	Data   "archivecache manifest 1\nNAME\nTIME\nNONCE\n"
//
// NAME is [Options].Name, TIME when it was made, in seconds since 1970 in decimal, and NONCE 32
// random hexadecimal digits: two batches with the same blocks have a pin each, and nobody takes
// away that of another. The pin is named "archivecache/NAME/batch/" and the first 8 digits of
// the nonce; a manifest whose process died before it had its name is still known by its Data.
// So what a repository has written is what its manifests link, and that is all that is kept of it
// beside what is pinned by [Daemon.Pin]. [Store.Compact] makes few manifests of many.
//
// # Pins
//
// The daemon has one pin for a root, however many want it kept. Therefore [Daemon.Pin] does not
// pin the root but a small dag-pb node that belongs to this repository and this purpose:
//
//	Links  the root, with an empty name and Tsize 0
//	Data   "archivecache pin 1\nNAME\nSUFFIX\n"
//
// # Trust
//
// The daemon is asked and not believed: answers are bounded, decoded strictly, and read to their
// end, since kubo reports late failures behind it; blocks are hashed. What it cannot be held to is
// that it keeps what it says it keeps.
package kubo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ipfs/kubo/client/rpc"
)

// MinVersion is the oldest kubo that serves: the first that imports blocks of 2 MiB.
const MinVersion = "0.40.0"

// Options says how to talk to a daemon. The zero value of each but Name is its default.
type Options struct {
	// Name is the repository's name in the names of pins: letters, digits, and "._-" between them,
	// at most 64. It is to be different for each repository that uses the daemon.
	Name string
	// Timeout is how long a call may be without any news from the daemon; 60 s by default. A call
	// that writes may have to wait for the daemon's garbage collector, so it has 5 times as long.
	Timeout time.Duration
	// Parallel is how many blocks are asked for at a time; 32 by default.
	Parallel int
}

// What can be wrong with a daemon. Errors wrap these, with the address and the reason.
var (
	ErrUnreachable = errors.New("not reachable")           // wrong address, not running, silent, or cut off
	ErrDenied      = errors.New("access denied")           // the daemon wants an authorization, or the address is guarded
	ErrNotKubo     = errors.New("not the RPC API of kubo") // such as the port of the gateway
	ErrProxy       = errors.New("the IPFS proxy of a cluster, and no daemon")
	ErrTooOld      = errors.New("this kubo is too old")     // older than MinVersion
	ErrFull        = errors.New("the disk of kubo is full") // or its limit is reached
	ErrName        = errors.New("not a name for pins")      // of Options
	errSilent      = errors.New("no answer")                // the cause when a call is given up
)

// waiting is how many times as long a call may be silent that may wait for the daemon's lock.
const waiting = 5

// A Daemon is a running kubo. It is safe for use by several goroutines.
type Daemon struct {
	address  string
	name     string
	timeout  time.Duration
	parallel int
	version  string
	api      *rpc.HttpApi
	http     *transport
}

// ValidName reports whether a name can stand in those of pins, as [Options].Name says. A regular
// expression would cost every command 0.3 ms at its start.
func ValidName(name string) bool {
	wrong := strings.ContainsFunc(name, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-", r)
	})
	ends := strings.TrimFunc(name, func(r rune) bool { return r == '.' || r == '-' })
	return name != "" && len(name) <= 64 && !wrong && ends == name
}

// Open returns the daemon at api: a multiaddr, such as /ip4/127.0.0.1/tcp/5001, /dns4/HOST/tcp/5001
// or /unix/PATH, or the beginning of a URL, such as http://127.0.0.1:5001. "" is what stands in
// $IPFS_PATH/api, or ~/.ipfs/api if that is not set. It asks the daemon for its version.
func Open(ctx context.Context, api string, opt Options) (*Daemon, error) {
	if !ValidName(opt.Name) {
		return nil, fmt.Errorf("%w: %q", ErrName, opt.Name)
	}
	a, err := findAddress(api)
	if err != nil {
		return nil, err
	}
	d := &Daemon{address: a.Text, name: opt.Name, timeout: opt.Timeout, parallel: opt.Parallel}
	if d.timeout <= 0 {
		d.timeout = 60 * time.Second
	}
	if d.parallel <= 0 {
		d.parallel = 32
	}
	if err := d.connect(a); err != nil {
		return nil, err
	}
	if err := d.readVersion(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Close closes the connections that are open. The daemon goes on.
func (d *Daemon) Close() error {
	d.http.close()
	return nil
}

// Address returns the address as it was given, or found.
func (d *Daemon) Address() string { return d.address }

// Version returns the version of kubo, such as "0.43.0".
func (d *Daemon) Version() string { return d.version }

// ID returns the peer id of the daemon and the addresses by which its peers know it.
func (d *Daemon) ID(ctx context.Context) (peer string, addresses []string, err error) {
	var answer struct {
		ID        string
		Addresses []string
	}
	if err := d.ask(ctx, call{command: "id"}, &answer); err != nil {
		return "", nil, err
	}
	if answer.ID == "" {
		return "", nil, d.wrap("id", errors.New("the answer has no peer id"))
	}
	return answer.ID, answer.Addresses, nil
}

func (d *Daemon) readVersion(ctx context.Context) error {
	var answer struct{ Version string }
	if err := d.ask(ctx, call{command: "version"}, &answer); err != nil {
		return d.judge(ctx, err)
	}
	minor, err := parseVersion(answer.Version)
	if err != nil {
		return d.wrap("version", fmt.Errorf("%w: %w", ErrNotKubo, err))
	}
	if least, _ := parseVersion(MinVersion); minor < least {
		return d.wrap("version", fmt.Errorf("%w: %s, and at least %s is needed", ErrTooOld, answer.Version, MinVersion))
	}
	d.version = answer.Version
	return nil
}

// judge finds out from the failure of the first call who answers.
func (d *Daemon) judge(ctx context.Context, err error) error {
	var refused *refusal
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrUnreachable), errors.Is(err, ErrDenied):
		return err
	case errors.As(err, &refused) && refused.kubo:
		return err
	}
	return d.wrap("version", fmt.Errorf("%w: %w", ErrNotKubo, reason(err)))
}

// parseVersion reads "0.43.0" or "1.2.0-dev" into a number that grows with the version.
func parseVersion(s string) (int, error) {
	core, _, _ := strings.Cut(s, "-")
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return 0, fmt.Errorf("version %.40q", s)
	}
	n := 0
	for _, part := range parts {
		v, err := strconv.ParseUint(part, 10, 16)
		if err != nil || v > 999 {
			return 0, fmt.Errorf("version %.40q", s)
		}
		n = n*1000 + int(v)
	}
	return n, nil
}

// ask makes a call whose answer is one JSON value of at most 1 MiB.
func (d *Daemon) ask(ctx context.Context, c call, answer any) error {
	return d.do(ctx, c, func(r *reply) error {
		data, err := readAll(r, maxAnswer)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, answer); err != nil {
			return fmt.Errorf("answer %.60q: %w", data, err)
		}
		return nil
	})
}

// wrap says of an error which daemon it is about and what was asked.
func (d *Daemon) wrap(command string, err error) error {
	return &CallError{Address: d.address, Command: command, Err: err}
}

// A CallError is a call to a daemon that failed.
type CallError struct {
	Address string // of the daemon
	Command string // such as "block/get"
	Err     error
}

func (e *CallError) Error() string {
	return fmt.Sprintf("IPFS daemon at %s: %s: %v", e.Address, e.Command, e.Err)
}

// Unwrap returns the reason.
func (e *CallError) Unwrap() error { return e.Err }

// reason returns what is inside of a CallError.
func reason(err error) error {
	var c *CallError
	if errors.As(err, &c) {
		return c.Err
	}
	return err
}
