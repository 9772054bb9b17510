package gateway

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
	mh "github.com/multiformats/go-multihash"
)

// providers answers the question of IPFS daemons who has a block
// (https://specs.ipfs.tech/routing/http-routing-v1/): this server, at the address where it was
// asked, if it has it.
type providers struct {
	store *readOnly
}

// A provider is a record of the schema peer.
type provider struct {
	Schema    string
	ID        string
	Addrs     []string
	Protocols []string
}

func (h *providers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := cid.Decode(r.PathValue("cid"))
	if err != nil {
		http.Error(w, "not a CID", http.StatusBadRequest)
		return
	}
	has, err := h.store.Has(r.Context(), c)
	if err != nil {
		http.Error(w, "the store cannot be read", http.StatusInternalServerError)
		return
	}
	found := []provider{}
	if has {
		p, err := providerAt(r)
		if err != nil {
			http.Error(w, "the address of the server is not known", http.StatusInternalServerError)
			return
		}
		found = append(found, p)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	json.NewEncoder(w).Encode(struct{ Providers []provider }{found}) // an error means that nobody listens any more
}

// providerAt returns this server as whoever sent r has reached it. Its peer id stands for the
// address, and not for a key: who fetches by HTTP checks the hash of each block.
func providerAt(r *http.Request) (provider, error) {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return provider{}, fmt.Errorf("no local address")
	}
	addr, err := manet.FromNetAddr(at)
	if err != nil {
		return provider{}, err
	}
	sum, err := mh.Sum([]byte("archivecache serve "+addr.String()), mh.SHA2_256, -1)
	if err != nil {
		return provider{}, err
	}
	return provider{
		Schema: "peer", ID: peer.ID(sum).String(),
		Addrs: []string{addr.String() + "/http"}, Protocols: []string{"transport-ipfs-gateway-http"},
	}, nil
}
