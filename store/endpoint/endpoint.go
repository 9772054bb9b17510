// Package endpoint reads the addresses of HTTP APIs as people of IPFS write them: a multiaddr, such
// as /ip4/127.0.0.1/tcp/5001, /dns4/HOST/tcp/5001, /dns4/HOST/tcp/443/https or /unix/PATH, or the
// beginning of a URL, such as http://127.0.0.1:5001.
package endpoint

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// maxText is how long an address may be, in bytes.
const maxText = 1000

// An Address is where an API is.
type Address struct {
	Text string // as given
	URL  string // for requests: scheme, host, port, and what [ParseURL] lets stand behind them
	Unix string // the path of a socket, or ""
}

// Parse reads an address without a path.
func Parse(text string) (Address, error) {
	if !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") {
		return parseMultiaddr(text)
	}
	a, err := ParseURL(text)
	if u, _ := url.Parse(text); err == nil && strings.Trim(u.Path, "/") != "" {
		err = errNoPath
	}
	return a, err
}

var errNoPath = errors.New("want http://HOST:PORT and no more")

// ParseURL reads a URL that may have a path, such as https://pinning.example.org/psa.
func ParseURL(text string) (Address, error) {
	if len(text) > maxText {
		return Address{}, fmt.Errorf("%d bytes", len(text))
	}
	u, err := url.Parse(text)
	if err != nil {
		return Address{}, errors.New("malformed URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return Address{}, errors.New("want one that begins with https:// or http://")
	}
	if u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Address{}, errNoPath
	}
	return Address{Text: text, URL: u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/")}, nil
}

func parseMultiaddr(text string) (Address, error) {
	if len(text) > maxText {
		return Address{}, fmt.Errorf("%d bytes", len(text))
	}
	m, err := ma.NewMultiaddr(text)
	if err != nil {
		return Address{}, err
	}
	network, host, err := manet.DialArgs(m)
	switch {
	case err != nil:
		return Address{}, err
	case network == "unix":
		return Address{Text: text, URL: "http://unix", Unix: host}, nil
	case !strings.HasPrefix(network, "tcp"):
		return Address{}, errors.New("want one that ends in /tcp/PORT")
	}
	scheme := "http://"
	for _, p := range m.Protocols() {
		if p.Code == ma.P_HTTPS || p.Code == ma.P_TLS {
			scheme = "https://"
		}
	}
	return Address{Text: text, URL: scheme + host}, nil
}

// Private reports whether nobody but the two ends can read what is sent there: it is encrypted, or
// stays on this machine.
func (a Address) Private() bool {
	u, err := url.Parse(a.URL)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || a.Unix != "" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
