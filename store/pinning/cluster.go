package pinning

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"archivecache/store/endpoint"

	"github.com/ipfs/go-cid"
)

// A Cluster is an IPFS Cluster. Its own client would bring in all that a peer of a cluster is made
// of; it takes five calls.
type Cluster struct {
	address  endpoint.Address
	replicas int
	client   *http.Client
}

var _ Service = (*Cluster)(nil)

// OpenCluster returns the cluster one of whose peers has its REST API at an address, as package
// endpoint reads it, such as /ip4/127.0.0.1/tcp/9094. What is pinned shall be on so many of its
// machines. It does not dial.
func OpenCluster(address string, replicas int, opt Options) (*Cluster, error) {
	a, err := endpoint.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address of IPFS Cluster %.100q: %w", address, err)
	}
	if err := checkToken(a, opt.Token); err != nil {
		return nil, err
	}
	return &Cluster{address: a, replicas: replicas, client: newClient(a, opt, maxList)}, nil
}

// Check implements [Service].
func (c *Cluster) Check(ctx context.Context) error {
	var id struct {
		ID    string   `json:"id"`
		Peers []string `json:"cluster_peers"`
		IPFS  struct{ ID, Error string }
		Error string
	}
	if err := c.ask(ctx, http.MethodGet, "/id", nil, &id); err != nil {
		return err
	}
	if id.ID == "" || id.Peers == nil {
		return c.wrap("GET /id", fmt.Errorf("%w: it does not name its peers", ErrNotCluster))
	}
	return nil
}

// Pin implements [Service].
func (c *Cluster) Pin(ctx context.Context, root cid.Cid, name string, origins []string) (Pin, error) {
	err := c.allocate(ctx, root, name, origins, c.replicas)
	var refused *refusal
	if errors.As(err, &refused) && strings.Contains(refused.text, "not enough peers") {
		err = c.allocate(ctx, root, name, origins, 1) // one is better than none
	}
	if err != nil {
		return Pin{}, err
	}
	p, err := c.Look(ctx, Pin{Root: root})
	if err != nil || p.Failed() == 0 {
		return p, err
	}
	if err := c.recover(ctx, root); err != nil {
		return Pin{}, err
	}
	return c.Look(ctx, p)
}

// allocate has the cluster choose machines for root, at least so many.
func (c *Cluster) allocate(ctx context.Context, root cid.Cid, name string, origins []string, least int) error {
	query := url.Values{"name": {name}, "mode": {"recursive"}}
	query.Set("replication-min", strconv.Itoa(least))
	query.Set("replication-max", strconv.Itoa(c.replicas))
	if len(origins) > 0 {
		query.Set("origins", strings.Join(origins, ","))
	}
	var pinned clusterPin
	if err := c.ask(ctx, http.MethodPost, "/pins/"+root.String(), query, &pinned); err != nil {
		return err
	}
	if got, err := cid.Decode(pinned.Cid); err != nil || !got.Equals(root) {
		return c.wrap("POST /pins", fmt.Errorf("%w: asked for %s, it speaks of %.100q", ErrNotCluster, root, pinned.Cid))
	}
	return nil
}

// Look implements [Service].
func (c *Cluster) Look(ctx context.Context, p Pin) (Pin, error) {
	places, err := c.places(ctx, p.Root)
	return Pin{Root: p.Root, Places: places, id: p.Root.String()}, err
}

// recover has the machines try again on which pinning has failed.
func (c *Cluster) recover(ctx context.Context, root cid.Cid) error {
	var status clusterStatus
	return c.ask(ctx, http.MethodPost, "/pins/"+root.String()+"/recover", nil, &status)
}

// clusterPin is what the cluster has resolved to keep.
type clusterPin struct {
	Cid  string
	Name string
}

// Pins implements [Service].
func (c *Cluster) Pins(ctx context.Context, name string) ([]Pin, error) {
	roots, err := c.roots(ctx, name)
	if err != nil {
		return nil, err
	}
	var pins []Pin
	for _, root := range roots {
		p, err := c.Look(ctx, Pin{Root: root})
		if err != nil {
			return nil, err
		}
		pins = append(pins, p)
	}
	return pins, nil
}

// roots returns what the cluster has resolved to keep under a name, each once.
func (c *Cluster) roots(ctx context.Context, name string) (roots []cid.Cid, err error) {
	err = c.do(ctx, http.MethodGet, "/allocations", url.Values{"filter": {"pin"}}, func(r io.Reader) error {
		for lines := json.NewDecoder(r); ; {
			var p clusterPin
			if err := lines.Decode(&p); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if p.Name != name {
				continue
			}
			root, err := cid.Decode(p.Cid)
			if err != nil {
				return fmt.Errorf("pin of %.100q: %w", p.Cid, err)
			}
			if !slices.Contains(roots, root) {
				roots = append(roots, root)
			}
			if len(roots) > maxPins {
				return fmt.Errorf("it has more than %d pins named %q", maxPins, name)
			}
		}
	})
	return roots, err
}

// clusterStatus is how far the machines of the cluster are with a pin.
type clusterStatus struct {
	Cid         string
	Allocations []string // machines that are to keep it; all, if there are none
	Peers       map[string]struct {
		Name   string `json:"peername"`
		Status string
		Error  string
	} `json:"peer_map"`
}

// places returns the machines that keep root, or shall, in the order of their names.
func (c *Cluster) places(ctx context.Context, root cid.Cid) ([]Place, error) {
	var status clusterStatus
	if err := c.ask(ctx, http.MethodGet, "/pins/"+root.String(), nil, &status); err != nil {
		return nil, err
	}
	if got, err := cid.Decode(status.Cid); err != nil || !got.Equals(root) {
		return nil, c.wrap("GET /pins", fmt.Errorf("%w: asked for %s, it speaks of %.100q", ErrNotCluster, root, status.Cid))
	}
	var places []Place
	for id, peer := range status.Peers {
		state, counts := clusterState(peer.Status)
		if counts && (len(status.Allocations) == 0 || slices.Contains(status.Allocations, id)) {
			places = append(places, Place{Name: cmp.Or(peer.Name, id), State: state, Why: peer.Error})
		}
	}
	slices.SortFunc(places, func(a, b Place) int { return cmp.Compare(a.Name, b.Name) })
	return places, nil
}

// clusterState returns what the status of a machine of a cluster means, and whether the machine is
// to keep the pin at all.
func clusterState(status string) (State, bool) {
	switch status {
	case "pinned":
		return Pinned, true
	case "pinning":
		return Pinning, true
	case "pin_queued", "queued":
		return Queued, true
	case "remote", "unpinned", "unpinning", "unpin_queued", "unpin_error", "sharded":
		return "", false
	}
	return Failed, true // pin_error, cluster_error, error, unexpectedly_unpinned, and what is to come
}

// Unpin implements [Service].
func (c *Cluster) Unpin(ctx context.Context, p Pin) error {
	var unpinned clusterPin
	err := c.ask(ctx, http.MethodDelete, "/pins/"+p.id, nil, &unpinned)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return nil
	}
	return err
}

// ask makes a call whose answer is one JSON value.
func (c *Cluster) ask(ctx context.Context, method, path string, query url.Values, answer any) error {
	return c.do(ctx, method, path, query, func(r io.Reader) error {
		data, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
		if err == nil && len(data) > maxAnswer {
			err = errTooLong
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(data, answer)
	})
}

func (c *Cluster) do(ctx context.Context, method, path string, query url.Values, read func(io.Reader) error) error {
	call := method + " " + path
	to := c.address.URL + path
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, to, nil)
	if err != nil {
		return c.wrap(call, err)
	}
	resp, err := c.client.Do(req)
	if err == nil {
		err = errors.Join(read(resp.Body), resp.Body.Close())
	}
	if err != nil {
		return explain(c.address.Text, call, err, ErrNotCluster)
	}
	return nil
}

func (c *Cluster) wrap(call string, err error) error {
	return &CallError{Address: c.address.Text, Call: call, Err: err}
}
