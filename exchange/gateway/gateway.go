// Package gateway serves the blocks of a store over HTTP, as a trustless gateway
// (https://specs.ipfs.tech/http-gateways/trustless-gateway/): the other side of package exchange.
//
//	GET /ipfs/<CID>?format=raw               one block
//	GET /ipfs/<CID>[/path]?format=car        a CAR of what is below, with dag-scope, entity-bytes, dups, order
//	GET /ipns/<name>?format=ipns-record      an IPNS record that was made here
//	GET /routing/v1/providers/<CID>          this server, if it has the block
//	GET /routing/v1/ipns/<name>              the same record, where IPFS daemons ask for it
//
// HEAD works wherever GET does, and instead of format the header Accept may name
// application/vnd.ipld.raw, application/vnd.ipld.car or application/vnd.ipfs.ipns-record. Whoever
// asks can verify each of these answers. A block that is not in the store is 404 at once; nobody
// else is asked for it.
//
// # Pages
//
// Where [Options] allow it, a browser sees files and directories as well:
//
//	GET /                  leads to the directory that is shown now
//	GET /ipfs/<CID>/path   a file, or a list of a directory (https://specs.ipfs.tech/http-gateways/path-gateway/)
//
// All of it has one origin, whoever wrote it, so every answer comes with a Content-Security-Policy
// that puts it into a sandbox: no scripts, no forms, nothing loaded from elsewhere, and an origin
// of its own. With LocalPages the header Host has to be an IP address or localhost: a site whose
// name was made to lead here (DNS rebinding) sees no pages.
//
// Whoever can reach the listener and knows the CID of a block gets the block.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"archivecache/internal/web"
	"archivecache/store"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/exchange/offline"
	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/go-cid"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxRequests is how many requests are worked on at a time; more are answered with 429.
	maxRequests = 256
	// maxDuration is how long one answer may take; each piece has its deadline besides.
	maxDuration = 24 * time.Hour
)

// Options of a handler. The zero value serves blocks and CARs only.
type Options struct {
	// Log gets a line for each request; nil logs nothing.
	Log *slog.Logger
	// Pages says who may see pages.
	Pages Pages
	// Root returns the directory to which / leads; nil leads nowhere.
	Root func(context.Context) (cid.Cid, error)
	// Record returns the IPNS record of a name that was made here, such as k51..., or nil; nil has none.
	Record func(name string) ([]byte, error)
}

// Pages says to whom files and directories are shown as pages.
type Pages int

const (
	NoPages    Pages = iota // to nobody
	LocalPages              // to whoever asks for an IP address or localhost, and no other name
	AllPages                // to everybody
)

// NewHandler returns the handler that serves the blocks of st.
func NewHandler(st store.Store, opt Options) (http.Handler, error) {
	bs := &readOnly{store: st}
	backend, err := boxo.NewBlocksBackend(blockservice.New(bs, offline.Exchange(bs)), boxo.WithValueStore(records{get: opt.Record}))
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	f := &front{store: bs, trustless: boxo.NewHandler(config(false), backend)}
	if opt.Pages != NoPages {
		f.pages = &pages{opt: opt, next: boxo.NewHandler(config(true), &bounded{backend, st})}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /ipfs/", f)
	mux.HandleFunc("GET /ipns/", f.record)
	mux.HandleFunc("GET /{$}", f.root)
	mux.Handle("GET /routing/v1/providers/{cid}", &providers{bs})
	mux.Handle("GET /routing/v1/ipns/{name}", http.HandlerFunc(f.routedRecord))
	return web.Logged(mux, opt.Log), nil
}

func config(deserialized bool) boxo.Config {
	return boxo.Config{
		DeserializedResponses: deserialized,
		NoDNSLink:             true,
		DisableHTMLErrors:     true,
		RetrievalTimeout:      boxo.DefaultRetrievalTimeout,
		MaxConcurrentRequests: maxRequests,
		MaxRequestDuration:    maxDuration,
		MetricsRegistry:       prometheus.NewRegistry(),
	}
}

// front answers plain requests for one block, which are nearly all there are, and what needs no
// reading. It leaves the others to boxo, with which a request takes nearly twice as long.
type front struct {
	store     *readOnly
	trustless http.Handler
	pages     *pages // nil where there are none
}

func (h *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, ok := plainRaw(r); ok && h.serve(w, r, c) {
		return
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/ipfs/"), "/")
	c, err := cid.Decode(text)
	switch {
	case err != nil:
		http.Error(w, fmt.Sprintf("%.100q is not a CID", text), http.StatusBadRequest)
	case h.absent(r, c): // boxo begins a CAR before it looks for the first block
		http.Error(w, "block not found", http.StatusNotFound)
	case h.pages.serve(r):
		h.pages.ServeHTTP(w, withScope(r))
	case r.Header.Get("Accept") == "" && !r.URL.Query().Has("format"):
		http.Error(w, "only blocks and CARs are served here: ask with format=raw or format=car", http.StatusBadRequest)
	default:
		h.trustless.ServeHTTP(w, withScope(r))
	}
}

// withScope adds the dag-scope that entity-bytes implies, which boxo wants to be told.
func withScope(r *http.Request) *http.Request {
	query := r.URL.Query()
	if !query.Has("entity-bytes") || query.Has("dag-scope") {
		return r
	}
	query.Set("dag-scope", "entity")
	scoped := r.Clone(r.Context())
	scoped.URL.RawQuery = query.Encode()
	return scoped
}

// root leads to the directory that is shown.
func (h *front) root(w http.ResponseWriter, r *http.Request) {
	if h.pages.serve(r) {
		h.pages.root(w, r)
		return
	}
	http.NotFound(w, r)
}

// absent says whether the block c is not in the store. Who asks only for what is at hand is to
// hear that otherwise, from boxo.
func (h *front) absent(r *http.Request, c cid.Cid) bool {
	if r.Header.Get("Cache-Control") == "only-if-cached" {
		return false
	}
	has, err := h.store.Has(r.Context(), c)
	return err == nil && !has
}

// plainRaw returns the CID of a request for one whole block without conditions.
func plainRaw(r *http.Request) (cid.Cid, bool) {
	text, ok := strings.CutPrefix(r.URL.Path, "/ipfs/")
	if !ok || r.URL.RawQuery != "format=raw" {
		return cid.Undef, false
	}
	for _, name := range []string{"Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Cache-Control"} {
		if r.Header.Get(name) != "" {
			return cid.Undef, false
		}
	}
	c, err := cid.Decode(text)
	return c, err == nil && c.String() == text
}

// serve answers with the block c and the headers that boxo sends. It says whether it did.
func (h *front) serve(w http.ResponseWriter, r *http.Request, c cid.Cid) bool {
	data, err := h.store.store.Get(r.Context(), c)
	if err != nil {
		return false
	}
	name := c.String()
	header := w.Header()
	header.Set("Accept-Ranges", "bytes")
	header.Set("Cache-Control", "public, max-age=29030400, immutable")
	header.Set("Content-Disposition", `attachment; filename="`+name+`.bin"; filename*=UTF-8''`+name+".bin")
	header.Set("Content-Length", fmt.Sprint(len(data)))
	header.Set("Content-Type", "application/vnd.ipld.raw")
	header.Set("Etag", `"`+name+`.raw"`)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Ipfs-Path", "/ipfs/"+name)
	header.Set("X-Ipfs-Roots", name)
	w.Write(data) // an error means that nobody listens any more
	return true
}

var errNoRecord = errors.New("no record of this name was made here")
