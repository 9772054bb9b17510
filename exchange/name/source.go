package name

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"archivecache/exchange"
)

// ErrNotFound is a name of which nobody who was asked has a valid record.
var ErrNotFound = errors.New("nobody has a record of it")

// A Source has records.
type Source interface {
	// Record returns the record of a name as it came.
	Record(ctx context.Context, name string) ([]byte, error)
	String() string
}

// Find asks the sources for the record of a name, one after the other, and returns the newest that
// is valid. If there is none, the error tells what each of them said.
func Find(ctx context.Context, name string, sources []Source) (Record, error) {
	var best *Record
	fault := fmt.Errorf("%s: %w", name, ErrNotFound)
	for _, s := range sources {
		data, err := s.Record(ctx, name)
		var r Record
		if err == nil {
			r, err = Verify(data, name)
		}
		switch {
		case ctx.Err() != nil:
			return Record{}, ctx.Err()
		case err != nil:
			fault = fmt.Errorf("%w; %s: %w", fault, s, err)
		case best == nil || r.Newer(*best):
			best = &r
		}
	}
	if best == nil {
		return Record{}, fault
	}
	return *best, nil
}

// A Gateway is a trustless gateway as a source of records.
type Gateway struct {
	Address exchange.Address
}

func (g Gateway) String() string { return "gateway at " + g.Address.String() }

// Record implements [Source].
func (g Gateway) Record(ctx context.Context, name string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Address.String()+"/ipns/"+name+"?format=ipns-record", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.ipfs.ipns-record")
	resp, err := do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	return ReadBounded(resp.Body, MaxRecord)
}
