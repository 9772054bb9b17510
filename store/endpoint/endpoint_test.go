package endpoint_test

import (
	"strings"
	"testing"

	"archivecache/store/endpoint"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]endpoint.Address{
		"/ip4/127.0.0.1/tcp/5001":            {URL: "http://127.0.0.1:5001"},
		"/ip6/::1/tcp/5001":                  {URL: "http://[::1]:5001"},
		"/dns4/example.org/tcp/443/https":    {URL: "https://example.org:443"},
		"/dns4/example.org/tcp/443/tls/http": {URL: "https://example.org:443"},
		"/unix/run/ipfs.sock":                {URL: "http://unix", Unix: "/run/ipfs.sock"},
		"http://127.0.0.1:5001":              {URL: "http://127.0.0.1:5001"},
		"https://example.org/":               {URL: "https://example.org"},
	} {
		want.Text = text
		if got, err := endpoint.Parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, why := range map[string]string{
		"":                                    "nothing",
		"localhost:5001":                      "neither a URL nor a multiaddr",
		"/ip4/127.0.0.1/udp/5001":             "not TCP",
		"/ip4/127.0.0.1":                      "no port",
		"http://":                             "no host",
		"http://me:word@127.0.0.1:5001":       "a password",
		"http://127.0.0.1:5001/api/v0":        "a path",
		"http://127.0.0.1:5001?x=1":           "a query",
		"http://127.0.0.1:5001#x":             "a fragment",
		"/unix/" + strings.Repeat("x", 2000):  "too long",
		"http://" + strings.Repeat("x", 2000): "too long",
	} {
		if got, err := endpoint.Parse(text); err == nil {
			t.Errorf("%.60q: %+v, and it has %s", text, got, why)
		}
	}
}

func TestParseURL(t *testing.T) {
	got, err := endpoint.ParseURL("https://example.org/psa/v1/")
	if err != nil || got.URL != "https://example.org/psa/v1" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"/ip4/127.0.0.1/tcp/5001", "ftp://example.org", "https://example.org/psa?key=x", "https://k@example.org/"} {
		if got, err := endpoint.ParseURL(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestPrivate(t *testing.T) {
	for text, want := range map[string]bool{
		"https://example.org": true, "http://127.0.0.1:9097": true, "http://[::1]:9097": true, "http://localhost:1": true, "/unix/x": true,
		"http://example.org": false, "http://192.0.2.1:9097": false, "/ip4/10.0.0.1/tcp/9094": false,
	} {
		a, err := endpoint.Parse(text)
		if err != nil || a.Private() != want {
			t.Errorf("%s: %v, %v; want %v", text, a.Private(), err, want)
		}
	}
}
