package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archivecache/exchange"
	"archivecache/exchange/gateway"
	"archivecache/store"
	"archivecache/store/storetest"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// site is a server over a store with a small tree.
type site struct {
	url   string
	store *store.Memory
	dir   cid.Cid // a directory with the file "f" of two leaves
	file  cid.Cid
	block store.Block
}

func newSite(t testing.TB) *site {
	t.Helper()
	ctx := t.Context()
	st := store.NewMemory()
	w := st.Writer()
	file, err := unixfs.AddFile(ctx, w, bytes.NewReader(make([]byte, unixfs.ChunkSize+5)), unixfs.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := unixfs.Build(ctx, w, []unixfs.Entry{{Name: "f", Cid: file.Cid, Tsize: file.Tsize}})
	if err != nil {
		t.Fatal(err)
	}
	b := store.NewBlock(cid.Raw, []byte("hello"))
	if err := errors.Join(w.Put(ctx, b), w.Commit(ctx)); err != nil {
		t.Fatal(err)
	}
	h, err := gateway.NewHandler(st, gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return &site{url: srv.URL, store: st, dir: dir.Cid, file: file.Cid, block: b}
}

// do sends a request, with headers as name and value in turn, and returns the answer with its body.
func (s *site) do(t testing.TB, method, path string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestStatus(t *testing.T) {
	s := newSite(t)
	hello := s.block.Cid.String()
	absent := store.Sum(cid.Raw, []byte("absent")).String()
	blake, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: mh.BLAKE2B_MIN + 31, MhLength: 32}.Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason, method, path, accept string
		status                       int
		body                         string
	}{
		{"raw by format", "GET", "/ipfs/" + hello + "?format=raw", "", 200, "hello"},
		{"raw by Accept", "GET", "/ipfs/" + hello, "application/vnd.ipld.raw", 200, "hello"},
		{"raw, HEAD", "HEAD", "/ipfs/" + hello + "?format=raw", "", 200, ""},
		{"HEAD by Accept", "HEAD", "/ipfs/" + hello, "application/vnd.ipld.raw", 200, ""},
		{"the probe of the specification", "GET", "/ipfs/bafkqaaa?format=raw", "", 200, ""},
		{"an identity CID", "GET", "/ipfs/bafkqabiaaebagba?format=raw", "", 200, "\x00\x01\x02\x03\x04"},
		{"absent", "GET", "/ipfs/" + absent + "?format=raw", "", 404, ""},
		{"absent, HEAD", "HEAD", "/ipfs/" + absent + "?format=raw", "", 404, ""},
		{"absent CAR", "GET", "/ipfs/" + absent + "?format=car", "", 404, ""},
		{"another hash", "GET", "/ipfs/" + blake.String() + "?format=raw", "", 404, ""},
		{"neither format nor Accept", "GET", "/ipfs/" + hello, "", 400, ""},
		{"deserialized by Accept", "GET", "/ipfs/" + hello, "text/html", 406, ""},
		{"tar", "GET", "/ipfs/" + s.dir.String() + "?format=tar", "", 406, ""},
		{"path to raw", "GET", "/ipfs/" + s.dir.String() + "/f?format=raw", "", 406, ""},
		{"not a CID", "GET", "/ipfs/xyz?format=raw", "", 400, ""},
		{"POST", "POST", "/ipfs/" + hello + "?format=raw", "", 405, ""},
		{"PUT", "PUT", "/ipfs/" + hello, "", 405, ""},
		{"DELETE", "DELETE", "/ipfs/" + hello, "", 405, ""},
		{"names", "GET", "/ipns/example.org?format=raw", "", 400, ""},
		{"elsewhere", "GET", "/", "", 404, ""},
	} {
		begin := time.Now()
		resp, body := s.do(t, c.method, c.path, "Accept", c.accept)
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d: %.200s", c.reason, resp.StatusCode, c.status, body)
		}
		if c.status == 200 && string(body) != c.body {
			t.Errorf("%s: body %q, want %q", c.reason, body, c.body)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: took %v", c.reason, took)
		}
	}
}

// TestHeaders compares the short way for a whole block with that of boxo, which an empty further
// parameter asks for.
func TestHeaders(t *testing.T) {
	s := newSite(t)
	for _, c := range []cid.Cid{s.block.Cid, s.dir, cid.NewCidV0(s.dir.Hash())} {
		short, shortBody := s.do(t, "GET", "/ipfs/"+c.String()+"?format=raw")
		long, longBody := s.do(t, "GET", "/ipfs/"+c.String()+"?format=raw&x=")
		if !bytes.Equal(shortBody, longBody) {
			t.Errorf("%s: bodies differ", c)
		}
		head, headBody := s.do(t, "HEAD", "/ipfs/"+c.String()+"?format=raw")
		if len(headBody) > 0 {
			t.Errorf("%s: HEAD with a body", c)
		}
		long.Header.Del("Date")
		for _, resp := range []*http.Response{short, head} {
			if resp.Header.Del("Date"); !maps.EqualFunc(resp.Header, long.Header, slices.Equal) {
				t.Errorf("%s: headers\n%v\nof boxo\n%v", c, resp.Header, long.Header)
			}
		}
	}
}

func TestConditions(t *testing.T) {
	s := newSite(t)
	path := "/ipfs/" + s.block.Cid.String() + "?format=raw"
	resp, _ := s.do(t, "GET", path)
	etag := resp.Header.Get("Etag")
	if resp, _ := s.do(t, "GET", path, "If-None-Match", etag); resp.StatusCode != 304 {
		t.Errorf("If-None-Match: status %d", resp.StatusCode)
	}
	if resp, body := s.do(t, "GET", path, "Range", "bytes=1-2"); resp.StatusCode != 206 || string(body) != "el" {
		t.Errorf("Range: status %d, %q", resp.StatusCode, body)
	}
}

func TestCAR(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		query  string
		blocks int64
	}{
		{"/ipfs/" + s.dir.String() + "?format=car", 4}, // directory, file, two leaves
		{"/ipfs/" + s.dir.String() + "?format=car&dag-scope=entity", 1},
		{"/ipfs/" + s.dir.String() + "?format=car&dag-scope=block", 1},
		{"/ipfs/" + s.dir.String() + "/f?format=car&dag-scope=block", 2},
	} {
		resp, body := s.do(t, "GET", c.query)
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/vnd.ipld.car") {
			t.Errorf("%s: %s, %s", c.query, resp.Status, resp.Header.Get("Content-Type"))
			continue
		}
		stats, err := exchange.ImportCAR(t.Context(), bytes.NewReader(body), store.NewMemory(), exchange.CarLimits{All: true})
		if err != nil || stats.Blocks != c.blocks {
			t.Errorf("%s: %d blocks, %v, want %d", c.query, stats.Blocks, err, c.blocks)
		}
	}
	resp, _ := s.do(t, "GET", "/ipfs/"+s.dir.String(), "Accept", "application/vnd.ipld.car")
	if resp.StatusCode != 200 {
		t.Errorf("by Accept: %s", resp.Status)
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var logged bytes.Buffer
	st := store.NewMemory()
	storetest.Put(t, st, store.NewBlock(cid.Raw, []byte("hello")))
	h, err := gateway.NewHandler(st, gateway.Options{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- gateway.Serve(ctx, ln, h) }()
	s := &site{url: "http://" + ln.Addr().String()}
	resp, body := s.do(t, "GET", "/ipfs/"+store.Sum(cid.Raw, []byte("hello")).String()+"?format=raw")
	if resp.StatusCode != 200 || string(body) != "hello" {
		t.Errorf("%s %q", resp.Status, body)
	}
	long, err := http.NewRequest("GET", s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	long.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	if resp, err := http.DefaultTransport.RoundTrip(long); err == nil { // else it hung up at once
		if resp.Body.Close(); resp.StatusCode != 431 {
			t.Errorf("header of 64 KiB: %s", resp.Status)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Serve does not end")
	}
	if !strings.Contains(logged.String(), "status=200 bytes=5") {
		t.Errorf("log: %s", logged.String())
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestServeFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := gateway.Serve(t.Context(), ln, http.NotFoundHandler()); err == nil {
		t.Error("no error with a closed listener")
	}
}

// BenchmarkRaw fetches blocks of 4 KiB over 32 connections, by the short way and by that of boxo.
func BenchmarkRaw(b *testing.B) {
	s := newSite(b)
	blocks := storetest.Blocks(1, 1000, 4<<10)
	storetest.Put(b, s.store, blocks...)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	for name, suffix := range map[string]string{"short": "", "boxo": "&x="} {
		b.Run(name, func(b *testing.B) {
			var wg sync.WaitGroup
			next := make(chan store.Block)
			for range 32 {
				wg.Go(func() {
					for block := range next {
						resp, err := client.Get(fmt.Sprintf("%s/ipfs/%s?format=raw%s", s.url, block.Cid, suffix))
						if err != nil {
							b.Error(err)
							continue
						}
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				})
			}
			for i := range b.N {
				next <- blocks[i%len(blocks)]
			}
			close(next)
			wg.Wait()
		})
	}
}
