package exchange

import (
	"errors"
	"io"
	"maps"
	"testing"

	"archivecache/store"
	"archivecache/store/storetest"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// TestSurvey has what must be there, what may be missing, and a block that is first met as one that
// may be missing.
func TestSurvey(t *testing.T) {
	leaves := storetest.Blocks(1, 4, 100)
	sharedPart := linking(t, leaves[0].Cid, linking(t, leaves[3].Cid).Cid)
	other := linking(t, sharedPart.Cid, leaves[1].Cid) // what it links may be missing
	deep := linking(t, sharedPart.Cid)                 // what it links must be there
	root := linking(t, other.Cid, linking(t, deep.Cid).Cid)
	m := store.NewMemory()
	storetest.Put(t, m, root, other, linking(t, deep.Cid), deep)
	lost := map[cid.Cid]bool{}
	s := NewSurvey(m, func(c cid.Cid, err error) error {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", c, err)
		}
		lost[c] = true
		return nil
	})
	err := s.Metadata(t.Context(), []cid.Cid{root.Cid}, func(c cid.Cid, _ []byte) (bool, error) { return !c.Equals(other.Cid), nil })
	if err != nil || len(lost) != 1 || !lost[sharedPart.Cid] {
		t.Fatalf("lost are %v, and it should be %s: %v", lost, sharedPart.Cid, err)
	}
	clear(lost)
	if err := s.Whole(t.Context(), []cid.Cid{leaves[2].Cid}); err != nil || len(lost) != 1 || !lost[leaves[2].Cid] {
		t.Fatalf("lost are %v, and it should be %s: %v", lost, leaves[2].Cid, err)
	}
	clear(lost)
	absent, err := s.Rest(t.Context(), []cid.Cid{leaves[2].Cid})
	if err != nil || absent != 1 || len(lost) > 0 {
		t.Errorf("%d are absent, and one leaf should be; lost are %v: %v", absent, lost, err)
	}
}

// TestFinder finds blocks in a sharded directory, and of files in several blocks.
func TestFinder(t *testing.T) {
	m := store.NewMemory()
	w := m.Writer()
	var entries []unixfs.Entry
	for i, b := range storetest.Blocks(1, 6000, 50) {
		storetest.Put(t, m, b)
		entries = append(entries, unixfs.Entry{Name: "a name that is long enough " + string(rune('a'+i%26)) + b.Cid.String(), Cid: b.Cid, Tsize: 50})
	}
	large, err := unixfs.AddFile(t.Context(), w, &pattern{n: 3 << 20}, unixfs.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	entries = append(entries, unixfs.Entry{Name: "large", Cid: large.Cid, Tsize: large.Tsize})
	dir, err := unixfs.Build(t.Context(), w, entries)
	if err == nil {
		err = w.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	node, err := m.Get(t.Context(), large.Cid)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := unixfs.DecodeNode(node)
	if err != nil {
		t.Fatal(err)
	}
	want := map[cid.Cid]string{
		decoded.Links[2].Cid(): "root/docs/large",
		entries[4711].Cid:      "root/docs/" + entries[4711].Name,
	}
	found := map[cid.Cid]string{}
	f := NewFinder(m, func(c cid.Cid) bool { return want[c] != "" })
	if err := f.Below(t.Context(), "root/docs", dir.Cid, func(path string, c cid.Cid) { found[c] = path }); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(found, want) {
		t.Errorf("found %v, and it should be %v", found, want)
	}
}

// pattern reads as n bytes that do not repeat soon.
type pattern struct{ n, at int }

func (p *pattern) Read(buf []byte) (int, error) {
	n := min(len(buf), p.n-p.at)
	for i := range buf[:n] {
		buf[i] = byte((p.at + i) * (p.at + i) >> 10)
	}
	if p.at += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
