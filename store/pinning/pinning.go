// Package pinning has others keep what is published: an IPFS Cluster, by its REST API
// (https://ipfscluster.io/documentation/reference/api/), or any service with the Pinning Service API
// (https://ipfs.github.io/pinning-services-api-spec/).
//
// Both are told a CID and a name, fetch all that hangs from it from the IPFS network, and keep it.
// They have no block from here: an IPFS daemon has to give it to them.
//
// # Trust
//
// A service is asked and not believed: answers are bounded and decoded strictly, redirects are not
// followed, so that a token goes nowhere else, and a token goes over the network encrypted only.
// What a service cannot be held to is that it keeps what it says it keeps.
package pinning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"archivecache/store/endpoint"

	"github.com/ipfs/go-cid"
)

// What can be wrong with a service. Errors wrap these, with the address and the reason.
var (
	ErrUnreachable = errors.New("not reachable")                          // wrong address, not running, silent, or cut off
	ErrDenied      = errors.New("access denied")                          // no token, or a wrong one
	ErrNotCluster  = errors.New("not the REST API of an IPFS Cluster")    // such as another port of it
	ErrNotService  = errors.New("not the Pinning Service API")            // such as the page of a service
	ErrClear       = errors.New("a token does not go there in the clear") // http to another machine
)

// maxPins is how many pins of one name are looked at.
const maxPins = 1000

// A Service keeps DAGs. It is safe for use by several goroutines.
type Service interface {
	// Check returns an error unless the service is there and is what it is taken for.
	Check(ctx context.Context) error
	// Pin asks the service to keep root, with all that hangs from it, under a name. Origins are
	// multiaddrs of who has the blocks. It returns when the service has taken note of that. Pin
	// twice is Pin once, and asks again for what failed.
	Pin(ctx context.Context, root cid.Cid, name string, origins []string) (Pin, error)
	// Pins returns what the service keeps, or is about to, under a name: at most 1,000, and more
	// are an error.
	Pins(ctx context.Context, name string) ([]Pin, error)
	// Look returns how far a pin is by now.
	Look(ctx context.Context, p Pin) (Pin, error)
	// Unpin ends a pin. One that is not there is no error.
	Unpin(ctx context.Context, p Pin) error
}

// A Pin is a root that a service keeps, or is about to.
type Pin struct {
	Root   cid.Cid
	Places []Place
	id     string // by which the service knows it
}

// Pinned returns at how many places all of it is.
func (p Pin) Pinned() int { return p.count(Pinned) }

// Failed returns at how many places it could not be had.
func (p Pin) Failed() int { return p.count(Failed) }

func (p Pin) count(s State) (n int) {
	for _, at := range p.Places {
		if at.State == s {
			n++
		}
	}
	return n
}

// A Place is one machine that keeps a pin, or a service that does not say which.
type Place struct {
	Name  string
	State State
	Why   string // of what has failed
}

// A State says how far a place is.
type State string

// States, in the words of the Pinning Service API.
const (
	Queued  State = "queued"
	Pinning State = "pinning"
	Pinned  State = "pinned"
	Failed  State = "failed"
)

// Options says how to talk to a service. The zero value of each is its default.
type Options struct {
	// Token is what the service knows its user by: NAME:PASSWORD, which is for clusters, or a
	// bearer token.
	Token string
	// Timeout is how long a call may take, 30 s by default.
	Timeout time.Duration
}

// A CallError is a call to a service that failed.
type CallError struct {
	Address string
	Call    string // such as "POST /pins"
	Err     error
}

func (e *CallError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Address, e.Call, e.Err) }

// Unwrap returns the reason.
func (e *CallError) Unwrap() error { return e.Err }

// checkToken refuses to send a token where others can read it.
func checkToken(a endpoint.Address, token string) error {
	if token != "" && !a.Private() {
		return fmt.Errorf("%s: %w", a.Text, ErrClear)
	}
	return nil
}
