package dag_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"archivecache/dag"
	"archivecache/store"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	mh "github.com/multiformats/go-multihash"
)

var (
	linkA = store.Sum(cid.Raw, []byte("a"))
	linkB = store.Sum(cid.DagCBOR, []byte("b"))
	linkC = cid.NewCidV0(store.Sum(cid.DagProtobuf, []byte("c")).Hash())
)

// links collects what Links gives.
func links(codec uint64, data []byte) ([]cid.Cid, error) {
	var found []cid.Cid
	err := dag.Links(store.Sum(codec, data), data, func(c cid.Cid) error {
		found = append(found, c)
		return nil
	})
	return found, err
}

// pbBlock lets boxo write a dag-pb node.
func pbBlock(t testing.TB, cids ...cid.Cid) []byte {
	t.Helper()
	n := merkledag.NodeWithData([]byte("data"))
	for i, c := range cids {
		if err := n.AddRawLink(strings.Repeat("n", i), &ipld.Link{Cid: c, Size: uint64(i) << 20}); err != nil {
			t.Fatal(err)
		}
	}
	data, err := n.EncodeProtobuf(true)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func cborLink(c cid.Cid) cbor.Tag {
	return cbor.Tag{Number: 42, Content: append([]byte{0}, c.Bytes()...)}
}

func cborBlock(t testing.TB, v any) []byte {
	t.Helper()
	mode, err := cbor.EncOptions{Sort: cbor.SortLengthFirst}.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	data, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec uint64
		data  []byte
		want  []cid.Cid
	}{
		{"raw", cid.Raw, []byte("\x12\x34anything"), nil},
		{"empty dag-pb", cid.DagProtobuf, nil, nil},
		{"dag-pb", cid.DagProtobuf, pbBlock(t, linkA, linkB, linkC, linkA), []cid.Cid{linkA, linkB, linkC, linkA}},
		{"dag-cbor without links", cid.DagCBOR, cborBlock(t, map[string]any{"a": []any{1, -1, "x", true, nil, 1.5, []byte("b")}}), nil},
		{"dag-cbor", cid.DagCBOR, cborBlock(t, map[string]any{"a": cborLink(linkA), "b": []any{cborLink(linkC), map[string]any{"x": cborLink(linkB)}}}), []cid.Cid{linkA, linkC, linkB}},
		{"dag-cbor link alone", cid.DagCBOR, cborBlock(t, cborLink(linkA)), []cid.Cid{linkA}},
		{"dag-cbor large numbers", cid.DagCBOR, cborBlock(t, []any{24, 256, 65536, uint64(1) << 40, strings.Repeat("x", 300)}), nil},
	} {
		got, err := links(c.codec, c.data)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestTruncation(t *testing.T) {
	for codec, data := range map[uint64][]byte{
		cid.DagProtobuf: pbBlock(t, linkA, linkB),
		cid.DagCBOR:     cborBlock(t, map[string]any{"a": cborLink(linkA), "b": []any{cborLink(linkC)}}),
	} {
		whole, err := links(codec, data)
		if err != nil {
			t.Fatal(err)
		}
		for n := range data {
			// A dag-pb message may end where a field ends; it has fewer links then or no data.
			got, err := links(codec, data[:n])
			if err == nil && (codec == cid.DagCBOR || len(got) > len(whole)) {
				t.Errorf("codec 0x%x cut after %d of %d bytes: no error", codec, n, len(data))
			}
		}
		if _, err := links(codec, append(slices.Clone(data), 0)); err == nil {
			t.Errorf("codec 0x%x with a byte more: no error", codec)
		}
	}
}

func TestRefused(t *testing.T) {
	sha512, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: mh.SHA2_512, MhLength: -1}.Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: mh.IDENTITY, MhLength: -1}.Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	hash := string(linkC.Bytes())
	for _, c := range []struct {
		reason string
		codec  uint64
		data   string
	}{
		{"dag-pb: another hash", cid.DagProtobuf, string(pbBlock(t, sha512))},
		{"dag-pb: identity", cid.DagProtobuf, string(pbBlock(t, identity))},
		{"dag-pb: link without hash", cid.DagProtobuf, "\x12\x02\x12\x00"},
		{"dag-pb: name before hash", cid.DagProtobuf, "\x12\x26\x12\x00\x0a\x22" + hash},
		{"dag-pb: hash twice", cid.DagProtobuf, "\x12\x48\x0a\x22" + hash + "\x0a\x22" + hash},
		{"dag-pb: data twice", cid.DagProtobuf, "\x0a\x00\x0a\x00"},
		{"dag-pb: links around data", cid.DagProtobuf, "\x12\x24\x0a\x22" + hash + "\x0a\x00\x12\x24\x0a\x22" + hash},
		{"dag-pb: unknown field", cid.DagProtobuf, "\x1a\x00"},
		{"dag-pb: varint too long", cid.DagProtobuf, "\x0a\x80\x00"},
		{"dag-pb: varint too large", cid.DagProtobuf, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
		{"dag-pb: bytes behind a CID", cid.DagProtobuf, "\x12\x25\x0a\x23" + hash + "x"},
		{"dag-cbor: another hash", cid.DagCBOR, string(cborBlock(t, cborLink(sha512)))},
		{"dag-cbor: another tag", cid.DagCBOR, "\xc1\x00"},
		{"dag-cbor: tag of a text", cid.DagCBOR, "\xd8\x2a\x61a"},
		{"dag-cbor: no zero byte", cid.DagCBOR, "\xd8\x2a\x58\x22" + hash},
		{"dag-cbor: empty link", cid.DagCBOR, "\xd8\x2a\x40"},
		{"dag-cbor: indefinite array", cid.DagCBOR, "\x9f\xff"},
		{"dag-cbor: long number", cid.DagCBOR, "\x18\x01"},
		{"dag-cbor: long length", cid.DagCBOR, "\x59\x00\x01a"},
		{"dag-cbor: key is a number", cid.DagCBOR, "\xa1\x01\x02"},
		{"dag-cbor: undefined", cid.DagCBOR, "\xf7"},
		{"dag-cbor: half float", cid.DagCBOR, "\xf9\x00\x00"},
		{"dag-cbor: two items", cid.DagCBOR, "\x01\x02"},
		{"dag-cbor: nothing", cid.DagCBOR, ""},
		{"dag-cbor: huge array", cid.DagCBOR, "\x9b\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"dag-cbor: too deep", cid.DagCBOR, strings.Repeat("\x81", 100000) + "\x01"},
		{"another codec", cid.DagJSON, "{}"},
	} {
		if _, err := links(c.codec, []byte(c.data)); err == nil {
			t.Errorf("%s: no error", c.reason)
		} else if c.codec != cid.DagJSON && !errors.Is(err, dag.ErrMalformed) {
			t.Errorf("%s: %v is not ErrMalformed", c.reason, err)
		}
	}
}

func TestStop(t *testing.T) {
	stop := errors.New("stop")
	for codec, data := range map[uint64][]byte{
		cid.DagProtobuf: pbBlock(t, linkA, linkB),
		cid.DagCBOR:     cborBlock(t, []any{cborLink(linkA), cborLink(linkB)}),
	} {
		count := 0
		err := dag.Links(store.Sum(codec, data), data, func(cid.Cid) error { count++; return stop })
		if !errors.Is(err, stop) || count != 1 {
			t.Errorf("codec 0x%x: %v after %d links", codec, err, count)
		}
	}
}

// FuzzLinks compares with boxo: what is accepted here has the same links there.
func FuzzLinks(f *testing.F) {
	f.Add(true, pbBlock(f, linkA, linkB, linkC))
	f.Add(true, []byte{})
	f.Add(true, []byte("\x0a\x00\x12\x24\x0a\x22"+string(linkC.Bytes())))
	f.Add(false, cborBlock(f, map[string]any{"a": cborLink(linkA), "b": []any{cborLink(linkC), 1, nil, 2.5}}))
	f.Add(false, []byte("\x81\x81\x81\xd8\x2a\x40"))
	f.Fuzz(func(t *testing.T, pb bool, data []byte) {
		if !pb {
			links(cid.DagCBOR, data)
			return
		}
		got, err := links(cid.DagProtobuf, data)
		if err != nil {
			return
		}
		n, err := merkledag.DecodeProtobuf(data)
		if err != nil {
			t.Fatalf("boxo refuses: %v", err)
		}
		if len(n.Links()) != len(got) {
			t.Fatalf("%d links, boxo has %d", len(got), len(n.Links()))
		}
		for i, l := range n.Links() {
			if !l.Cid.Equals(got[i]) {
				t.Fatalf("link %d is %s, boxo has %s", i, got[i], l.Cid)
			}
		}
	})
}

func BenchmarkRawLinks(b *testing.B) {
	cids := make([]cid.Cid, 1000)
	for i := range cids {
		cids[i] = linkA
	}
	n := merkledag.NodeWithData(nil)
	for _, c := range cids {
		n.AddRawLink("some name", &ipld.Link{Cid: c})
	}
	data, err := n.EncodeProtobuf(true)
	if err != nil {
		b.Fatal(err)
	}
	c := store.Sum(cid.DagProtobuf, data)
	b.ReportAllocs()
	for b.Loop() {
		if err := dag.RawLinks(c, data, func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
