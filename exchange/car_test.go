package exchange_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archivecache/dagcbor"
	"archivecache/exchange"
	"archivecache/store"
	"archivecache/store/storetest"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	carstorage "github.com/ipld/go-car/v2/storage"
	mh "github.com/multiformats/go-multihash"
)

// export returns the CAR of roots.
func export(t testing.TB, st store.Getter, roots ...cid.Cid) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := exchange.ExportCAR(t.Context(), st, roots, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCAR(t *testing.T) {
	ctx := t.Context()
	st := store.NewMemory()
	root := makeTree(t, st, 3, 10, text)
	leaf := storetest.Blocks(30, 1, 100)[0]
	storetest.Put(t, st, leaf)
	var out bytes.Buffer
	stats, err := exchange.ExportCAR(ctx, st, []cid.Cid{root, leaf.Cid, root}, &out)
	if err != nil || stats.Blocks != int64(st.Len()) {
		t.Fatalf("%+v, %v, want %d blocks", stats, err, st.Len())
	}
	to := store.NewMemory()
	storetest.Put(t, to, leaf)
	got, err := exchange.ImportCAR(ctx, bytes.NewReader(out.Bytes()), to, exchange.CarLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Roots, []cid.Cid{root, leaf.Cid, root}) || got.Blocks != stats.Blocks || got.New != stats.Blocks-1 || got.Bytes != stats.Bytes {
		t.Errorf("import %+v of export %+v", got, stats)
	}
	if !bytes.Equal(export(t, to, root, leaf.Cid, root), out.Bytes()) {
		t.Error("another export of the same blocks has other bytes")
	}
	again, err := exchange.ImportCAR(ctx, bytes.NewReader(out.Bytes()), to, exchange.CarLimits{})
	if err != nil || again.New != 0 || again.Blocks != got.Blocks {
		t.Errorf("again: %+v, %v", again, err)
	}
	// A Getter that is no Store.
	if !bytes.Equal(export(t, store.NewOverlay(st), root, leaf.Cid, root), out.Bytes()) {
		t.Error("the export from an overlay has other bytes")
	}
}

// TestCARGolden compares with a file that is kept, so that the format does not change by mistake.
func TestCARGolden(t *testing.T) {
	st := store.NewMemory()
	root := makeTree(t, st, 2, 2, text)
	got := export(t, st, root)
	golden, err := os.ReadFile(filepath.Join("testdata", "tree.car.hex"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(golden)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("export is\n%x, want\n%x", got, want)
	}
}

func TestExportIncomplete(t *testing.T) {
	full, st := serve(t), store.NewMemory()
	root := makeTree(t, full.store, 3, 10, text)
	f := fetcher(t, st, full)
	if _, err := exchange.Complete(t.Context(), f, root, nil, exchange.Scope{MetadataOnly: true}); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, err := exchange.ExportCAR(t.Context(), st, []cid.Cid{root}, &out)
	var incomplete *exchange.IncompleteError
	if !errors.As(err, &incomplete) || incomplete.Count != 30 || len(incomplete.Missing) != 20 || !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("%v", err)
	}
	if out.Len() != 0 {
		t.Errorf("%d bytes were written", out.Len())
	}
	if !strings.Contains(err.Error(), incomplete.Missing[0].String()) {
		t.Errorf("%v", err)
	}
	if _, err := exchange.ExportCAR(t.Context(), full.store, []cid.Cid{root}, failing{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writer fails: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// section returns a section of a CAR.
func section(c cid.Cid, data []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(c.ByteLen()+len(data)))
	return slices.Concat(b, c.Bytes(), data)
}

// header returns the header of a CAR.
func header(t testing.TB, roots ...cid.Cid) []byte {
	t.Helper()
	links := []dagcbor.Link{}
	for _, c := range roots {
		links = append(links, dagcbor.Link{Cid: c})
	}
	data, err := dagcbor.Marshal(map[string]any{"roots": links, "version": 1})
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.AppendUvarint(nil, uint64(len(data))), data...)
}

// version2 wraps a CAR of version 1, with padding before and an index behind it.
func version2(payload []byte, padding int, index []byte) []byte {
	offset := car.PragmaSize + car.HeaderSize + padding
	b := slices.Concat(car.Pragma, make([]byte, 16))
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(payload)))
	b = binary.LittleEndian.AppendUint64(b, uint64(offset+len(payload)))
	return slices.Concat(b, make([]byte, padding), payload, index)
}

// TestImportVersion2 reads what go-car writes.
func TestImportVersion2(t *testing.T) {
	blocks := storetest.Blocks(31, 20, 3000)
	file, err := os.Create(filepath.Join(t.TempDir(), "v2.car"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := carstorage.NewReadableWritable(file, []cid.Cid{blocks[0].Cid}, car.UseDataPadding(100), car.UseIndexPadding(7))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err := w.Put(context.Background(), b.Cid.KeyString(), b.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finalize(); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	st := store.NewMemory()
	got, err := exchange.ImportCAR(t.Context(), file, st, exchange.CarLimits{All: true})
	if err != nil || got.New != 20 || !slices.Equal(got.Roots, []cid.Cid{blocks[0].Cid}) {
		t.Errorf("%+v, %v", got, err)
	}
	storetest.Want(t, st, blocks...)
}

// TestExportIsRead lets go-car read what is written here.
func TestExportIsRead(t *testing.T) {
	st := store.NewMemory()
	root := makeTree(t, st, 3, 10, text)
	r, err := car.NewBlockReader(bytes.NewReader(export(t, st, root)))
	if err != nil || r.Version != 1 || !slices.Equal(r.Roots, []cid.Cid{root}) {
		t.Fatalf("%+v, %v", r, err)
	}
	count := 0
	for ; ; count++ {
		b, err := r.Next() // verifies
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if count == 0 && !b.Cid().Equals(root) {
			t.Errorf("begins with %s", b.Cid())
		}
	}
	if count != st.Len() {
		t.Errorf("%d blocks, want %d", count, st.Len())
	}
}

// TestImportTruncated cuts CARs of both versions at every byte.
func TestImportTruncated(t *testing.T) {
	blocks := storetest.Blocks(32, 3, 150) // lengths take two bytes
	one := slices.Concat(header(t, blocks[0].Cid))
	whole := map[int]bool{len(one): true}
	for _, b := range blocks {
		one = append(one, section(b.Cid, b.Data)...)
		whole[len(one)] = true // a shorter CAR of version 1
	}
	two := version2(one, 9, []byte("index"))
	for version, data := range map[int][]byte{1: one, 2: two} {
		for n := range data {
			fine := version == 1 && whole[n] || version == 2 && n >= len(data)-len("index")
			st := store.NewMemory()
			_, err := exchange.ImportCAR(t.Context(), bytes.NewReader(data[:n]), st, exchange.CarLimits{})
			if (err == nil) != fine {
				t.Errorf("version %d cut at %d of %d: %v", version, n, len(data), err)
			}
			if err != nil && st.Len() != 0 {
				t.Errorf("version %d cut at %d: %d blocks are in the store", version, n, st.Len())
			}
		}
	}
}

func TestImportRefused(t *testing.T) {
	blocks := storetest.Blocks(33, 3, 50)
	b := blocks[2]
	begin := slices.Concat(header(t, blocks[0].Cid), section(blocks[0].Cid, blocks[0].Data), section(blocks[1].Cid, blocks[1].Data))
	sum := func(code uint64, data []byte) cid.Cid {
		c, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: code, MhLength: -1}.Sum(data)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	large := make([]byte, store.MaxBlock+1)
	many := slices.Repeat([]cid.Cid{b.Cid}, 1001)
	lying := version2(begin, 0, nil)
	binary.LittleEndian.PutUint64(lying[car.PragmaSize+24:], 1<<63)
	early := version2(begin, 0, nil)
	binary.LittleEndian.PutUint64(early[car.PragmaSize+16:], 3)
	for _, c := range []struct {
		reason string
		data   []byte
		words  string
	}{
		{"nothing", nil, "header"},
		{"text", []byte("hello, this is not a CAR at all, but a text"), "header"},
		{"header of another version", []byte("\x0a\xa1gversion\x03"), "version"},
		{"header too long", binary.AppendUvarint(nil, 1<<40), "header"},
		{"too many roots", header(t, many...), "1001 roots"},
		{"wrong hash", append(slices.Clone(begin), section(b.Cid, []byte("other"))...), b.Cid.String()},
		{"another hash", append(slices.Clone(begin), section(sum(mh.SHA2_512, b.Data), b.Data)...), "not SHA-256"},
		{"long identity", append(slices.Clone(begin), section(sum(mh.IDENTITY, large[:500]), large[:500])...), "not SHA-256"},
		{"block too large", append(slices.Clone(begin), section(store.Sum(cid.Raw, large), large)...), "2097152"},
		{"section too large", append(slices.Clone(begin), binary.AppendUvarint(nil, 1<<50)...), "at byte"},
		{"empty section", append(slices.Clone(begin), 0), "at byte"},
		{"not a CID", append(slices.Clone(begin), "\x04abcd"...), "at byte"},
		{"version 2 inside version 2", version2(version2(begin, 0, nil), 0, nil), "version 2"},
		{"version 2, length not possible", lying, "not possible"},
		{"version 2, data inside the header", early, "not possible"},
	} {
		st := store.NewMemory()
		_, err := exchange.ImportCAR(t.Context(), bytes.NewReader(c.data), st, exchange.CarLimits{})
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %q", c.reason, err, c.words)
		}
		if st.Len() != 0 {
			t.Errorf("%s: %d blocks are in the store", c.reason, st.Len())
		}
	}
	for _, limits := range []exchange.CarLimits{{MaxBlocks: 1}, {MaxBytes: 99}} {
		if _, err := exchange.ImportCAR(t.Context(), bytes.NewReader(begin), store.NewMemory(), limits); !errors.Is(err, exchange.ErrBudget) {
			t.Errorf("%+v: %v", limits, err)
		}
	}
	identity := append(slices.Clone(begin), section(sum(mh.IDENTITY, []byte("x")), []byte("x"))...)
	if got, err := exchange.ImportCAR(t.Context(), bytes.NewReader(identity), store.NewMemory(), exchange.CarLimits{All: true}); err != nil || got.Blocks != 2 {
		t.Errorf("identity: %+v, %v", got, err)
	}
}

// FuzzImportCAR checks that what is accepted is verified, and can be read again from the store.
func FuzzImportCAR(f *testing.F) {
	b := storetest.Blocks(34, 2, 20)
	one := slices.Concat(header(f, b[0].Cid), section(b[0].Cid, b[0].Data), section(b[1].Cid, b[1].Data))
	for _, data := range [][]byte{one, version2(one, 3, []byte("index")), header(f), one[:len(one)-1], car.Pragma} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		st := store.NewMemory()
		got, err := exchange.ImportCAR(t.Context(), bytes.NewReader(data), st, exchange.CarLimits{})
		if err != nil && st.Len() != 0 {
			t.Fatalf("%v, but %d blocks", err, st.Len())
		}
		if err == nil && int64(st.Len()) != got.New {
			t.Fatalf("%d blocks in the store, %+v", st.Len(), got)
		}
	})
}
