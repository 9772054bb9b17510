// Package gateway serves the blocks of a store over HTTP, as a trustless gateway
// (https://specs.ipfs.tech/http-gateways/trustless-gateway/): the other side of package exchange.
//
//	GET /ipfs/<CID>?format=raw               one block
//	GET /ipfs/<CID>[/path]?format=car        a CAR of what is below, with dag-scope, entity-bytes, dups, order
//
// HEAD works wherever GET does, and instead of format the header Accept may name
// application/vnd.ipld.raw or application/vnd.ipld.car. Nothing is served deserialized: whoever
// asks can verify every answer. A block that is not in the store is 404 at once; nobody
// else is asked for it.
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

	"archivecache/store"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange/offline"
	boxo "github.com/ipfs/boxo/gateway"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/prometheus/client_golang/prometheus"
)

// maxRequests is how many requests are worked on at a time; more are answered with 429.
const maxRequests = 256

// NewHandler returns the handler that serves the blocks of st. Requests are logged to log, one
// line each; nil logs nothing.
func NewHandler(st store.Store, log *slog.Logger) (http.Handler, error) {
	bs := &readOnly{store: st}
	backend, err := boxo.NewBlocksBackend(blockservice.New(bs, offline.Exchange(bs)))
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	trustless := boxo.NewHandler(boxo.Config{
		NoDNSLink:             true,
		DisableHTMLErrors:     true,
		RetrievalTimeout:      boxo.DefaultRetrievalTimeout,
		MaxConcurrentRequests: maxRequests,
		MetricsRegistry:       prometheus.NewRegistry(),
	}, backend)
	mux := http.NewServeMux()
	mux.Handle("GET /ipfs/", &front{store: st, next: trustless})
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &logged{next: mux, log: log}, nil
}

// front answers plain requests for one block, which are nearly all there are, and leaves the
// others to boxo, with which a request takes nearly twice as long.
type front struct {
	store store.Store
	next  http.Handler
}

func (h *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, ok := plainRaw(r); ok && h.serve(w, r, c) {
		return
	}
	if h.absent(r) { // boxo begins a CAR before it looks for the first block
		http.Error(w, "block not found", http.StatusNotFound)
		return
	}
	h.next.ServeHTTP(w, r)
}

// absent says whether the path begins with the CID of a block that is not in the store.
func (h *front) absent(r *http.Request) bool {
	text, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/ipfs/"), "/")
	c, err := cid.Decode(text)
	if err != nil {
		return false // for boxo to answer
	}
	has, err := (&readOnly{store: h.store}).Has(r.Context(), c)
	return err == nil && !has
}

// plainRaw returns the CID of a request for one whole block without conditions.
func plainRaw(r *http.Request) (cid.Cid, bool) {
	text, ok := strings.CutPrefix(r.URL.Path, "/ipfs/")
	if !ok || r.Method != http.MethodGet || r.URL.RawQuery != "format=raw" {
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
	data, err := h.store.Get(r.Context(), c)
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

// readOnly is a store as the blockstore that boxo knows.
type readOnly struct {
	store store.Store
}

var _ blockstore.Blockstore = (*readOnly)(nil)

var errReadOnly = errors.New("the store is served read-only")

func (b *readOnly) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	data, err := b.store.Get(ctx, c)
	if err != nil {
		return nil, notFound(c, err)
	}
	return blocks.NewBlockWithCid(data, c)
}

func (b *readOnly) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	data, err := b.store.Get(ctx, c)
	return len(data), notFound(c, err)
}

func (b *readOnly) Has(ctx context.Context, c cid.Cid) (bool, error) {
	if _, err := store.DigestOf(c); err != nil {
		_, identity := store.Identity(c)
		return identity, nil
	}
	has, err := b.store.Has(ctx, []cid.Cid{c})
	if err != nil {
		return false, err
	}
	return has[0], nil
}

// notFound makes boxo answer 404 for a block that is not there, or whose hash no store has.
func notFound(c cid.Cid, err error) error {
	if err == nil {
		return nil
	}
	if _, foreign := store.DigestOf(c); foreign != nil || errors.Is(err, store.ErrNotFound) {
		return ipld.ErrNotFound{Cid: c}
	}
	return err
}

func (b *readOnly) Put(context.Context, blocks.Block) error       { return errReadOnly }
func (b *readOnly) PutMany(context.Context, []blocks.Block) error { return errReadOnly }
func (b *readOnly) DeleteBlock(context.Context, cid.Cid) error    { return errReadOnly }
func (b *readOnly) AllKeysChan(context.Context) (<-chan cid.Cid, error) {
	return nil, errReadOnly
}

// logged writes a line for each request, and moves the deadline for writing on with each
// write, so that a long answer may take long as long as it is read.
type logged struct {
	next http.Handler
	log  *slog.Logger
}

func (h *logged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	out := &response{ResponseWriter: w, control: http.NewResponseController(w), status: http.StatusOK}
	h.next.ServeHTTP(out, r)
	h.log.Info("request", "from", r.RemoteAddr, "method", r.Method, "path", r.URL.RequestURI(),
		"status", out.status, "bytes", out.bytes, "time", time.Since(begin).Round(time.Microsecond))
}

type response struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
}

func (w *response) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has deadlines
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
