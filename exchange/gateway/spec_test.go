package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"archivecache/dagcbor"
	"archivecache/exchange/gateway"
	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	mh "github.com/multiformats/go-multihash"
)

// sample is a tree with what the specification speaks of, and the CIDs of its parts:
//
//	root/      a directory
//	  file     four chunks, of which the first and the third are equal
//	  sub/g    a file of one block
//	  many/    a sharded directory
//	  gone/h   a file that is not there
//	cbor       a map with the number 7, and sub under "sub"
//	tiny       a map with an identity CID
type sample struct {
	*site
	st                                              *store.Memory
	root, file, sub, g, many, gone, cbor, tiny, abs cid.Cid
	chunks                                          []cid.Cid
}

func newSample(t testing.TB, opt gateway.Options) *sample {
	t.Helper()
	s := &sample{site: &site{}, st: store.NewMemory()}
	w := s.st.Writer()
	s.fill(t, w)
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := gateway.NewHandler(s.st, opt)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *sample) fill(t testing.TB, w store.Writer) {
	t.Helper()
	ctx := t.Context()
	ok := func(e unixfs.Entry, err error) unixfs.Entry {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	add := func(put store.Putter, text []byte) unixfs.Entry {
		f, err := unixfs.AddFile(ctx, put, bytes.NewReader(text), unixfs.Attr{})
		return ok(unixfs.Entry{Cid: f.Cid, Tsize: f.Tsize}, err)
	}
	named := func(e unixfs.Entry, name string) unixfs.Entry { e.Name = name; return e }
	zeros, ones := make([]byte, unixfs.ChunkSize), bytes.Repeat([]byte{1}, unixfs.ChunkSize)
	file := add(w, slices.Concat(zeros, ones, zeros, []byte("the end")))
	for _, chunk := range [][]byte{zeros, ones, zeros, []byte("the end")} {
		s.chunks = append(s.chunks, store.Sum(cid.Raw, chunk))
	}
	g := add(w, []byte("gamma"))
	sub := ok(unixfs.Build(ctx, w, []unixfs.Entry{named(g, "g")}))
	gone := ok(unixfs.Build(ctx, w, []unixfs.Entry{named(add(nowhere{}, []byte("gone")), "h")}))
	var entries []unixfs.Entry
	for i := range 6000 {
		entries = append(entries, named(g, fmt.Sprintf("name-%d-%s", i, strings.Repeat("x", 20))))
	}
	many := ok(unixfs.Build(ctx, w, entries))
	root := ok(unixfs.Build(ctx, w, []unixfs.Entry{
		named(file, "file"), named(gone, "gone"), named(many, "many"), named(sub, "sub"),
	}))
	identity, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: mh.IDENTITY, MhLength: -1}.Sum([]byte("tiny"))
	if err != nil {
		t.Fatal(err)
	}
	// {"id": link}, by hand: package dagcbor takes no such link.
	link := slices.Concat([]byte("\xa1\x62id\xd8\x2a\x49\x00"), identity.Bytes())
	data, err := dagcbor.Marshal(map[string]any{"seven": 7, "sub": dagcbor.Link{Cid: sub.Cid}})
	if err != nil {
		t.Fatal(err)
	}
	cbor, tiny := store.NewBlock(cid.DagCBOR, data), store.NewBlock(cid.DagCBOR, link)
	if err := errors.Join(w.Put(ctx, cbor), w.Put(ctx, tiny)); err != nil {
		t.Fatal(err)
	}
	s.root, s.file, s.sub, s.g, s.many, s.gone = root.Cid, file.Cid, sub.Cid, g.Cid, many.Cid, gone.Cid
	s.cbor, s.tiny, s.abs = cbor.Cid, tiny.Cid, store.Sum(cid.Raw, []byte("absent"))
}

// nowhere takes blocks and forgets them.
type nowhere struct{}

func (nowhere) Put(context.Context, store.Block) error { return nil }

// carOf returns the CIDs of the blocks of a CAR in their order, and checks them.
func carOf(t testing.TB, data []byte) ([]cid.Cid, error) {
	t.Helper()
	r, err := car.NewBlockReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if r.Version != 1 {
		t.Errorf("CAR of version %d", r.Version)
	}
	cids := []cid.Cid{}
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return cids, nil
		}
		if err != nil {
			return cids, err
		}
		cids = append(cids, b.Cid())
	}
}

const (
	acceptRaw = "application/vnd.ipld.raw"
	acceptCAR = "application/vnd.ipld.car"
)

// TestSpecification asks for what the sentences of the trustless and the path gateway
// specification say, of 2026-03-05, as far as they are about what is served here.
func TestSpecification(t *testing.T) {
	s := newSample(t, gateway.Options{})
	root, file := "/ipfs/"+s.root.String(), "/ipfs/"+s.file.String()
	for _, c := range []struct {
		sentence string
		method   string // GET if empty
		path     string
		request  []string // headers
		status   int
		header   map[string]string // of the answer; a value that ends with * is its beginning
		blocks   []cid.Cid         // of a CAR; nil is not compared
	}{
		{"raw: application/vnd.ipld.raw MUST be supported", "", root, []string{"Accept", acceptRaw}, 200,
			map[string]string{"Content-Type": acceptRaw}, nil},
		{"raw: only /ipfs/{cid} is supported, no path traversal", "", root + "/sub?format=raw", nil, 406, nil, nil},
		{"raw: attachment with the CID and .bin; nosniff; immutable; strong Etag with the format", "", root + "?format=raw", nil, 200,
			map[string]string{"Content-Disposition": `attachment; filename="` + s.root.String() + `.bin"*`, "X-Content-Type-Options": "nosniff",
				"Cache-Control": "public, max-age=29030400, immutable", "Etag": `"` + s.root.String() + `.raw"`}, nil},
		{"filename sets the name of the attachment", "", root + "?format=raw&filename=%D1%82.bin", nil, 200,
			map[string]string{"Content-Disposition": `attachment; filename="_.bin"; filename*=UTF-8''%D1%82.bin`}, nil},
		{"Content-Location SHOULD be there when only Accept names the format", "", root, []string{"Accept", acceptRaw}, 200,
			map[string]string{"Content-Location": root + "?format=raw"}, nil},
		{"format SHOULD take precedence over Accept", "", root + "?format=raw", []string{"Accept", acceptCAR}, 200,
			map[string]string{"Content-Type": acceptRaw}, nil},
		{"raw: a range", "", "/ipfs/" + s.g.String() + "?format=raw", []string{"Range", "bytes=1-3"}, 206,
			map[string]string{"Content-Range": "bytes 1-3/5"}, nil},
		{"a range behind the end", "", "/ipfs/" + s.g.String() + "?format=raw", []string{"Range", "bytes=9-"}, 416, nil, nil},
		{"HEAD: the same without a body", "HEAD", root + "?format=raw", nil, 200, map[string]string{"Content-Type": acceptRaw}, nil},
		{"HEAD MUST be 404 for a root block that is not there", "HEAD", "/ipfs/" + s.abs.String() + "?format=raw", nil, 404, nil, nil},
		{"raw MUST be 404 for a block that is not there", "", "/ipfs/" + s.abs.String() + "?format=raw", nil, 404, nil, nil},
		{"CAR MUST be 404 when the root block is missing", "", "/ipfs/" + s.abs.String() + "?format=car", nil, 404, nil, nil},
		{"400 when the CID is invalid", "", "/ipfs/bafybad?format=raw", nil, 400, nil, nil},
		{"400 in strict mode without Accept", "", root, nil, 400, nil, nil},
		{"406 for what is not verifiable", "", root, []string{"Accept", "text/html"}, 406, nil, nil},
		{"406 for what is not verifiable, by format", "", root + "?format=tar", nil, 406, nil, nil},
		{"406 for deserialized JSON", "", "/ipfs/" + s.cbor.String() + "?format=dag-json", nil, 406, nil, nil},
		{"only-if-cached: 412 if the root block is not there", "", "/ipfs/" + s.abs.String() + "?format=raw", []string{"Cache-Control", "only-if-cached"}, 412, nil, nil},
		{"only-if-cached: 412 for HEAD too", "HEAD", "/ipfs/" + s.abs.String() + "?format=raw", []string{"Cache-Control", "only-if-cached"}, 412, nil, nil},
		{"only-if-cached: 200 if it is", "HEAD", root + "?format=raw", []string{"Cache-Control", "only-if-cached"}, 200, nil, nil},
		{"If-None-Match MUST be 304 on a match", "", root + "?format=raw", []string{"If-None-Match", `"x", W/"` + s.root.String() + `.raw"`}, 304, nil, nil},
		{"If-None-Match of another format is no match", "", root + "?format=raw", []string{"If-None-Match", `"` + s.root.String() + `"`}, 200, nil, nil},
		{"a service worker on a root MUST be 400", "", root + "?format=car", []string{"Service-Worker", "script"}, 400, nil, nil},

		{"CAR: by Accept; version, order and dups MUST be said", "", "/ipfs/" + s.sub.String(), []string{"Accept", acceptCAR}, 200,
			map[string]string{"Content-Type": acceptCAR + "; version=1; order=dfs; dups=n"}, []cid.Cid{s.sub, s.g}},
		{"CAR: attachment with the CID and .car; nosniff; no ranges; immutable; weak Etag", "", "/ipfs/" + s.sub.String() + "?format=car", nil, 200,
			map[string]string{"Content-Disposition": `attachment; filename="` + s.sub.String() + `.car"*`, "X-Content-Type-Options": "nosniff",
				"Accept-Ranges": "none", "Cache-Control": "public, max-age=29030400, immutable", "Etag": `W/"` + s.sub.String() + `.car.*`}, nil},
		{"CAR: HEAD", "HEAD", root + "?format=car", nil, 200, map[string]string{"Content-Type": acceptCAR + "*"}, nil},
		{"CAR: blocks of the path first", "", root + "/sub/g?format=car", nil, 200, nil, []cid.Cid{s.root, s.sub, s.g}},
		{"dag-scope=block: only the block at the end of the path", "", root + "/sub?format=car&dag-scope=block", nil, 200, nil, []cid.Cid{s.root, s.sub}},
		{"dag-scope=entity: all of a file", "", file + "?format=car&dag-scope=entity", nil, 200, nil,
			[]cid.Cid{s.file, s.chunks[0], s.chunks[1], s.chunks[3]}},
		{"dag-scope=entity: of a directory what lists it", "", root + "?format=car&dag-scope=entity", nil, 200, nil, []cid.Cid{s.root}},
		{"dag-scope=entity: of what is not UnixFS the block", "", "/ipfs/" + s.cbor.String() + "?format=car&dag-scope=entity", nil, 200, nil, []cid.Cid{s.cbor}},
		{"dag-scope=all: everything below", "", "/ipfs/" + s.cbor.String() + "?format=car&dag-scope=all", nil, 200, nil, []cid.Cid{s.cbor, s.sub, s.g}},
		{"CAR: a path through DAG-CBOR", "", "/ipfs/" + s.cbor.String() + "/sub/g?format=car", nil, 200, nil, []cid.Cid{s.cbor, s.sub, s.g}},
		{"CAR: blocks of identity CIDs MUST NOT be included", "", "/ipfs/" + s.tiny.String() + "?format=car", []string{"Accept", acceptCAR + ";dups=y"}, 200, nil, []cid.Cid{s.tiny}},
		{"dag-scope: another value", "", root + "?format=car&dag-scope=much", nil, 400, nil, nil},
		{"dups=y: every time they occur", "", file + "?format=car&dag-scope=entity", []string{"Accept", acceptCAR + "; version=1; order=dfs; dups=y"}, 200,
			map[string]string{"Content-Type": acceptCAR + "; version=1; order=dfs; dups=y"},
			[]cid.Cid{s.file, s.chunks[0], s.chunks[1], s.chunks[2], s.chunks[3]}},
		{"car-dups and car-order as parameters come before Accept", "", file + "?format=car&car-dups=n&car-order=dfs", []string{"Accept", acceptCAR + ";dups=y"}, 200,
			map[string]string{"Content-Type": acceptCAR + "; version=1; order=dfs; dups=n"}, []cid.Cid{s.file, s.chunks[0], s.chunks[1], s.chunks[3]}},
		{"dups: another value", "", file, []string{"Accept", acceptCAR + ";dups=x"}, 400, nil, nil},
		{"order: another value", "", file + "?format=car&car-order=bfs", nil, 400, nil, nil},
		{"version: another value", "", file + "?format=car&car-version=2", nil, 400, nil, nil},
		{"entity-bytes: the minimal set of blocks", "", file + fmt.Sprintf("?format=car&entity-bytes=%d:%d", unixfs.ChunkSize, unixfs.ChunkSize+9), nil, 200, nil,
			[]cid.Cid{s.file, s.chunks[1]}},
		{"entity-bytes: the end of the file", "", file + fmt.Sprintf("?format=car&entity-bytes=%d:*", 3*unixfs.ChunkSize), nil, 200, nil,
			[]cid.Cid{s.file, s.chunks[3]}},
		{"entity-bytes: from the end", "", file + "?format=car&entity-bytes=-3:*", nil, 200, nil, []cid.Cid{s.file, s.chunks[3]}},
		{"entity-bytes: to before the end", "", file + fmt.Sprintf("?format=car&entity-bytes=%d:-8", 2*unixfs.ChunkSize+1), nil, 200, nil,
			[]cid.Cid{s.file, s.chunks[0]}},
		{"entity-bytes: what lies partly behind the end", "", file + fmt.Sprintf("?format=car&entity-bytes=%d:%d", 3*unixfs.ChunkSize, 9*unixfs.ChunkSize), nil, 200, nil,
			[]cid.Cid{s.file, s.chunks[3]}},
		{"entity-bytes: a directory ignores it", "", root + "?format=car&dag-scope=entity&entity-bytes=5:7", nil, 200, nil, []cid.Cid{s.root}},
		{"entity-bytes: not a range", "", file + "?format=car&entity-bytes=a:b", nil, 400, nil, nil},
		{"a path that is not there: 200, as far as it goes", "", root + "/none?format=car", nil, 200, nil, []cid.Cid{s.root}},

		{"probe, raw MUST be 200 and empty", "", "/ipfs/bafkqaaa?format=raw", nil, 200, map[string]string{"Content-Length": "0"}, nil},
		{"probe, raw by Accept", "", "/ipfs/bafkqaaa", []string{"Accept", acceptRaw}, 200, map[string]string{"Content-Length": "0"}, nil},
		{"probe, CAR MUST be 200 and a valid CAR", "", "/ipfs/bafkqaaa?format=car", nil, 200, nil, []cid.Cid{}},
		{"probe, HEAD", "HEAD", "/ipfs/bafkqaaa?format=raw", nil, 200, nil, nil},
		{"a record that nobody has made", "", "/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8?format=ipns-record", nil, 404, nil, nil},
		{"content by name is not verifiable", "", "/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8?format=raw", nil, 406, nil, nil},
		{"a name that is none", "", "/ipns/ipfs.tech?format=ipns-record", nil, 400, nil, nil},
		{"pages are not here", "", "/", nil, 404, nil, nil},
	} {
		if c.method == "" {
			c.method = "GET"
		}
		resp, body := s.do(t, c.method, c.path, c.request...)
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s, want %d: %.200q", c.sentence, resp.Status, c.status, body)
			continue
		}
		if c.method == "HEAD" && len(body) > 0 {
			t.Errorf("%s: a body of %d bytes", c.sentence, len(body))
		}
		checkHeader(t, c.sentence, resp.Header, c.header)
		if c.blocks == nil {
			continue
		}
		if got, err := carOf(t, body); err != nil || !slices.Equal(got, c.blocks) {
			t.Errorf("%s: blocks %v, %v, want %v", c.sentence, got, err, c.blocks)
		}
	}
}

// TestMissingChild asks for a CAR of which a block is missing: the answer has begun, so it ends in
// what no reader takes for a whole CAR.
func TestMissingChild(t *testing.T) {
	s := newSample(t, gateway.Options{})
	resp, body := s.do(t, "GET", "/ipfs/"+s.gone.String()+"?format=car")
	got, err := carOf(t, body)
	if resp.StatusCode != 200 || err == nil || !slices.Equal(got, []cid.Cid{s.gone}) {
		t.Errorf("%s: %v, %v", resp.Status, got, err)
	}
	// What lies beside it is whole.
	resp, body = s.do(t, "GET", "/ipfs/"+s.root.String()+"/sub?format=car")
	if got, err := carOf(t, body); resp.StatusCode != 200 || err != nil || len(got) != 3 {
		t.Errorf("%s: %v, %v", resp.Status, got, err)
	}
}

// TestEtags wants another Etag for each answer that has other bytes.
func TestEtags(t *testing.T) {
	s := newSample(t, gateway.Options{})
	seen := map[string]string{}
	for _, query := range []string{
		"format=raw", "format=car", "format=car&dag-scope=block", "format=car&dag-scope=entity", "format=car&car-dups=y",
		"format=car&entity-bytes=0:5", "format=car&entity-bytes=0:*&dag-scope=entity&x=", "format=car&entity-bytes=0:6",
	} {
		path := "/ipfs/" + s.file.String() + "?" + query
		resp, _ := s.do(t, "HEAD", path)
		etag := resp.Header.Get("Etag")
		if other, ok := seen[etag]; etag == "" || ok && !strings.Contains(query, "0:*") {
			t.Errorf("%s: Etag %q as for %s", query, etag, other)
		}
		seen[etag] = query
		if resp, _ := s.do(t, "GET", path, "If-None-Match", etag); resp.StatusCode != 304 {
			t.Errorf("%s: If-None-Match: %s", query, resp.Status)
		}
	}
}

// TestHeadReadsLittle asks for the header of a CAR of everything.
func TestHeadReadsLittle(t *testing.T) {
	s := newSample(t, gateway.Options{})
	reads := &counted{Store: s.st}
	h, err := gateway.NewHandler(reads, gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	resp := httptest.NewRecorder()
	h.ServeHTTP(resp, httptest.NewRequest("HEAD", "/ipfs/"+s.many.String()+"?format=car", nil))
	if n := reads.n.Load(); resp.Code != 200 || n > 20 {
		t.Errorf("status %d after %d blocks", resp.Code, n)
	}
}

type counted struct {
	store.Store
	n atomic.Int64
}

func (c *counted) Get(ctx context.Context, want cid.Cid) ([]byte, error) {
	c.n.Add(1)
	return c.Store.Get(ctx, want)
}

func checkHeader(t *testing.T, what string, got http.Header, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		begin, prefix := strings.CutSuffix(want[name], "*")
		if value := got.Get(name); value != want[name] && !(prefix && strings.HasPrefix(value, begin)) {
			t.Errorf("%s: %s is %q, want %q", what, name, value, want[name])
		}
	}
}
