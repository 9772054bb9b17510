package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"archivecache/exchange"
	"archivecache/exchange/gateway"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// server is somebody who has blocks.
type server struct {
	url      string
	requests atomic.Int64
	store    *store.Memory
}

// serve starts an honest server of blocks.
func serve(t testing.TB, blocks ...store.Block) *server {
	t.Helper()
	s := &server{store: store.NewMemory()}
	storetest.Put(t, s.store, blocks...)
	h, err := gateway.NewHandler(s.store, gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, h)
	return s
}

// serveFunc starts a server that does what fn does.
func serveFunc(t testing.TB, fn http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.start(t, fn)
	return s
}

func (s *server) start(t testing.TB, h http.Handler) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
}

func address(t testing.TB, text string) exchange.Address {
	t.Helper()
	a, err := exchange.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// fetcher returns a Fetcher with short deadlines that asks the servers as hints.
func fetcher(t testing.TB, st store.Store, servers ...*server) *exchange.Fetcher {
	t.Helper()
	var sources []exchange.Source
	for i, s := range servers {
		sources = append(sources, exchange.Source{Address: address(t, s.url), Hint: true, Who: fmt.Sprintf("friend%d", i)})
	}
	f := exchange.NewFetcher(st, sources, exchange.Options{
		BlockTimeout: time.Second,
		Stall:        10 * time.Second,
		Hedge:        20 * time.Millisecond,
	})
	t.Cleanup(func() { f.Close() })
	return f
}

// gone is a server that nobody is behind any more.
func gone(t testing.TB) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return &server{url: "http://" + ln.Addr().String()}
}

func hang(t testing.TB) *server {
	return serveFunc(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

func TestGet(t *testing.T) {
	ctx := t.Context()
	here, there := storetest.Blocks(1, 3, 100), storetest.Blocks(2, 3, store.MaxBlock)
	st := store.NewMemory()
	storetest.Put(t, st, here...)
	srv := serve(t, there...)
	f := fetcher(t, st, srv)
	for _, b := range append(here, there...) {
		for range 2 {
			data, err := f.Get(ctx, b.Cid)
			if err != nil || string(data) != string(b.Data) {
				t.Fatalf("%s: %d bytes, %v", b.Cid, len(data), err)
			}
		}
	}
	if n := srv.requests.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	if got, want := f.Stats(), (exchange.Stats{Blocks: 3, Fetched: 3, Bytes: 3 * store.MaxBlock}); got != want {
		t.Errorf("stats %v, want %v", got, want)
	}
	if n := st.Len(); n != 3 {
		t.Errorf("%d blocks in the store before Commit", n)
	}
	if err := f.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	storetest.Want(t, st, there...)
}

// TestGetMuch fetches more than is held in memory: it is in the store before Commit.
func TestGetMuch(t *testing.T) {
	blocks := storetest.Blocks(3, 20, store.MaxBlock)
	st := store.NewMemory()
	source := exchange.Source{Address: address(t, serve(t, blocks...).url), Hint: true}
	f := exchange.NewFetcher(st, []exchange.Source{source}, exchange.Options{})
	defer f.Close()
	var wg sync.WaitGroup
	for _, b := range blocks {
		wg.Go(func() {
			if _, err := f.Get(t.Context(), b.Cid); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if st.Len() == 0 {
		t.Error("nothing is in the store")
	}
	for _, b := range blocks {
		if data, err := f.Get(t.Context(), b.Cid); err != nil || len(data) != len(b.Data) {
			t.Errorf("again: %d bytes, %v", len(data), err)
		}
	}
	if err := f.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Want(t, st, blocks...)
}

func TestGetIdentity(t *testing.T) {
	f := fetcher(t, store.NewMemory())
	for _, c := range []struct {
		code uint64
		ok   bool
	}{{mh.IDENTITY, true}, {mh.SHA2_512, false}} {
		id, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: c.code, MhLength: -1}.Sum([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		data, err := f.Get(t.Context(), id)
		if (err == nil) != c.ok || c.ok && string(data) != "x" {
			t.Errorf("%s: %q, %v", id, data, err)
		}
	}
}

// bad are servers that do not give a block, whoever asks.
func bad(t *testing.T, b store.Block) map[string]*server {
	half := b.Data[:len(b.Data)/2]
	return map[string]*server{
		"bytes do not match": serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "lies") }),
		"does not have it":   serve(t),
		"status 500":         serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "\x1b[31m", 500) }),
		"status 302": serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}),
		"no answer in time": hang(t),
		"unexpected EOF": serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(b.Data)))
			w.Write(half)
		}),
		"EOF": serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Write(half)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}),
		"longer than": serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				w.Write(make([]byte, 1<<20))
			}
		}),
		"longer than the": serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(store.MaxBlock+1))
			w.Write(make([]byte, store.MaxBlock+1))
		}),
		"content encoding": serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(b.Data)
		}),
		"in time": serveFunc(t, func(w http.ResponseWriter, r *http.Request) { // a byte now and then
			for _, c := range b.Data {
				if w.Write([]byte{c}); r.Context().Err() != nil {
					return
				}
				http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}),
		"malformed": serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
				conn.Close()
			}
		}),
		"exceeded": serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			w.Write(b.Data)
		}),
		"refused": gone(t),
	}
}

// TestBad checks that a bad source is named with its fault, within the deadline, and that a good
// one beside it gives the block.
func TestBad(t *testing.T) {
	b := storetest.Blocks(4, 1, 1000)[0]
	good := serve(t, b)
	for want, srv := range bad(t, b) {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			st := store.NewMemory()
			begin := time.Now()
			_, err := fetcher(t, st, srv).Get(t.Context(), b.Cid)
			var unavailable *exchange.UnavailableError
			if !errors.As(err, &unavailable) || !errors.Is(err, store.ErrNotFound) || len(unavailable.Asked) != 1 {
				t.Fatalf("alone: %v", err)
			}
			for _, part := range []string{want, b.Cid.String(), srv.url, "friend0"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no %q in %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "\x1b") {
				t.Errorf("control character in %q", err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			data, err := fetcher(t, st, srv, good).Get(t.Context(), b.Cid)
			if err != nil || string(data) != string(b.Data) {
				t.Errorf("beside a good one: %v", err)
			}
		})
	}
}

// TestSlow takes longer than a request may, but brings bytes all the time.
func TestSlow(t *testing.T) {
	b := storetest.Blocks(5, 1, 64<<10)[0]
	srv := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 16 {
			w.Write(b.Data[i*4<<10:][:4<<10])
			http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	if _, err := fetcher(t, store.NewMemory(), srv).Get(t.Context(), b.Cid); err != nil {
		t.Error(err)
	}
}

func TestLiarIsDropped(t *testing.T) {
	blocks := storetest.Blocks(6, 20, 100)
	liar := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "lies") })
	f := fetcher(t, store.NewMemory(), liar, serve(t, blocks...))
	for _, b := range blocks {
		if _, err := f.Get(t.Context(), b.Cid); err != nil {
			t.Fatal(err)
		}
	}
	if n := liar.requests.Load(); n != 1 {
		t.Errorf("%d requests to a liar", n)
	}
	aside := f.Aside()
	if len(aside) != 1 || aside[0].Source.Who != "friend0" || !strings.Contains(aside[0].String(), "do not match") {
		t.Errorf("aside: %v", aside)
	}
}

// TestDeadSourcesArePutAside asks for many blocks that nobody gives.
func TestDeadSourcesArePutAside(t *testing.T) {
	blocks := storetest.Blocks(7, 300, 10)
	dead := hang(t)
	f := fetcher(t, store.NewMemory(), dead, gone(t), serve(t))
	begin := time.Now()
	var wg sync.WaitGroup
	for _, b := range blocks {
		wg.Go(func() {
			if _, err := f.Get(t.Context(), b.Cid); !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if n := dead.requests.Load(); n > 64 {
		t.Errorf("%d requests to a dead source", n)
	}
	if n := len(f.Aside()); n != 2 {
		t.Errorf("put aside: %v", f.Aside())
	}
}

func TestHedge(t *testing.T) {
	blocks := storetest.Blocks(8, 10, 100)
	dead := hang(t)
	f := fetcher(t, store.NewMemory(), dead, serve(t, blocks...))
	begin := time.Now()
	for _, b := range blocks {
		if _, err := f.Get(t.Context(), b.Cid); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("took %v, less than the deadline of one request is enough", took)
	}
	if n := dead.requests.Load(); n != 1 {
		t.Errorf("%d requests to the source that does not answer, the other one should go first", n)
	}
}

func TestSingleFlight(t *testing.T) {
	b := storetest.Blocks(9, 1, 100)[0]
	srv := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		w.Write(b.Data)
	})
	f := fetcher(t, store.NewMemory(), srv)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := f.Get(t.Context(), b.Cid); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := srv.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestCancelled checks that one who gives up does not take the block from those who wait with him.
func TestCancelled(t *testing.T) {
	b := storetest.Blocks(10, 1, 100)[0]
	srv := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(100 * time.Millisecond)
		w.Write(b.Data)
	})
	f := fetcher(t, store.NewMemory(), srv)
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := f.Get(short, b.Cid); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
	})
	time.Sleep(10 * time.Millisecond)
	if _, err := f.Get(t.Context(), b.Cid); err != nil {
		t.Errorf("waiting: %v", err)
	}
	wg.Wait()
	if len(f.Aside()) != 0 {
		t.Errorf("aside: %v", f.Aside())
	}
}

func TestStall(t *testing.T) {
	blocks := storetest.Blocks(11, 2, 10)
	var sources []exchange.Source
	for range 2 {
		sources = append(sources, exchange.Source{Address: address(t, hang(t).url), Hint: true})
	}
	f := exchange.NewFetcher(store.NewMemory(), sources, exchange.Options{BlockTimeout: time.Minute, Stall: 200 * time.Millisecond})
	defer f.Close()
	for _, b := range blocks {
		begin := time.Now()
		_, err := f.Get(t.Context(), b.Cid)
		if !errors.Is(err, exchange.ErrStalled) || !errors.Is(err, store.ErrNotFound) || time.Since(begin) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	}
}

func TestNobodyToAsk(t *testing.T) {
	b := storetest.Blocks(12, 1, 10)[0]
	_, err := fetcher(t, store.NewMemory()).Get(t.Context(), b.Cid)
	for _, part := range []string{b.Cid.String(), "nobody to ask", "-gateway", "import-car"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %v", part, err)
		}
	}
}

// TestNamedGateway checks that a gateway that the user has named may redirect.
func TestNamedGateway(t *testing.T) {
	b := storetest.Blocks(13, 1, 10)[0]
	good := serve(t, b)
	srv := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, good.url+r.URL.RequestURI(), http.StatusFound)
	})
	f := exchange.NewFetcher(store.NewMemory(), []exchange.Source{{Address: address(t, srv.url)}}, exchange.Options{})
	defer f.Close()
	if _, err := f.Get(t.Context(), b.Cid); err != nil {
		t.Error(err)
	}
}

// brokenStore is a store that cannot commit.
type brokenStore struct{ store.Store }

type brokenWriter struct{ store.Writer }

var errBroken = errors.New("disk full")

func (s brokenStore) Writer() store.Writer              { return brokenWriter{s.Store.Writer()} }
func (w brokenWriter) Commit(ctx context.Context) error { return errBroken }

func TestCommitFails(t *testing.T) {
	b := storetest.Blocks(14, 1, 10)[0]
	f := fetcher(t, brokenStore{store.NewMemory()}, serve(t, b))
	if _, err := f.Get(t.Context(), b.Cid); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Commit(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("Commit: %v", err)
		}
	}
	if _, err := f.Get(t.Context(), b.Cid); err != nil {
		t.Errorf("after a failed commit: %v", err)
	}
}
