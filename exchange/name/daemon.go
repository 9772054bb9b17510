package name

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"

	"archivecache/store"

	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A Daemon is an IPFS daemon, by its RPC API, as a source of records and nodes, and as somebody who
// publishes records. Contexts are the only deadline of its calls.
type Daemon struct {
	text string
	url  string
}

// ParseDaemon reads the address of an API, such as /ip4/127.0.0.1/tcp/5001 or
// http://127.0.0.1:5001.
func ParseDaemon(text string) (*Daemon, error) {
	if strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
			return nil, fmt.Errorf("%q is not the address of an API, such as /ip4/127.0.0.1/tcp/5001", text)
		}
		return &Daemon{text, u.Scheme + "://" + u.Host}, nil
	}
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not the address of an API, such as /ip4/127.0.0.1/tcp/5001: %w", text, err)
	}
	network, host, err := manet.DialArgs(addr)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("%q is not the address of an API, such as /ip4/127.0.0.1/tcp/5001", text)
	}
	return &Daemon{text, "http://" + host}, nil
}

func (d *Daemon) String() string { return "IPFS daemon at " + d.text }

// Put hands a record to the daemon, which publishes it if it is online, and else keeps it.
func (d *Daemon) Put(ctx context.Context, name string, record []byte) error {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("value-file", "record")
	if err == nil {
		_, err = file.Write(record)
	}
	if err = errors.Join(err, form.Close()); err != nil {
		return err
	}
	_, err = d.call(ctx, "routing/put?allow-offline=true&arg=/ipns/"+name, form.FormDataContentType(), &body, 64<<10)
	return err
}

// Record implements [Source].
func (d *Daemon) Record(ctx context.Context, name string) ([]byte, error) {
	// The record comes as base64 in JSON.
	data, err := d.call(ctx, "routing/get?arg=/ipns/"+name, "", nil, 2*MaxRecord)
	if err != nil {
		return nil, err
	}
	var answer struct{ Extra []byte }
	if err := json.Unmarshal(data, &answer); err != nil || len(answer.Extra) == 0 {
		return nil, errors.New("an answer without a record")
	}
	return answer.Extra, nil
}

// Get implements [store.Getter]; the daemon may ask others.
func (d *Daemon) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	data, err := d.call(ctx, "block/get?arg="+c.String(), "", nil, store.MaxBlock)
	if err == nil {
		err = store.Verify(c, data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: block %s: %w", d, c, err)
	}
	return data, nil
}

// call returns the answer to a call, of at most limit bytes.
func (d *Daemon) call(ctx context.Context, what, contentType string, body io.Reader, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/api/v0/"+what, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := ReadBounded(resp.Body, limit)
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(complaint(resp, data))
	}
	if err == nil && resp.Trailer.Get("X-Stream-Error") != "" {
		err = fmt.Errorf("%.300q", resp.Trailer.Get("X-Stream-Error"))
	}
	return data, err
}

// complaint returns what a daemon says of a failure.
func complaint(resp *http.Response, data []byte) string {
	var answer struct{ Message string }
	if json.Unmarshal(data, &answer) == nil && answer.Message != "" {
		return fmt.Sprintf("%.300s", answer.Message)
	}
	return "status " + resp.Status + ", not as the API of an IPFS daemon answers"
}

// client asks only whom the user has named, and whoever they lead to within the same scheme.
var client = &http.Client{
	Transport: &http.Transport{
		DialContext: (&net.Dialer{}).DialContext, Proxy: http.ProxyFromEnvironment,
		DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	},
	CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if req.Method != http.MethodGet || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	},
}

// do sends a request; the address is named by whoever shows the error.
func do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "archivecache")
	resp, err := client.Do(req)
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err
	}
	return resp, err
}
