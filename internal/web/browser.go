package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy is what a browser may do with a page: show it, with pictures and styles from here, and
// save it. The sandbox gives each page an origin of its own, without scripts.
const policy = "sandbox allow-downloads; default-src 'self' data: 'unsafe-inline'; script-src 'none'; " +
	"object-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// Secure puts an answer into a sandbox, as all of a server has one origin, whoever wrote it.
func Secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// IsLocalHost says whether the header Host is an IP address or localhost, which no site of others
// can have.
func IsLocalHost(host string) bool {
	name := HostName(host)
	_, err := netip.ParseAddr(name)
	return err == nil || strings.EqualFold(name, "localhost")
}

// HostName returns a header Host without the port, and an IPv6 address without the brackets.
func HostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// IsOwn says whether a browser that sent r does so for nobody but the user and pages from here.
// What is no browser sends none of these headers.
func IsOwn(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	_, host, _ := strings.Cut(origin, "://") // a proxy may have taken off the TLS
	return origin == "" || strings.EqualFold(host, r.Host)
}
