package pinning

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"archivecache/store/endpoint"
)

const (
	maxAnswer  = 1 << 20  // of an answer, in bytes
	maxList    = 64 << 20 // of the list of all pins of a cluster
	maxRefusal = 4 << 10  // of an error that is answered
)

// A refusal is an answer that is an error.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return fmt.Sprintf("HTTP status %d: %.300q", e.status, e.text) }

// transport bounds answers and makes errors of refusals, so that whoever reads them, in a library
// too, reads no more than that.
type transport struct {
	base  *http.Transport
	token string
	limit int64
}

// newClient returns a client of the API at a.
func newClient(a endpoint.Address, opt Options, limit int64) *http.Client {
	base := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if a.Unix != "" {
		base.Proxy = nil
		base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.Unix)
		}
	}
	timeout := opt.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	return &http.Client{
		Transport: &transport{base: base, token: opt.Token, limit: limit}, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	if t.token != "" {
		req.Header.Set("Authorization", authorization(t.token))
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		if err != nil {
			return nil, err
		}
		return nil, &refusal{resp.StatusCode, refusalText(data)}
	}
	resp.Body = &bounded{resp: resp, body: resp.Body, left: t.limit}
	return resp, nil
}

func authorization(token string) string {
	if strings.Contains(token, ":") {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(token))
	}
	return "Bearer " + token
}

// refusalText finds the words in an error of a cluster, {"code", "message"}, or of a pinning
// service, {"error": {"reason", "details"}}.
func refusalText(data []byte) string {
	var said struct {
		Message string
		Error   struct{ Reason, Details string }
	}
	text := strings.TrimSpace(string(data))
	if json.Unmarshal(data, &said) != nil {
		return text
	}
	if said.Message != "" {
		return said.Message
	}
	if reason := strings.Trim(said.Error.Reason+": "+said.Error.Details, ": "); reason != "" {
		return reason
	}
	return text
}

// bounded is the body of an answer, of which an error in the trailer is the end.
type bounded struct {
	resp *http.Response
	body io.ReadCloser
	left int64
}

var errTooLong = errors.New("the answer is too long")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLong
	}
	if err == io.EOF {
		if text := b.resp.Trailer.Get("X-Stream-Error"); text != "" {
			err = &refusal{b.resp.StatusCode, text}
		}
	}
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }

// explain says what kind of failure a call has met; other is the kind of an answer that makes no
// sense.
func explain(address, call string, err, other error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // without the URL, of which all that matters is said
	}
	var refused *refusal
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refused):
		switch refused.status {
		case http.StatusUnauthorized, http.StatusForbidden:
			err = fmt.Errorf("%w: %w", ErrDenied, err)
		case http.StatusNotFound, http.StatusMethodNotAllowed:
			err = fmt.Errorf("%w: %w", other, err)
		}
	case errors.Is(err, context.Canceled):
	case errors.As(err, &network), errors.As(err, &certificate), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	default:
		err = fmt.Errorf("%w: %w", other, err)
	}
	return &CallError{Address: address, Call: call, Err: err}
}
