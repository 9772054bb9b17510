package pinning_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"archivecache/store"
	"archivecache/store/pinning"

	"github.com/ipfs/go-cid"
)

var someRoot = store.Sum(cid.Raw, []byte("root"))

// calls are all calls of a service.
func calls(s pinning.Service) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"check": s.Check,
		"pin": func(ctx context.Context) error {
			_, err := s.Pin(ctx, someRoot, "name", []string{"/ip4/127.0.0.1/tcp/1"})
			return err
		},
		"look": func(ctx context.Context) error { _, err := s.Look(ctx, pinning.Pin{Root: someRoot}); return err },
		"pins": func(ctx context.Context) error { _, err := s.Pins(ctx, "name"); return err },
	}
}

// services opens both kinds of service at an address.
func services(t *testing.T, url string, opt pinning.Options) map[string]pinning.Service {
	t.Helper()
	c, err := pinning.OpenCluster(url, 2, opt)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pinning.OpenRemote(url, opt)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]pinning.Service{"cluster": c, "remote": r}
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// endless answers with spaces until nobody reads any more.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for block := strings.Repeat(" ", 1<<20); ; {
		if _, err := io.WriteString(w, block); err != nil {
			return
		}
	}
}

// TestFaults has services misbehave. Each call ends with an error that says how.
func TestFaults(t *testing.T) {
	elsewhere := httptest.NewServer(answer(200, `{"id":"x","cluster_peers":[],"count":0,"results":[]}`))
	defer elsewhere.Close()
	notIt := errors.New("either")
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		is   error
		says string
	}{
		"401":        {answer(401, `{"error":{"reason":"UNAUTHORIZED","details":"no token"}}`), pinning.ErrDenied, "UNAUTHORIZED: no token"},
		"403":        {answer(403, `{"code":403,"message":"go away"}`), pinning.ErrDenied, "go away"},
		"404":        {answer(404, `404 page not found`), notIt, "404 page not found"},
		"500":        {answer(500, `{"code":500,"message":"no peers"}`), nil, "no peers"},
		"long error": {answer(500, strings.Repeat("x", 1<<20)), nil, "HTTP status 500"},
		"no JSON":    {answer(200, `<html>It works!</html>`), notIt, ""},
		"cut JSON":   {answer(200, `{"id":"x","cluster_peers`), nil, ""},
		"other JSON": {answer(200, `[]`), notIt, ""},
		"endless":    {endless, notIt, "too long"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}, nil, "HTTP status 307"},
		"cut off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, pinning.ErrUnreachable, ""},
		"silent": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, pinning.ErrUnreachable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.h)
			defer server.Close()
			opt := pinning.Options{}
			if name == "silent" {
				opt.Timeout = 200 * time.Millisecond
			}
			for kind, s := range services(t, server.URL, opt) {
				for call, do := range calls(s) {
					err := do(t.Context())
					if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 1000 || !strings.Contains(err.Error(), server.URL) {
						t.Errorf("%s: %s: %v", kind, call, err)
					}
					is := c.is
					if is == notIt {
						is = map[string]error{"cluster": pinning.ErrNotCluster, "remote": pinning.ErrNotService}[kind]
					}
					if is != nil && !errors.Is(err, is) {
						t.Errorf("%s: %s: %v, and it should be %v", kind, call, err, is)
					}
				}
			}
		})
	}
}

// TestNobody calls a service where nobody listens, and with a context that has ended.
func TestNobody(t *testing.T) {
	server := httptest.NewServer(answer(200, ""))
	server.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, s := range services(t, server.URL, pinning.Options{}) {
		for call, do := range calls(s) {
			if err := do(t.Context()); !errors.Is(err, pinning.ErrUnreachable) {
				t.Errorf("%s: %s: %v", kind, call, err)
			}
			if err := do(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %s: %v", kind, call, err)
			}
		}
	}
}

// TestOtherPins has a service speak of something that it was not asked for.
func TestOtherPins(t *testing.T) {
	other := store.Sum(cid.Raw, []byte("other"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			answer(200, fmt.Sprintf(`{"cid":%q,"name":"name"}`, other))(w, r)
		case r.URL.Path == "/allocations":
			answer(200, fmt.Sprintf(`{"cid":%q,"name":"name"}`, someRoot))(w, r)
		default:
			answer(200, fmt.Sprintf(`{"cid":%q,"peer_map":{"x":{"status":"pinned"}}}`, other))(w, r)
		}
	}))
	defer server.Close()
	s := services(t, server.URL, pinning.Options{})["cluster"]
	for call, do := range calls(s) {
		if err := do(t.Context()); !errors.Is(err, pinning.ErrNotCluster) {
			t.Errorf("%s: %v", call, err)
		}
	}
	for _, body := range []string{
		`{"count":1,"results":[{"requestid":"1","status":"pinned","pin":{"cid":"no CID","name":"name"}}]}`,
		fmt.Sprintf(`{"count":1,"results":[{"requestid":"1","status":"frozen","pin":{"cid":%q,"name":"name"}}]}`, someRoot),
		fmt.Sprintf(`{"count":1,"results":[{"requestid":"","status":"pinned","pin":{"cid":%q,"name":"name"}}]}`, someRoot),
		fmt.Sprintf(`{"count":5000,"results":[{"requestid":"1","status":"pinned","pin":{"cid":%q,"name":"name"}}]}`, someRoot),
	} {
		server := httptest.NewServer(answer(200, body))
		defer server.Close()
		if pins, err := services(t, server.URL, pinning.Options{})["remote"].Pins(t.Context(), "name"); !errors.Is(err, pinning.ErrNotService) {
			t.Errorf("%s: %v, %v", body, pins, err)
		}
	}
}

// TestMany has a cluster list more than anybody has pinned.
func TestMany(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if asked++; r.URL.Path != "/allocations" {
			fmt.Fprintf(w, `{"cid":%q}`, someRoot)
			return
		}
		for i := range 5000 {
			root := someRoot // many times the same is one
			if strings.Contains(r.Host, "localhost") {
				root = store.Sum(cid.Raw, fmt.Append(nil, i))
			}
			fmt.Fprintf(w, `{"cid":%q,"name":"name"}`, root)
		}
	}))
	defer server.Close()
	pins, err := services(t, server.URL, pinning.Options{})["cluster"].Pins(t.Context(), "name")
	if err != nil || len(pins) != 1 || asked != 2 {
		t.Errorf("%d pins after %d calls, %v", len(pins), asked, err)
	}
	asked = 0
	pins, err = services(t, strings.Replace(server.URL, "127.0.0.1", "localhost", 1), pinning.Options{})["cluster"].Pins(t.Context(), "name")
	if err == nil || asked != 1 || !strings.Contains(err.Error(), "more than 1000 pins") {
		t.Errorf("%d pins after %d calls, %v", len(pins), asked, err)
	}
}

// TestTwice has a pinning service list two requests for one root: what has failed is taken away.
func TestTwice(t *testing.T) {
	var did []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			did = append(did, r.Method+" "+r.URL.Path)
		}
		status := func(id, status string) string {
			return fmt.Sprintf(`{"requestid":%q,"status":%q,"pin":{"cid":%q,"name":"name"}}`, id, status, someRoot)
		}
		answer(200, fmt.Sprintf(`{"count":2,"results":[%s,%s]}`, status("1", "pinned"), status("2", "failed")))(w, r)
	}))
	defer server.Close()
	p, err := services(t, server.URL, pinning.Options{})["remote"].Pin(t.Context(), someRoot, "name", nil)
	if err != nil || p.Pinned() != 1 || len(did) != 1 || did[0] != "DELETE /pins/2" {
		t.Errorf("%+v, %v: %q", p, err, did)
	}
}

// TestCertificate calls a server with a certificate that nobody knows.
func TestCertificate(t *testing.T) {
	server := httptest.NewTLSServer(answer(200, ""))
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	for kind, s := range services(t, server.URL, pinning.Options{}) {
		if err := s.Check(t.Context()); !errors.Is(err, pinning.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestTrailer has a cluster fail in the middle of a list.
func TestTrailer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Trailer", "X-Stream-Error")
		fmt.Fprintf(w, `{"cid":%q,"name":"another"}`, someRoot)
		w.Header().Set("X-Stream-Error", "the state is gone")
	}))
	defer server.Close()
	if _, err := services(t, server.URL, pinning.Options{})["cluster"].Pins(t.Context(), "name"); err == nil || !strings.Contains(err.Error(), "the state is gone") {
		t.Errorf("%v", err)
	}
}

// TestToken looks where tokens go.
func TestToken(t *testing.T) {
	for token, want := range map[string]string{
		"": "", "word": "Bearer word", "me:word": "Basic " + base64.StdEncoding.EncodeToString([]byte("me:word")),
	} {
		var got string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("Authorization")
			answer(401, "")(w, r)
		}))
		for kind, s := range services(t, server.URL, pinning.Options{Token: token}) {
			if err := s.Check(t.Context()); !errors.Is(err, pinning.ErrDenied) || got != want {
				t.Errorf("%s: %q, want %q; %v", kind, got, want, err)
			}
		}
		server.Close()
	}
	_, err := pinning.OpenRemote("http://example.org/psa", pinning.Options{Token: "word"})
	_, errCluster := pinning.OpenCluster("/dns4/example.org/tcp/9094", 2, pinning.Options{Token: "word"})
	if !errors.Is(err, pinning.ErrClear) || !errors.Is(errCluster, pinning.ErrClear) {
		t.Errorf("a token in the clear: %v, %v", err, errCluster)
	}
}
