package workspace

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// records are statements as a workspace writes them.
func records() [][]statement {
	c := store.Sum(cid.Raw, []byte("x"))
	return [][]statement{
		{{Op: opPut, Path: []byte("root/a/f"), Kind: uint64(unixfs.File), Local: 7, Mode: 0o645, Mtime: make([]byte, 8)}},
		{
			{Op: opRemove, Path: []byte("root/a/\xff")},
			{Op: opPut, Path: []byte("root/b"), Kind: uint64(unixfs.Directory), Base: dagcbor.LinkTo(c), Tsize: 12},
			{Op: opPut, Path: []byte("root/b/l"), Kind: uint64(unixfs.Symlink), Target: []byte("../x")},
		},
		{{Op: opChunks, Local: 7, Have: []uint64{0, 3, 5, 5}}, {Op: opChunks, Local: 7, Chunks: 3}},
		{{Op: opAttr, Path: []byte("root/a"), Mode: 1}},
	}
}

// written returns a journal with all records.
func written(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	j, err := newJournal(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, all := range records() {
		if err := j.append(all...); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.sync(); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(journalPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// read returns the records of a journal; the rest of it has to be there exactly if some are missing.
func read(t testing.TB, data []byte) ([][]statement, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var got [][]statement
	rest, err := readJournal(name, func(all []statement) error {
		got = append(got, all)
		return nil
	})
	if size := int64(len(data)); rest < 0 || rest > size || len(got) == 0 && rest != size {
		t.Errorf("%d of %d bytes are left after %d records", rest, size, len(got))
	}
	return got, err
}

func TestJournal(t *testing.T) {
	got, err := read(t, written(t))
	if err != nil || !reflect.DeepEqual(got, records()) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestJournalCutOff cuts a journal everywhere: what was whole comes, and there is no error.
func TestJournalCutOff(t *testing.T) {
	data, want := written(t), records()
	for size := range data {
		got, err := read(t, data[:size])
		if err != nil || len(got) >= len(want) || !reflect.DeepEqual(got, want[:len(got):len(got)]) && len(got) > 0 {
			t.Fatalf("of the first %d bytes: %v, %v", size, got, err)
		}
	}
}

// TestJournalDamaged changes each byte: what comes is what was written, up to the change.
func TestJournalDamaged(t *testing.T) {
	data, want := written(t), records()
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 0x20
		got, err := read(t, changed)
		if err != nil || len(got) >= len(want) || !reflect.DeepEqual(got, want[:len(got):len(got)]) && len(got) > 0 {
			t.Fatalf("with byte %d changed: %v, %v", i, got, err)
		}
	}
}

// TestStatements refuses what no program writes.
func TestStatements(t *testing.T) {
	for why, s := range map[string]statement{
		"unknown":        {Op: "link", Path: []byte("root/a")},
		"no path":        {Op: opRemove},
		"no kind":        {Op: opPut, Path: []byte("root/a")},
		"a shard":        {Op: opPut, Path: []byte("root/a"), Kind: uint64(unixfs.HAMTShard)},
		"kind of remove": {Op: opRemove, Path: []byte("root/a"), Kind: uint64(unixfs.File)},
		"no local file":  {Op: opChunks, Have: []uint64{0, 1}},
		"half a range":   {Op: opChunks, Local: 1, Have: []uint64{0}},
		"backwards":      {Op: opChunks, Local: 1, Have: []uint64{2, 1}},
		"out of order":   {Op: opChunks, Local: 1, Have: []uint64{4, 5, 2, 3}},
		"too many":       {Op: opChunks, Local: 1, Have: []uint64{0, 1 << 40}},
		"too large mode": {Op: opAttr, Path: []byte("root/a"), Mode: 0o1001},
		"short time":     {Op: opAttr, Path: []byte("root/a"), Mtime: []byte{1}},
	} {
		body, err := dagcbor.Marshal([]statement{s})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeRecord(body); err == nil {
			t.Errorf("%s: %+v is taken", why, s)
		}
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(written(f))
	for _, all := range records() {
		body, err := dagcbor.Marshal(all)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for r := bytes.NewReader(data); ; {
			body, err := readRecord(r)
			if err != nil {
				t.Fatal(err) // nothing fails to be read from memory
			}
			if body == nil {
				break
			}
			decodeRecord(body)
		}
		all, err := decodeRecord(data)
		if err != nil {
			return
		}
		if again, err := dagcbor.Marshal(all); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x is read, and written as %x, %v", data, again, err)
		}
	})
}
