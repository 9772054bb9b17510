package pinning

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"archivecache/store/endpoint"

	"github.com/ipfs/boxo/pinning/remote/client/openapi"
	"github.com/ipfs/go-cid"
)

// maxOrigins is how many origins the specification allows.
const maxOrigins = 20

// A Remote is a service with the Pinning Service API. The generated layer of boxo's client does the
// calls; what stands above it there lets nobody bound what is read, and lists without an end.
type Remote struct {
	address endpoint.Address
	api     *openapi.PinsApiService
}

var _ Service = (*Remote)(nil)

// OpenRemote returns the service at a URL, such as https://pinning.example.org/psa, behind which it
// has /pins. It does not dial.
func OpenRemote(address string, opt Options) (*Remote, error) {
	a, err := endpoint.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("address of pinning service %.100q: %w", address, err)
	}
	if err := checkToken(a, opt.Token); err != nil {
		return nil, err
	}
	config := openapi.NewConfiguration()
	config.UserAgent = "archivecache"
	config.HTTPClient = newClient(a, opt, maxAnswer)
	config.Servers = openapi.ServerConfigurations{{URL: a.URL}}
	return &Remote{address: a, api: openapi.NewAPIClient(config).PinsApi}, nil
}

// Check implements [Service].
func (r *Remote) Check(ctx context.Context) error {
	results, _, err := r.api.PinsGet(ctx).Limit(1).Execute()
	if err == nil && results.Results == nil {
		err = errors.New("an answer without results")
	}
	return r.explain("GET /pins", err)
}

// Pin implements [Service].
func (r *Remote) Pin(ctx context.Context, root cid.Cid, name string, origins []string) (Pin, error) {
	pins, err := r.Pins(ctx, name)
	if err != nil {
		return Pin{}, err
	}
	var known *Pin
	for i, p := range pins {
		switch {
		case !p.Root.Equals(root):
		case p.Failed() == 0:
			known = &pins[i]
		default:
			if err := r.Unpin(ctx, p); err != nil {
				return Pin{}, err
			}
		}
	}
	if known != nil {
		return *known, nil
	}
	wanted := openapi.Pin{Cid: root.String(), Name: &name}
	if origins = origins[:min(len(origins), maxOrigins)]; len(origins) > 0 {
		wanted.Origins = &origins
	}
	status, _, err := r.api.PinsPost(ctx).Pin(wanted).Execute()
	return r.read("POST /pins", root, status, err)
}

// Look implements [Service].
func (r *Remote) Look(ctx context.Context, p Pin) (Pin, error) {
	status, _, err := r.api.PinsRequestidGet(ctx, p.id).Execute()
	return r.read("GET /pins/"+p.id, p.Root, status, err)
}

// read reads what the service says of a pin of root.
func (r *Remote) read(call string, root cid.Cid, status openapi.PinStatus, err error) (Pin, error) {
	var p Pin
	if err == nil {
		p, err = readPin(status)
	}
	if err == nil && !p.Root.Equals(root) {
		err = fmt.Errorf("asked for %s, it speaks of %s", root, p.Root)
	}
	return p, r.explain(call, err)
}

// Pins implements [Service].
func (r *Remote) Pins(ctx context.Context, name string) ([]Pin, error) {
	results, _, err := r.api.PinsGet(ctx).Name(name).Limit(maxPins).
		Status([]openapi.Status{openapi.QUEUED, openapi.PINNING, openapi.PINNED, openapi.FAILED}).Execute()
	var pins []Pin
	for _, status := range results.Results {
		if status.Pin.GetName() != name {
			continue // some services take a part of the name for it
		}
		p, broken := readPin(status)
		err = errors.Join(err, broken)
		pins = append(pins, p)
	}
	if err == nil && int(results.Count) > len(results.Results) {
		err = fmt.Errorf("it has %d pins named %q, and lists %d", results.Count, name, len(results.Results))
	}
	return pins, r.explain("GET /pins", err)
}

// readPin reads what a service says of a pin.
func readPin(status openapi.PinStatus) (Pin, error) {
	root, err := cid.Decode(status.Pin.Cid)
	if err != nil {
		return Pin{}, fmt.Errorf("pin of %.100q: %w", status.Pin.Cid, err)
	}
	place := Place{Name: "the service", State: State(status.Status)}
	if status.Requestid == "" || !slices.Contains([]State{Queued, Pinning, Pinned, Failed}, place.State) {
		return Pin{}, fmt.Errorf("pin of %s: status %.40q of request %.100q", root, status.Status, status.Requestid)
	}
	if place.State == Failed {
		place.Why = status.GetInfo()["status_details"]
	}
	return Pin{Root: root, Places: []Place{place}, id: status.Requestid}, nil
}

// Unpin implements [Service].
func (r *Remote) Unpin(ctx context.Context, p Pin) error {
	_, err := r.api.PinsRequestidDelete(ctx, p.id).Execute()
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return nil
	}
	return r.explain("DELETE /pins", err)
}

func (r *Remote) explain(call string, err error) error {
	if err == nil {
		return nil
	}
	return explain(r.address.Text, call, err, ErrNotService)
}
