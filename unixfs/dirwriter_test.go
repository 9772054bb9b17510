package unixfs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"archivecache/unixfs"
)

// inSlots orders entries by their slots and cuts them into pieces of at least size entries,
// between slots.
func inSlots(entries []unixfs.Entry, size int) [][]unixfs.Entry {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b unixfs.Entry) int { return unixfs.Slot(a.Name) - unixfs.Slot(b.Name) })
	var pieces [][]unixfs.Entry
	for start, i := 0, 1; i <= len(sorted); i++ {
		last := i == len(sorted)
		if last || i-start >= size && unixfs.Slot(sorted[i].Name) != unixfs.Slot(sorted[i-1].Name) {
			pieces = append(pieces, sorted[start:i])
			start = i
		}
	}
	return pieces
}

// TestDirWriter compares with Build, around the switch from one block to shards and far behind it.
func TestDirWriter(t *testing.T) {
	const name = "file-%05d.txt"
	border := switchAt(t, name)
	for _, n := range []int{0, 1, 1000, border, border + 1, border + 2, 3 * border} {
		for _, size := range []int{1, 1000, 1 << 20} {
			t.Run(fmt.Sprintf("%d entries by %d", n, size), func(t *testing.T) {
				entries := makeEntries(n, name)
				m := newMemory()
				w := unixfs.NewDirWriter(ctx, m)
				for _, piece := range inSlots(entries, size) {
					if err := w.Add(piece); err != nil {
						t.Fatal(err)
					}
				}
				got, err := w.Finish()
				if err != nil {
					t.Fatal(err)
				}
				other := newMemory()
				if want := build(t, other, entries); got != want {
					t.Errorf("the directory is %v, Build says %v", got, want)
				}
				if m.puts != other.puts {
					t.Errorf("%d blocks were written, Build writes %d", m.puts, other.puts)
				}
			})
		}
	}
}

// TestDirWriterRefuses has the entries that a DirWriter does not take.
func TestDirWriterRefuses(t *testing.T) {
	pieces := inSlots(makeEntries(1000, "file-%05d.txt"), 1)
	tests := []struct {
		why    string
		pieces [][]unixfs.Entry
		want   string
	}{
		{"a slot that is written", [][]unixfs.Entry{pieces[5], pieces[4]}, "are written"},
		{"the same slot again", [][]unixfs.Entry{pieces[5], pieces[5]}, "are written"},
		{"a name twice", [][]unixfs.Entry{slices.Concat(pieces[0], pieces[0])}, "comes twice"},
		{"a name that is not allowed", [][]unixfs.Entry{{{Name: "a/b", Cid: pieces[0][0].Cid}}}, "not allowed"},
		{"an entry without a CID", [][]unixfs.Entry{{{Name: "a"}}}, "CID"},
	}
	for _, test := range tests {
		w := unixfs.NewDirWriter(ctx, newMemory())
		var err error
		for _, piece := range test.pieces {
			if err == nil {
				err = w.Add(piece)
			}
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v", test.why, err)
		}
	}
}
