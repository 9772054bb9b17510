package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// A Source is somewhere to ask for blocks.
type Source struct {
	Address Address
	Hint    bool   // comes from a message, so the policy counts; otherwise the user has named it
	Who     string // whose it is, for errors; may be empty

	// Get, if it is not nil, is how to ask, in place of HTTP; Address may be zero then. A block
	// that it does not have is a [*store.MissingError].
	Get func(context.Context, cid.Cid) ([]byte, error)
}

func (s Source) String() string {
	switch {
	case s.Get != nil:
		return s.Who
	case s.Who == "":
		return s.Address.String()
	}
	return s.Who + " at " + s.Address.String()
}

// An Attempt is what became of asking one source.
type Attempt struct {
	Source Source
	Err    error
}

func (a Attempt) String() string { return fmt.Sprintf("%s: %v", a.Source, a.Err) }

// errNotThere is a source that does not have the block.
var errNotThere = errors.New("does not have it")

// errLate is a request that took too long.
var errLate = errors.New("no answer in time")

const (
	maxRedirects = 5
	maxHeader    = 64 << 10 // bytes of the header of an answer
	// minRate is how many bytes each second of a request beyond the time for one block must bring.
	minRate = 4 << 10
	// maxFailures in a row put a source aside.
	maxFailures = 3
)

// peer is a Source and what is known of it.
type peer struct {
	Source
	client *http.Client
	block  time.Duration // for a request, without what minRate adds

	mu       sync.Mutex
	failures int   // in a row
	aside    error // why it is not asked any more
	served   int64 // when it gave a block last, by the count of the Fetcher
}

func newPeer(s Source, policy Policy, opt Options) *peer {
	p := &peer{Source: s, block: opt.BlockTimeout}
	dialer := &net.Dialer{Timeout: opt.BlockTimeout, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		MaxIdleConnsPerHost:    opt.Parallel,
		MaxConnsPerHost:        opt.Parallel,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    opt.BlockTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
	p.client = &http.Client{Transport: transport, CheckRedirect: limitRedirects}
	if !s.Hint {
		transport.Proxy = http.ProxyFromEnvironment
		return p
	}
	p.aside = policy.Check(s.Address)
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	// What counts is the address that is connected to, not what a name resolved to before.
	dialer.Control = func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %s: %w", s.Address, err)
		}
		return policy.checkIP(s.Address, to.Addr())
	}
	return p
}

func limitRedirects(_ *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

// ask requests a block and verifies it. answered is called when the answer begins, received
// whenever some of the block has come.
func (p *peer) ask(ctx context.Context, c cid.Cid, answered, received func()) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	timer := time.AfterFunc(p.block, func() { cancel(errLate) })
	defer timer.Stop()
	if p.Get != nil {
		return p.askOwn(ctx, c, received)
	}
	resp, err := p.request(ctx, c)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	defer resp.Body.Close()
	if err := checkAnswer(resp); err != nil {
		io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
		return nil, err
	}
	answered()
	data, err := readBlock(resp, func(n int) {
		received()
		allowed := p.block + time.Duration(n)*time.Second/minRate
		timer.Reset(time.Until(begin.Add(allowed)))
	})
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	return data, store.Verify(c, data)
}

// askOwn is ask by the way that the source has of its own.
func (p *peer) askOwn(ctx context.Context, c cid.Cid, received func()) ([]byte, error) {
	data, err := p.Get(ctx, c)
	switch {
	case context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, store.ErrNotFound):
		return nil, errNotThere
	case err != nil:
		return nil, err
	}
	received()
	return data, store.Verify(c, data)
}

func (p *peer) request(ctx context.Context, c cid.Cid) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Address.String()+"/ipfs/"+c.String()+"?format=raw", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.ipld.raw")
	req.Header.Set("User-Agent", "archivecache")
	resp, err := p.client.Do(req)
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err // the address is named with the source
	}
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		err = refused
	}
	return resp, err
}

// causeOf returns why ctx ended, if that is why err came.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// checkAnswer judges an answer by its header.
func checkAnswer(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone, http.StatusUnavailableForLegalReasons:
		return errNotThere
	default:
		return fmt.Errorf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return errors.New("answer has a content encoding that was not asked for")
	}
	if resp.ContentLength > store.MaxBlock {
		return errTooLong
	}
	return nil
}

var errTooLong = fmt.Errorf("answer is longer than the %d bytes that a block may have", store.MaxBlock)

// readBlock reads the body of an answer, and tells progress how many bytes there are by now.
func readBlock(resp *http.Response, progress func(n int)) ([]byte, error) {
	size := min(max(resp.ContentLength, 4<<10)+1, 64<<10) // what is declared is not believed
	data := make([]byte, 0, size)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := resp.Body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if len(data) > store.MaxBlock {
			return nil, errTooLong
		}
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		progress(len(data))
	}
}

// judge notes what came of asking. sequence orders the answers of all peers.
func (p *peer) judge(err error, sequence int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var wrong *store.MismatchError
	switch {
	case err == nil:
		p.failures, p.served = 0, sequence
	case errors.Is(err, errNotThere):
		p.failures = 0
	case errors.As(err, &wrong):
		p.aside = err
	case errors.Is(err, ErrRefused):
		p.aside = err
	default:
		if p.failures++; p.failures >= maxFailures && p.aside == nil {
			p.aside = fmt.Errorf("failed %d times, last: %w", p.failures, err)
		}
	}
}

// state returns when p gave a block last, and why it is put aside, if it is.
func (p *peer) state() (served int64, aside error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served, p.aside
}
