package name

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"archivecache/exchange"
)

// ErrNotFound is a name of which nobody who was asked has a valid record.
var ErrNotFound = errors.New("nobody has a record of it")

// A Source has records: a [Gateway], or an IPFS daemon.
type Source interface {
	// Record returns the record of a name as it came. Errors name the source.
	Record(ctx context.Context, name string) ([]byte, error)
	String() string
}

// Find asks the sources for the record of a name, all at once, and returns the newest that is valid.
// If there is none, the error tells what each of them said.
func Find(ctx context.Context, name string, sources []Source) (Record, error) {
	records, faults := make([]Record, len(sources)), make([]error, len(sources))
	var group sync.WaitGroup
	for i, s := range sources {
		group.Go(func() {
			data, err := s.Record(ctx, name)
			if err == nil {
				if records[i], err = Verify(data, name); err != nil {
					err = fmt.Errorf("%s: %w", s, err)
				}
			}
			faults[i] = err
		})
	}
	group.Wait()
	best := -1
	fault := fmt.Errorf("%s: %w", name, ErrNotFound)
	for i, err := range faults {
		switch {
		case err != nil:
			fault = fmt.Errorf("%w; %w", fault, err)
		case best < 0 || records[i].Newer(records[best]):
			best = i
		}
	}
	if best < 0 {
		return Record{}, fault
	}
	return records[best], nil
}

// A Gateway is a trustless gateway as a source of records.
type Gateway struct {
	Address exchange.Address
}

func (g Gateway) String() string { return "gateway at " + g.Address.String() }

// Record implements [Source].
func (g Gateway) Record(ctx context.Context, name string) ([]byte, error) {
	data, err := g.get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g, err)
	}
	return data, nil
}

func (g Gateway) get(ctx context.Context, name string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Address.String()+"/ipns/"+name+"?format=ipns-record", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.ipfs.ipns-record")
	req.Header.Set("User-Agent", "archivecache")
	resp, err := client.Do(req)
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err // the address is named with the source
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	return ReadBounded(resp.Body, MaxRecord)
}

// client asks those whom the user has named, and whoever they lead to.
var client = &http.Client{
	Timeout: time.Minute,
	Transport: &http.Transport{
		DialContext: (&net.Dialer{}).DialContext, Proxy: http.ProxyFromEnvironment,
		DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	},
	CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	},
}
