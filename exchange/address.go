package exchange

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxAddress is the longest address that is read, in bytes.
const MaxAddress = 256

// ErrScheme is an address that is neither http nor https. Other commands may know it.
var ErrScheme = errors.New("address is not http or https")

// ErrRefused is what every [RefusedError] is, for errors.Is.
var ErrRefused = errors.New("address refused")

// An Address is where somebody serves blocks. The zero Address is nowhere.
type Address struct {
	scheme string
	host   string // lower case; a name, or an IP without brackets
	port   string // decimal, never empty
}

// ParseAddress reads http://HOST:PORT or https://HOST:PORT, with nothing behind it but
// an optional slash. Another scheme is an ErrScheme.
func ParseAddress(text string) (Address, error) {
	a, err := parseAddress(text)
	if err != nil {
		shown := text[:min(len(text), MaxAddress)]
		return Address{}, fmt.Errorf("address %q: %w", shown, err)
	}
	return a, nil
}

func parseAddress(text string) (Address, error) {
	if len(text) > MaxAddress {
		return Address{}, fmt.Errorf("%d bytes, more than %d", len(text), MaxAddress)
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return Address{}, errors.New("not of the form http://HOST:PORT")
	}
	a := Address{scheme: strings.ToLower(scheme)}
	if a.scheme != "http" && a.scheme != "https" {
		return Address{}, ErrScheme
	}
	if strings.ContainsAny(rest, "?#@") {
		return Address{}, errors.New("has a user, a query or a fragment")
	}
	u, err := url.Parse(text)
	if err != nil {
		return Address{}, errors.Unwrap(err) // the text is named already
	}
	if u.Path != "" && u.Path != "/" {
		return Address{}, errors.New("has a path")
	}
	if a.host, err = parseHost(u.Host); err != nil {
		return Address{}, err
	}
	a.port, err = parsePort(a.scheme, u.Port())
	return a, err
}

// parseHost reads the host of HOST or HOST:PORT.
func parseHost(hostport string) (string, error) {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return "", errors.New("IP address has a zone")
		}
		return ip.String(), nil
	}
	return strings.ToLower(host), checkName(host)
}

// checkName says whether a host is a DNS name. Names whose last label is a number are
// refused, for resolvers read 127.1 and 0x7f.1 as IP addresses.
func checkName(host string) error {
	if len(host) > 253 {
		return errors.New("host name is longer than 253 bytes")
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, nameBytes) != "" {
			return errors.New("host is not a name and not an IP address")
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return errors.New("host is a number but not an IP address")
	}
	return nil
}

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func parsePort(scheme, port string) (string, error) {
	if port == "" {
		return map[string]string{"http": "80", "https": "443"}[scheme], nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", errors.New("port is not a number from 1 to 65535")
	}
	return strconv.FormatUint(n, 10), nil
}

// String returns the address as scheme://HOST:PORT, the port always written.
func (a Address) String() string {
	if a.scheme == "" {
		return "nowhere"
	}
	return a.scheme + "://" + net.JoinHostPort(a.host, a.port)
}

// A Policy says which addresses in messages are followed.
//
// An IP that is routed on the Internet is. So is 127.0.0.0/8 where it stands literally in the
// address, for friends on one machine, except the port 5001, the API of an IPFS daemon. Everything
// else is not: private, link-local, loopback and multicast ranges of IPv4 and IPv6, IPv4 inside
// IPv6, and names that resolve to any of these, 127.0.0.0/8 included.
type Policy struct {
	AllowPrivate bool // follow every address
}

// A RefusedError is an address that a Policy does not follow.
type RefusedError struct {
	Address Address
	IP      netip.Addr // what it stands for
	Reason  string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("address %s: %s %s: not followed without -allow-private", e.Address, e.IP, e.Reason)
}

// Is reports whether target is ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// Check says whether a may be followed as far as its text tells: a name is checked again with
// each IP that is dialled. The error is a [*RefusedError].
func (p Policy) Check(a Address) error {
	ip, err := netip.ParseAddr(a.host)
	if err != nil {
		return nil // a name
	}
	return p.checkIP(a, ip)
}

// kuboPort is where the API of an IPFS daemon listens.
const kuboPort = "5001"

// checkIP judges an IP that a is or has resolved to.
func (p Policy) checkIP(a Address, ip netip.Addr) error {
	reason := notPublic(ip)
	if p.AllowPrivate || reason == "" {
		return nil
	}
	if ip.Is4() && ip.IsLoopback() && a.host == ip.String() {
		if a.port != kuboPort {
			return nil
		}
		reason = "with the port of the API of an IPFS daemon"
	}
	return &RefusedError{Address: a, IP: ip, Reason: reason}
}

// notPublic says why ip is not routed on the Internet, or "" if it is.
func notPublic(ip netip.Addr) string {
	if ip.Is4In6() {
		return "is IPv4 inside IPv6"
	}
	if ip.Is6() && !globalUnicast.Contains(ip) {
		return "is not a public address"
	}
	for _, prefix := range special {
		if prefix.Contains(ip) {
			return "is not a public address"
		}
	}
	return ""
}

// globalUnicast is all that is assigned of IPv6 for addresses of single hosts.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// special are the ranges of the IANA special-purpose registries that are not routed globally or
// that carry another address inside.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/3"), // multicast, reserved, broadcast
	netip.MustParsePrefix("2001::/23"),   // protocols, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("3fff::/20"),
}
