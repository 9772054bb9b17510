package kubo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"archivecache/store/endpoint"

	"github.com/ipfs/kubo/client/rpc"
)

const (
	maxAnswer  = 1 << 20  // of an answer in JSON, in bytes
	maxRefusal = 64 << 10 // of an error that is answered
)

// call is one call of the API.
type call struct {
	command  string // such as "block/get"
	args     []string
	options  map[string]string
	body     io.Reader // may be nil
	bodyType string
	patience time.Duration // without news; the timeout of the daemon by default
	strict   bool          // bytes of the answer are no news, only what is read out of them
}

// do makes a call and has read read the answer, up to its end. An error of read ends the call; a
// failure that kubo reports behind its answer is an error too.
func (d *Daemon) do(ctx context.Context, c call, read func(*reply) error) error {
	if err := ctx.Err(); err != nil {
		return d.wrap(c.command, err)
	}
	if c.patience == 0 {
		c.patience = d.timeout
	}
	ctx, w := startWatch(ctx, c)
	defer w.stop()
	resp, err := d.request(c, w).Send(ctx)
	if err == nil {
		err = readToEnd(resp, w, read)
	}
	if err == nil {
		return nil
	}
	if context.Cause(ctx) == errSilent {
		err = fmt.Errorf("%w: %w for %v", ErrUnreachable, errSilent, c.patience)
	} else if ctx.Err() != nil {
		err = ctx.Err()
	}
	return d.wrap(c.command, explain(err))
}

func (d *Daemon) request(c call, w *watch) rpc.RequestBuilder {
	r := d.api.Request(c.command, c.args...)
	for key, value := range c.options {
		r.Option(key, value)
	}
	if c.body != nil {
		r.Body(&watched{r: c.body, w: w}).Header("Content-Type", c.bodyType)
	}
	return r
}

// A reply is an answer that is being read.
type reply struct {
	io.Reader
	news func() // gives the daemon time again
}

func readToEnd(resp *rpc.Response, w *watch, read func(*reply) error) error {
	if resp.Error != nil { // the transport has made errors of these
		return resp.Error
	}
	defer resp.Cancel()
	if err := read(&reply{resp.Output, w.news}); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Output, maxAnswer))
	if err == nil && n == maxAnswer {
		err = errors.New("the answer does not end")
	}
	return err
}

// readAll reads an answer of at most limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: more than %d bytes", errTooLong, limit)
	}
	return data, err
}

var errTooLong = errors.New("the answer is too long")

// explain says what kind of failure an error of the transport is.
func explain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, of which all that matters is said
	}
	var dial *net.OpError
	var refused *refusal
	switch {
	case errors.Is(err, ErrUnreachable):
	case errors.As(err, &refused) && refused.status == http.StatusForbidden, errors.As(err, &refused) && refused.status == http.StatusUnauthorized:
		err = fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.As(err, &refused) && full(refused.text):
		err = fmt.Errorf("%w: %w", ErrFull, err)
	case errors.As(err, &dial) && dial.Op == "dial":
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	case isCut(err):
		err = fmt.Errorf("%w: the connection was cut: %w", ErrUnreachable, err)
	}
	return err
}

func isCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// full reports whether kubo says that it has no space left.
func full(text string) bool {
	for _, known := range []string{"no space left on device", "disk quota exceeded", "not enough space on the disk", "maximum storage limit exceeded"} {
		if strings.Contains(text, known) {
			return true
		}
	}
	return false
}

// A refusal is an answer that is an error.
type refusal struct {
	status int
	text   string
	kubo   bool // in the form in which kubo puts its errors
}

func (e *refusal) Error() string {
	if e.kubo {
		return e.text
	}
	return fmt.Sprintf("HTTP status %d: %.200q", e.status, e.text)
}

// transport is how the client of kubo reaches the daemon. It makes errors of what is not an
// answer, so that the client, which would read them without a bound, sees none.
type transport struct {
	kept  *http.Transport // for calls without a body, which may be made twice
	fresh *http.Transport // for the others: a connection each, which cannot be stale
}

// connect makes the client. It does not dial.
func (d *Daemon) connect(a endpoint.Address) (err error) {
	d.http = newTransport(a, d.parallel)
	d.api, err = rpc.NewURLApiWithClient(a.URL, &http.Client{Transport: d.http})
	if err != nil {
		return fmt.Errorf("IPFS daemon at %s: %w", a.Text, err)
	}
	return nil
}

func newTransport(a endpoint.Address, parallel int) *transport {
	kept := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		MaxIdleConnsPerHost:    parallel,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxRefusal,
	}
	if a.Unix != "" {
		kept.Proxy = nil
		kept.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.Unix)
		}
	}
	fresh := kept.Clone()
	fresh.DisableKeepAlives = true
	return &transport{kept: kept, fresh: fresh}
}

func (t *transport) close() {
	t.kept.CloseIdleConnections()
	t.fresh.CloseIdleConnections()
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.fresh
	if req.Body == nil {
		base = t.kept
		req = req.Clone(req.Context())
		// An empty list is not sent. It has a call made again on a new connection if the daemon
		// closed the old one just then; all of ours do the same twice as once.
		req.Header["Idempotency-Key"] = []string{}
	}
	resp, err := base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	w, _ := req.Context().Value(watchKey{}).(*watch)
	resp.Body = &answer{resp: resp, body: resp.Body, w: w}
	w.hear()
	if err := check(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// check makes an error of an answer that is none.
func check(resp *http.Response) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case strings.HasPrefix(resp.Header.Get("Server"), "ipfs-cluster/ipfsproxy"):
		return ErrProxy // it passes on some calls, and pins in the whole cluster by others
	case resp.StatusCode != http.StatusOK:
		return readRefusal(resp, kind)
	case err != nil:
		return fmt.Errorf("answer of content type %.60q", resp.Header.Get("Content-Type"))
	case resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && resp.ProtoMajor == 1:
		return errors.New("answer without a mark of its end")
	}
	return nil
}

func readRefusal(resp *http.Response, kind string) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil && isCut(err) {
		return err
	}
	e := &refusal{status: resp.StatusCode, text: strings.TrimSpace(string(data))}
	var said struct {
		Message, Type string
	}
	if kind == "application/json" && json.Unmarshal(data, &said) == nil && said.Type == "error" {
		e.text, e.kubo = said.Message, true
	}
	return e
}

// answer is the body of an answer. Its end is also where kubo says what has failed.
type answer struct {
	resp *http.Response
	body io.ReadCloser
	w    *watch
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	if n > 0 {
		a.w.hear()
	}
	if err == io.EOF {
		if text := a.resp.Trailer.Get("X-Stream-Error"); text != "" {
			a.resp.Trailer.Del("X-Stream-Error") // the client would return it as mere text
			err = &refusal{status: a.resp.StatusCode, text: text, kubo: true}
		}
	}
	return n, err
}

func (a *answer) Close() error { return a.body.Close() }

// watch ends a call that has no news for too long.
type watch struct {
	timer    *time.Timer
	patience time.Duration
	cancel   context.CancelCauseFunc
	strict   bool
}

type watchKey struct{}

func startWatch(ctx context.Context, c call) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{patience: c.patience, cancel: cancel, strict: c.strict}
	w.timer = time.AfterFunc(c.patience, func() { cancel(errSilent) })
	return context.WithValue(ctx, watchKey{}, w), w
}

// hear is called whenever bytes move.
func (w *watch) hear() {
	if w != nil && !w.strict {
		w.news()
	}
}

func (w *watch) news() { w.timer.Reset(w.patience) }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// watched is the body of a request: that the daemon takes it is news.
type watched struct {
	r io.Reader
	w *watch
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.w.hear()
	return n, err
}
