package exchange_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"archivecache/exchange"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:7070":        "http://127.0.0.1:7070",
		"http://127.0.0.1:7070/":       "http://127.0.0.1:7070",
		"HTTP://Example.ORG":           "http://example.org:80",
		"https://example.org":          "https://example.org:443",
		"https://example.org.:08443":   "https://example.org.:8443",
		"http://[::1]:80":              "http://[::1]:80",
		"http://[2001:DB8:0::1]":       "http://[2001:db8::1]:80",
		"http://localhost:1":           "http://localhost:1",
		"http://xn--bcher-kva.example": "http://xn--bcher-kva.example:80",
		"http://under_score.example":   "http://under_score.example:80",
		"http://1.2.3.4.example:65535": "http://1.2.3.4.example:65535",
	} {
		a, err := exchange.ParseAddress(text)
		if err != nil || a.String() != want {
			t.Errorf("%q: %s, %v, want %s", text, a, err, want)
		}
		if b, err := exchange.ParseAddress(want); err != nil || b != a {
			t.Errorf("%q: %v, %v", want, b, err)
		}
	}
}

func TestParseAddressRefused(t *testing.T) {
	for _, c := range []struct{ reason, text string }{
		{"empty", ""},
		{"no scheme", "127.0.0.1:7070"},
		{"no host", "http://"},
		{"only a port", "http://:80"},
		{"user", "http://user@example.org"},
		{"user and password", "http://a:b@example.org"},
		{"query", "http://example.org/?x=1"},
		{"empty query", "http://example.org?"},
		{"fragment", "http://example.org#x"},
		{"path", "http://example.org/ipfs"},
		{"two slashes", "http://example.org//"},
		{"escaped host", "http://ex%61mple.org"},
		{"space", "http://exa mple.org"},
		{"control character", "http://example.org\n"},
		{"not ASCII", "http://bücher.example"},
		{"port 0", "http://example.org:0"},
		{"port too large", "http://example.org:65536"},
		{"port not a number", "http://example.org:http"},
		{"port with a sign", "http://example.org:+80"},
		{"zone", "http://[fe80::1%25eth0]"},
		{"short IPv4", "http://127.1"},
		{"IPv4 as one number", "http://2130706433"},
		{"IPv4 in hex", "http://0x7f.0x0.0x0.0x1"},
		{"IPv4 in octal", "http://0177.0.0.1"},
		{"empty label", "http://a..b"},
		{"bracket open", "http://[::1"},
		{"too long", "http://" + strings.Repeat("a.", 130) + "org"},
		{"label too long", "http://" + strings.Repeat("a", 64)},
	} {
		if a, err := exchange.ParseAddress(c.text); err == nil {
			t.Errorf("%s: %q is %s", c.reason, c.text, a)
		} else if errors.Is(err, exchange.ErrScheme) {
			t.Errorf("%s: %v is an ErrScheme", c.reason, err)
		}
	}
	for _, text := range []string{"tcp://127.0.0.1:7071", "mailto://x", "ftp://example.org", "file:///etc/passwd"} {
		if _, err := exchange.ParseAddress(text); !errors.Is(err, exchange.ErrScheme) {
			t.Errorf("%q: %v, want ErrScheme", text, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"http://127.0.0.1:7070", "https://[::1]/", "http://a.b:1", "tcp://x", "http://[::ffff:1.2.3.4]:5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := exchange.ParseAddress(text)
		if err != nil {
			return
		}
		b, err := exchange.ParseAddress(a.String())
		if err != nil || a != b {
			t.Fatalf("%q is %q, which is %q, %v", text, a, b, err)
		}
	})
}

func TestPolicy(t *testing.T) {
	for _, c := range []struct {
		reason, host string
		followed     bool
	}{
		{"loopback, literal", "127.0.0.1:7070", true},
		{"loopback, another", "127.8.9.10:80", true},
		{"API of an IPFS daemon", "127.0.0.1:5001", false},
		{"API of an IPFS daemon, another", "127.1.2.3:5001", false},
		{"public", "8.8.8.8", true},
		{"public, port 5001", "8.8.8.8:5001", true},
		{"public, IPv6", "[2606:4700::1111]", true},
		{"a name", "example.org", true},
		{"loopback, IPv6", "[::1]:7070", false},
		{"unspecified", "0.0.0.0:7070", false},
		{"this network", "0.1.2.3", false},
		{"unspecified, IPv6", "[::]:7070", false},
		{"private 10", "10.0.0.1", false},
		{"private 172", "172.16.0.1", false},
		{"private 172, the last", "172.31.255.255", false},
		{"behind private 172", "172.32.0.1", true},
		{"private 192", "192.168.1.1", false},
		{"link-local", "169.254.169.254", false},
		{"CGNAT", "100.64.0.1", false},
		{"CGNAT, the last", "100.127.255.255", false},
		{"benchmarks", "198.19.0.1", false},
		{"documentation", "203.0.113.7", false},
		{"multicast", "224.0.0.1", false},
		{"reserved", "240.0.0.1", false},
		{"broadcast", "255.255.255.255", false},
		{"unique local", "[fc00::1]", false},
		{"unique local, fd", "[fd12:3456::1]", false},
		{"link-local, IPv6", "[fe80::1]", false},
		{"multicast, IPv6", "[ff02::1]", false},
		{"loopback inside IPv6", "[::ffff:127.0.0.1]:7070", false},
		{"public inside IPv6", "[::ffff:8.8.8.8]", false},
		{"compatible IPv4", "[::127.0.0.1]", false},
		{"NAT64", "[64:ff9b::7f00:1]", false},
		{"6to4", "[2002:7f00:1::]", false},
		{"Teredo", "[2001:0:7f00:1::]", false},
		{"documentation, IPv6", "[2001:db8::1]", false},
	} {
		a, err := exchange.ParseAddress("http://" + c.host)
		if err != nil {
			t.Errorf("%s: %v", c.reason, err)
			continue
		}
		err = exchange.Policy{}.Check(a)
		if (err == nil) != c.followed {
			t.Errorf("%s: %s: %v", c.reason, a, err)
		}
		if err != nil && (!errors.Is(err, exchange.ErrRefused) || !strings.Contains(err.Error(), a.String()) || !strings.Contains(err.Error(), "-allow-private")) {
			t.Errorf("%s: error %q", c.reason, err)
		}
		if err := (exchange.Policy{AllowPrivate: true}).Check(a); err != nil {
			t.Errorf("%s, private allowed: %v", c.reason, err)
		}
	}
}

// TestPolicyDial checks what is dialled: a name that resolves to loopback.
func TestPolicyDial(t *testing.T) {
	block := store.NewBlock(cid.Raw, []byte("secret"))
	srv := serve(t, block)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(srv.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.LookupHost("localhost"); err != nil {
		t.Fatalf("the test needs localhost to resolve: %v", err)
	}
	source := exchange.Source{Address: address(t, "http://localhost:"+port), Hint: true, Who: "mallory"}
	get := func(s exchange.Source, policy exchange.Policy) error {
		f := exchange.NewFetcher(store.NewMemory(), []exchange.Source{s}, exchange.Options{Policy: policy, BlockTimeout: 5 * time.Second})
		defer f.Close()
		_, err := f.Get(t.Context(), block.Cid)
		return err
	}
	err = get(source, exchange.Policy{})
	if err == nil || !strings.Contains(err.Error(), "http://localhost:"+port) || !strings.Contains(err.Error(), "-allow-private") {
		t.Errorf("hint: %v", err)
	}
	if n := srv.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
	if err := get(source, exchange.Policy{AllowPrivate: true}); err != nil {
		t.Errorf("hint, private allowed: %v", err)
	}
	source.Hint = false
	if err := get(source, exchange.Policy{}); err != nil {
		t.Errorf("named by the user: %v", err)
	}
}
