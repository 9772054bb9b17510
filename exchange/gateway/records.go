package gateway

import (
	"context"
	"net/http"
	"strings"

	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/ipns"
	routinghelpers "github.com/libp2p/go-libp2p-routing-helpers"
	"github.com/libp2p/go-libp2p/core/routing"
)

// records is the IPNS records that were made here, as the value store that boxo knows.
type records struct {
	routinghelpers.Null
	get func(name string) ([]byte, error)
}

// GetValue implements [routing.ValueStore].
func (s records) GetValue(_ context.Context, key string, _ ...routing.Option) ([]byte, error) {
	name, err := ipns.NameFromRoutingKey([]byte(key))
	if err != nil {
		return nil, boxo.NewErrorStatusCode(err, http.StatusBadRequest)
	}
	var data []byte
	if s.get != nil {
		data, err = s.get(name.String())
	}
	if err == nil && data == nil {
		err = boxo.NewErrorStatusCode(errNoRecord, http.StatusNotFound)
	}
	return data, err
}

// record answers with an IPNS record. Content is not looked up by name: nothing here vouches for
// it.
func (h *front) record(w http.ResponseWriter, r *http.Request) {
	text, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/ipns/"), "/")
	if _, err := ipns.NameFromString(text); err != nil {
		http.Error(w, "not an IPNS name", http.StatusBadRequest)
		return
	}
	h.trustless.ServeHTTP(w, r)
}

// routedRecord answers with an IPNS record where daemons ask for it.
func (h *front) routedRecord(w http.ResponseWriter, r *http.Request) {
	asked := r.Clone(r.Context())
	asked.URL.Path, asked.URL.RawPath, asked.URL.RawQuery = "/ipns/"+r.PathValue("name"), "", "format=ipns-record"
	h.record(w, asked)
}
