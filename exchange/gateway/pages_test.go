package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"archivecache/exchange/gateway"
	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const browser = "text/html,application/xhtml+xml,*/*;q=0.8"

// TestPages asks as a browser does. Where everything has one origin nothing may run.
func TestPages(t *testing.T) {
	var s *sample
	root := func(context.Context) (cid.Cid, error) { return s.root, nil }
	s = newSample(t, gateway.Options{Pages: gateway.LocalPages, Root: root})
	at := "/ipfs/" + s.root.String()
	for _, c := range []struct {
		reason, path string
		headers      []string
		status       int
		header       map[string]string
		body         string // part of it
	}{
		{"the root", "/", nil, 302, map[string]string{"Location": at + "/", "Cache-Control": "no-store"}, ""},
		{"a directory", at + "/", nil, 200, map[string]string{"Content-Type": "text/html", "Etag": `"DirIndex-*`}, `href="` + at + "/sub"},
		{"a directory MUST be led to its name with a slash", at + "/sub", nil, 301, map[string]string{"Location": at + "/sub/"}, ""},
		{"a file", at + "/sub/g", nil, 200,
			map[string]string{"Content-Type": "text/plain; charset=utf-8", "Etag": `"` + s.g.String() + `"`, "X-Ipfs-Path": at + "/sub/g",
				"Cache-Control": "public, max-age=29030400, immutable", "X-Ipfs-Roots": s.root.String() + "," + s.sub.String() + "," + s.g.String()}, "gamma"},
		{"a range", at + "/sub/g", []string{"Range", "bytes=1-2"}, 206, map[string]string{"Content-Range": "bytes 1-2/5"}, "am"},
		{"If-None-Match", at + "/sub/g", []string{"If-None-Match", `"` + s.g.String() + `"`}, 304, nil, ""},
		{"download=true MUST be an attachment", at + "/sub/g?filename=x.txt&download=true", nil, 200, map[string]string{"Content-Disposition": `attachment; filename="x.txt"*`}, ""},
		{"a path that is not there", at + "/none", nil, 404, nil, "none"},
		{"a file that is not here", at + "/gone/h", nil, 404, nil, ""},
		{"what is beside it", at + "/gone/", nil, 200, nil, "/gone/h"},
		{"a path with remainder", "/ipfs/" + s.cbor.String() + "/seven", nil, 501, nil, ""},
		{"a service worker", at, []string{"Service-Worker", "script"}, 400, nil, ""},
		{"uri", "/ipfs/?uri=ipfs://" + s.root.String(), nil, 400, nil, ""},
		{"uri behind a CID", at + "?uri=ipfs://" + s.root.String(), nil, 400, nil, ""},
		{"twice ipfs", "/ipfs" + at, nil, 400, nil, ""},
		{"by name", "/ipns/ipfs.tech/", nil, 400, nil, ""},
		{"raw all the same", at + "?format=raw", nil, 200, map[string]string{"Content-Type": acceptRaw}, ""},
		{"CAR all the same", at + "?format=car", nil, 200, map[string]string{"Content-Type": acceptCAR + "*"}, ""},
		{"localhost", at + "/", []string{"Host", "localhost:7070"}, 200, nil, ""},
		{"IPv6", at + "/", []string{"Host", "[::1]:7070"}, 200, nil, ""},
		{"a site of others that leads here", at + "/", []string{"Host", "evil.example:7070"}, 406, nil, ""},
		{"its root", "/", []string{"Host", "evil.example"}, 404, nil, ""},
		{"by another header", at + "/", []string{"Host", "evil.example", "X-Forwarded-Host", "localhost"}, 406, nil, ""},
		{"blocks for it", at + "?format=raw", []string{"Host", "evil.example:7070"}, 200, nil, ""},
	} {
		resp, body := s.do(t, "GET", c.path, append([]string{"Accept", browser}, c.headers...)...)
		if resp.StatusCode != c.status || !strings.Contains(string(body), c.body) {
			t.Errorf("%s: %s, want %d with %q: %.300s", c.reason, resp.Status, c.status, c.body, body)
		}
		checkHeader(t, c.reason, resp.Header, c.header)
		if resp.StatusCode/100 == 2 && !strings.Contains(c.path, "format=") {
			checkHeader(t, c.reason, resp.Header, map[string]string{
				"Content-Security-Policy": "sandbox allow-downloads; *", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			})
		}
	}
}

// TestPagesOfStrangers looks at what a file of somebody else may do.
func TestPagesOfStrangers(t *testing.T) {
	st := store.NewMemory()
	w := st.Writer()
	page, err := unixfs.AddFile(t.Context(), w, strings.NewReader("<script>alert(1)</script>"), unixfs.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	const evil = `"><img src=x onerror=alert(1)>.txt`
	dir, err := unixfs.Build(t.Context(), w, []unixfs.Entry{{Name: evil, Cid: page.Cid}, {Name: "x.svg", Cid: page.Cid}, {Name: "y.html", Cid: page.Cid}})
	if err := errors.Join(err, w.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	h, err := gateway.NewHandler(st, gateway.Options{Pages: gateway.AllPages})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/x.svg", "/y.html"} {
		resp := httptest.NewRecorder()
		h.ServeHTTP(resp, httptest.NewRequest("GET", "/ipfs/"+dir.Cid.String()+path, nil)) // Host: example.com
		policy := resp.Header().Get("Content-Security-Policy")
		if resp.Code != 200 || !strings.HasPrefix(policy, "sandbox") || !strings.Contains(policy, "script-src 'none'") ||
			strings.Contains(policy, "allow-scripts") || strings.Contains(policy, "allow-same-origin") {
			t.Errorf("%s: %d, %s", path, resp.Code, policy)
		}
		if path == "/" && strings.Contains(resp.Body.String(), "<img") {
			t.Errorf("the list has the name as it is: %s", resp.Body)
		}
	}
	resp := httptest.NewRecorder()
	h.ServeHTTP(resp, httptest.NewRequest("GET", "/", nil))
	if resp.Code != 404 {
		t.Errorf("/ without a root: %d", resp.Code)
	}
}

// TestLargeDirectory is about a directory that is too large for a page, and not for a CAR.
func TestLargeDirectory(t *testing.T) {
	st := store.NewMemory()
	w := st.Writer()
	file, err := unixfs.AddFile(t.Context(), w, strings.NewReader("x"), unixfs.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	var entries []unixfs.Entry
	for i := range 10_001 {
		entries = append(entries, unixfs.Entry{Name: fmt.Sprintf("a-name-that-is-not-short-%d", i), Cid: file.Cid})
	}
	dir, err := unixfs.Build(t.Context(), w, entries)
	if err := errors.Join(err, w.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	h, err := gateway.NewHandler(st, gateway.Options{Pages: gateway.AllPages})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{"": 501, "?format=car": 200, entries[7].Name: 200} {
		resp := httptest.NewRecorder()
		h.ServeHTTP(resp, httptest.NewRequest("GET", "/ipfs/"+dir.Cid.String()+"/"+query, nil))
		if resp.Code != want {
			t.Errorf("%q: %d, want %d: %.200s", query, resp.Code, want, resp.Body)
		}
	}
}

// TestProviders reads the answers as a daemon does.
func TestProviders(t *testing.T) {
	s := newSample(t, gateway.Options{})
	resp, body := s.do(t, "GET", "/routing/v1/providers/"+s.root.String())
	var answer struct {
		Providers []struct {
			Schema, ID       string
			Addrs, Protocols []string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || resp.Header.Get("Content-Type") != "application/json" || len(answer.Providers) != 1 {
		t.Fatalf("%s: %s, %v", resp.Status, body, err)
	}
	p := answer.Providers[0]
	if _, err := peer.Decode(p.ID); err != nil || p.Schema != "peer" {
		t.Errorf("%+v: %v", p, err)
	}
	want := netip.MustParseAddrPort(strings.TrimPrefix(s.url, "http://"))
	if len(p.Addrs) != 1 || p.Addrs[0] != fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/http", want.Port()) {
		t.Errorf("addresses %q", p.Addrs)
	}
	if _, err := multiaddr.NewMultiaddr(p.Addrs[0]); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{
		"/routing/v1/providers/" + s.abs.String(): `200 {"Providers":[]}`,
		"/routing/v1/providers/xyz":               "400 not a CID",
	} {
		resp, body := s.do(t, "GET", path)
		if got := fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if resp, _ := s.do(t, "POST", "/routing/v1/providers/"+s.root.String()); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
}
