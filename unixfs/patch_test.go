package unixfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// borrowing is a memory whose callers use their buffers again.
type borrowing struct{ *memory }

func (b borrowing) PutBorrowed(ctx context.Context, block store.Block) error {
	block.Data = bytes.Clone(block.Data)
	return b.Put(ctx, block)
}

// changes returns a Changed for these chunks. It fails the test if it is not asked in order, and
// once for each chunk.
func changes(t fataler, chunks ...int64) func(int64) bool {
	next := int64(0)
	return func(i int64) bool {
		if i != next {
			t.Fatal("asked for chunk", i, "instead of", next)
		}
		next++
		return slices.Contains(chunks, i)
	}
}

func addBytes(t fataler, put store.Putter, data []byte, attr unixfs.Attr) unixfs.Added {
	t.Helper()
	added, err := unixfs.AddFile(ctx, put, bytes.NewReader(data), attr)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// patched is what a patch says that the new file is.
func patched(base []byte, p unixfs.Patch, chunks []int64, data []byte) []byte {
	want := make([]byte, p.Size)
	copy(want, base[:min(int64(len(base)), max(0, p.BaseChunks)*mib)])
	for _, i := range chunks {
		if i*mib < p.Size {
			chunk := want[i*mib : min((i+1)*mib, p.Size)]
			clear(chunk)
			copy(chunk, data[min(i*mib, int64(len(data))):])
		}
	}
	return want
}

// checkPatch compares PatchFile with AddFile and reads the new file.
func checkPatch(t fataler, blocks store.Blocks, p unixfs.Patch, want []byte) cid.Cid {
	t.Helper()
	got, err := unixfs.PatchFile(ctx, blocks, p)
	if err != nil {
		t.Fatal(err)
	}
	if added := addBytes(t, nowhere{}, want, p.Attr); got != added {
		t.Fatal("PatchFile =", got, "AddFile =", added)
	}
	var back bytes.Buffer
	if _, err := unixfs.Copy(ctx, blocks, got.Cid, &back); err != nil || !bytes.Equal(back.Bytes(), want) {
		t.Fatal("the new file reads differently:", err)
	}
	return got.Cid
}

var attrs = []unixfs.Attr{
	{}, {Executable: true}, {Mtime: someTime}, {Executable: true, Mtime: time.Unix(-5, 0)},
}

// drawSize draws a size of 0 to 5 MiB, often at a border of chunks.
func drawSize(t *rapid.T, label string) int64 {
	size := int64(rapid.IntRange(0, 5).Draw(t, label+" MiB")) * mib
	switch rapid.IntRange(0, 3).Draw(t, label+" shift") {
	case 1:
		size++
	case 2:
		size--
	case 3:
		size -= int64(rapid.IntRange(0, mib).Draw(t, label+" less"))
	}
	return max(0, size)
}

func drawBytes(t *rapid.T, label string) []byte {
	data := make([]byte, drawSize(t, label))
	rand.NewChaCha8([32]byte{rapid.Byte().Draw(t, label+" seed")}).Read(data)
	return data
}

// TestPatchFile changes a file several times over.
func TestPatchFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var blocks store.Blocks = newMemory()
		if rapid.Bool().Draw(t, "borrows") {
			blocks = borrowing{newMemory()}
		}
		have := drawBytes(t, "base")
		p := unixfs.Patch{}
		if rapid.Bool().Draw(t, "has base") {
			p.Base = addBytes(t, blocks, have, rapid.SampledFrom(attrs).Draw(t, "base attr")).Cid
		} else {
			have = nil
		}
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			p.Size = drawSize(t, "new")
			p.BaseChunks = int64(rapid.SampledFrom([]int{math.MaxInt64, -1, 0, 1, 2, 3}).Draw(t, "base chunks"))
			p.Attr = rapid.SampledFrom(attrs).Draw(t, "attr")
			chunks := rapid.SliceOfNDistinct(rapid.Int64Range(0, 5), 0, 3, rapid.ID).Draw(t, "changed")
			data := drawBytes(t, "data")
			p.Changed, p.Data = changes(t, chunks...), bytes.NewReader(data)
			have = patched(have, unixfs.Patch{Size: p.Size, BaseChunks: min(p.BaseChunks, 9)}, chunks, data)
			p.Base = checkPatch(t, blocks, p, have)
		}
	})
}

// A filled is a chunk that begins with n bytes of a kind and ends with zeros.
type filled struct {
	kind byte
	n    int
}

// full is a chunk of one kind; that of kind zero is a hole.
func full(kind byte) filled { return filled{kind, mib * min(1, int(kind))} }

func (f filled) bytes() []byte {
	return append(bytes.Repeat([]byte{f.kind}, f.n), make([]byte, mib-f.n)...)
}

// cut is f in a chunk of size bytes.
func (f filled) cut(size int) filled { return filled{f.kind, min(f.n, size)} }

// A mason builds files of many chunks by hand, without their content.
type mason struct {
	*memory
	leaves map[filled]map[int]part
}

// A part is something that a node links to.
type part struct {
	unixfs.Link
	size uint64
}

func newMason() *mason { return &mason{newMemory(), map[filled]map[int]part{}} }

func (m *mason) leaf(f filled, size int) part {
	if m.leaves[f] == nil {
		m.leaves[f] = map[int]part{}
	}
	p, ok := m.leaves[f][size]
	if !ok {
		b := store.NewBlock(cid.Raw, f.bytes()[:size])
		m.Put(ctx, b)
		p = part{unixfs.NewLink("", b.Cid, uint64(size)), uint64(size)}
		m.leaves[f][size] = p
	}
	return p
}

// node writes a node above parts.
func (m *mason) node(parts []part, attr unixfs.Attr) part {
	n := &unixfs.Node{Kind: unixfs.File, Mtime: attr.Mtime}
	tsize := uint64(0)
	for _, p := range parts {
		n.Links = append(n.Links, p.Link)
		n.BlockSizes = append(n.BlockSizes, p.size)
		n.Size += p.size
		tsize += p.Tsize
	}
	b := store.NewBlock(cid.DagProtobuf, n.Encode())
	m.Put(ctx, b)
	return part{unixfs.NewLink("", b.Cid, tsize+uint64(len(b.Data))), n.Size}
}

// file writes a file of at least two chunks, the last of which has so many bytes.
func (m *mason) file(chunks []filled, last int) unixfs.Added {
	var parts []part
	for i, f := range chunks {
		size := mib
		if i == len(chunks)-1 {
			size = last
		}
		parts = append(parts, m.leaf(f.cut(size), size))
	}
	for len(parts) > 1 {
		var above []part
		for group := range slices.Chunk(parts, unixfs.MaxLinks) {
			above = append(above, m.node(group, unixfs.Attr{}))
		}
		parts = above
	}
	return unixfs.Added{Cid: parts[0].Cid(), Tsize: parts[0].Tsize, Size: parts[0].size}
}

// TestMason holds the files that are made by hand here against AddFile.
func TestMason(t *testing.T) {
	if testing.Short() {
		t.Skip("1 GiB")
	}
	chunks := slices.Repeat([]filled{full(0)}, 1026)
	want, err := unixfs.AddFile(ctx, nowhereBorrower{}, io.LimitReader(zeros{}, 1025*mib+5), unixfs.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	if got := newMason().file(chunks, 5); got != want {
		t.Errorf("by hand %v, AddFile %v", got, want)
	}
	got, err := unixfs.PatchFile(ctx, newMemory(), unixfs.Patch{Size: 1025*mib + 5})
	if err != nil || got != want {
		t.Errorf("PatchFile %v, %v, AddFile %v", got, err, want)
	}
}

// constant is endless data of one byte.
type constant byte

func (c constant) ReadAt(p []byte, _ int64) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

// drawFill draws the chunks of a file in a few runs.
func drawFill(t *rapid.T) []filled {
	chunks := []filled{full(1), full(2)}
	for range rapid.IntRange(0, 4).Draw(t, "runs") {
		run := rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(500, 1100)).Draw(t, "run")
		chunks = append(chunks, slices.Repeat([]filled{full(rapid.ByteRange(0, 2).Draw(t, "kind"))}, run)...)
	}
	return chunks
}

// TestPatchManyChunks has files on both sides of the borders of nodes.
func TestPatchManyChunks(t *testing.T) {
	hand := newMason() // what is expected
	rapid.Check(t, func(t *rapid.T) {
		m := newMason()
		chunks, last := drawFill(t), rapid.SampledFrom([]int{mib, 9}).Draw(t, "last of base")
		p := unixfs.Patch{Base: m.file(chunks, last).Cid, Data: constant(3)}
		chunks[len(chunks)-1] = chunks[len(chunks)-1].cut(last)
		count := max(2, rapid.OneOf(
			rapid.Just(len(chunks)), rapid.IntRange(2, 4500), rapid.SampledFrom([]int{1023, 1024, 1025, 2048, 2049}),
		).Draw(t, "chunks"))
		last = rapid.SampledFrom([]int{mib, 9, 11}).Draw(t, "last")
		p.Size = int64(count-1)*mib + int64(last)
		p.BaseChunks = rapid.Int64Range(0, int64(len(chunks)+2)).Draw(t, "base chunks")
		want := make([]filled, count)
		copy(want, chunks[:min(p.BaseChunks, int64(len(chunks)))])
		changed := rapid.SliceOfN(rapid.Int64Range(0, int64(count-1)), 0, 3).Draw(t, "changed")
		for _, i := range changed {
			want[i] = full(3)
		}
		p.Changed = changes(t, changed...)
		m.reset()
		got, err := unixfs.PatchFile(ctx, m, p)
		if want := hand.file(want, last); err != nil || got != want {
			t.Fatal("PatchFile =", got, err, "want", want)
		}
		// Leaves are put where something changed, where base ends, at the end, and for a hole; a file
		// has up to five nodes and its root, and the chunks in which base and file end are read.
		if m.puts > len(changed)+3+6+1 || m.gets > 6+2*2 {
			t.Fatal(m.gets, "gets,", m.puts, "puts,", len(changed), "chunks changed")
		}
		if size, err := unixfs.Copy(ctx, m, got.Cid, io.Discard); err != nil || size != p.Size {
			t.Fatal("read back", size, "bytes", err)
		}
	})
}

// TestPatchCost counts blocks that are read and written.
func TestPatchCost(t *testing.T) {
	m := newMason()
	chunks := slices.Repeat([]filled{full(1)}, 3000)
	base := m.file(chunks, 9)
	size := int64(2999*mib + 9)
	replaced := func(at ...int) []filled {
		c := slices.Clone(chunks)
		for _, i := range at {
			c[i] = full(3)
		}
		return c
	}
	appended := append(slices.Clone(chunks[:2999]), filled{1, 9}, full(0), full(0))
	for _, c := range []struct {
		name       string
		size       int64
		changed    []int64
		want       []filled
		last       int
		gets, puts int
	}{
		{"nothing", size, nil, chunks, 9, 1, 1},
		{"one byte", size, []int64{2000}, replaced(2000), 9, 2, 3},
		{"the first and the last chunk", size, []int64{0, 2999}, replaced(0, 2999), 9, 3, 5},
		{"cut at a node", 2048 * mib, nil, chunks[:2048], mib, 1, 1},
		{"cut at a chunk", 2050 * mib, nil, chunks[:2050], mib, 2, 2},
		// The chunk at the end is read through a Reader, which reads its node once more.
		{"cut in a chunk", 2049*mib + 11, nil, chunks[:2050], 11, 4, 3},
		{"longer", 3002 * mib, nil, appended, mib, 4, 4},
		{"less than a node", 1000 * mib, nil, chunks[:1000], mib, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.reset()
			p := unixfs.Patch{Base: base.Cid, BaseChunks: 3000, Size: c.size, Changed: changes(t, c.changed...), Data: constant(3)}
			got, err := unixfs.PatchFile(ctx, m, p)
			gets, puts := m.gets, m.puts
			if want := m.file(c.want, c.last); err != nil || got != want {
				t.Errorf("PatchFile = %v, %v, want %v", got, err, want)
			}
			if gets != c.gets || puts != c.puts {
				t.Errorf("%d gets and %d puts, want %d and %d", gets, puts, c.gets, c.puts)
			}
		})
	}
}

// TestPatchGrowsFromRoot has bases that become a subtree as a whole, and such that nearly could.
func TestPatchGrowsFromRoot(t *testing.T) {
	m := newMason()
	chunks := slices.Repeat([]filled{full(1)}, 1024)
	node, leaf := m.file(chunks, mib).Cid, m.leaf(full(1), mib).Cid()
	old := cid.NewCidV0(node.Hash())
	m.blocks[old.KeyString()] = m.blocks[node.KeyString()]
	for _, c := range []struct {
		name       string
		base       cid.Cid
		chunks     int64
		gets, puts int
	}{
		{"node", node, 1024, 1, 3},
		{"leaf", leaf, 1, 1, 2},
		{"node with a CID of version 0", old, 1024, 1, 4},
		{"leaf of another type", m.legacy(full(1).bytes()), 1, 1, 3},
		{"leaf in a node", m.above(nil, []part{m.leaf(full(1), mib)}), 1, 2, 3},
	} {
		m.reset()
		p := unixfs.Patch{Base: c.base, BaseChunks: c.chunks, Size: (c.chunks + 1) * mib, Changed: changes(t, c.chunks), Data: constant(3)}
		got, err := unixfs.PatchFile(ctx, m, p)
		gets, puts := m.gets, m.puts
		if want := m.file(append(slices.Clone(chunks[:c.chunks]), full(3)), mib); err != nil || got != want {
			t.Errorf("%s: PatchFile = %v, %v, want %v", c.name, got, err, want)
		}
		if gets != c.gets || puts != c.puts {
			t.Errorf("%s: %d gets and %d puts, want %d and %d", c.name, gets, puts, c.gets, c.puts)
		}
	}
}

// TestPatchHole makes files of a million chunks and more.
func TestPatchHole(t *testing.T) {
	m := newMason()
	chunks := make([]filled, 1<<20+4)
	chunks[700_000] = full(3)
	p := unixfs.Patch{Size: 1<<40 + 3*mib + 9, Changed: changes(t, 700_000), Data: constant(3)}
	got, err := unixfs.PatchFile(ctx, m, p)
	puts := m.puts
	if want := m.file(chunks, 9); err != nil || got != want {
		t.Fatalf("PatchFile = %v, %v, want %v", got, err, want)
	}
	// Three leaves, a full node of zeros, the paths to the chunk and to the end, the root.
	if puts != 3+1+2+2+1 {
		t.Errorf("%d puts", puts)
	}
	chunks[700_001] = full(3)
	p.Base, p.BaseChunks, p.Changed = got.Cid, 1<<20+4, changes(t, 700_001)
	m.reset()
	got, err = unixfs.PatchFile(ctx, m, p)
	gets, puts := m.gets, m.puts
	if want := m.file(chunks, 9); err != nil || got != want {
		t.Fatalf("PatchFile = %v, %v, want %v", got, err, want)
	}
	if gets != 3 || puts != 4 {
		t.Errorf("%d gets and %d puts", gets, puts)
	}
	if got, err = unixfs.PatchFile(ctx, m, unixfs.Patch{Size: math.MaxInt64}); err != nil || got.Size != math.MaxInt64 {
		t.Errorf("the longest file: %v, %v", got, err)
	}
}

// cutInto cuts data into raw leaves or File nodes.
func (m *mason) cutInto(data []byte, size int, raw bool) []part {
	var parts []part
	for chunk := range slices.Chunk(data, size) {
		b := store.NewBlock(cid.Raw, chunk)
		if !raw {
			n := &unixfs.Node{Kind: unixfs.File, Data: chunk, Size: uint64(len(chunk))}
			b = store.NewBlock(cid.DagProtobuf, n.Encode())
		}
		m.Put(ctx, b)
		parts = append(parts, part{unixfs.NewLink("", b.Cid, uint64(len(b.Data))), uint64(len(chunk))})
	}
	return parts
}

// foreign returns files with the content of data as other software writes them.
func foreign(m *mason, data []byte) map[string]cid.Cid {
	chunks := m.cutInto(data, mib, true)
	lying := slices.Clone(chunks)
	lying[0].Tsize++
	mixed := slices.Clone(chunks)
	mixed[0] = m.cutInto(data, mib, false)[0]
	named := slices.Clone(chunks)
	named[0].Name = "a"
	old := m.cutInto(data, mib, false)
	for i, chunk := range slices.Collect(slices.Chunk(data, mib)) {
		old[i].Link = unixfs.NewLink("", m.legacy(chunk), old[i].Tsize)
	}
	none := unixfs.Attr{}
	return map[string]cid.Cid{
		"256 KiB":                 m.node(m.cutInto(data, 256<<10, true), none).Cid(),
		"256 KiB below":           m.node([]part{m.node(m.cutInto(data[:mib], 256<<10, true), none), chunks[1], chunks[2], chunks[3]}, none).Cid(),
		"no raw leaves":           m.node(m.cutInto(data, mib, false), none).Cid(),
		"raw leaves and an mtime": m.node(chunks, unixfs.Attr{Mtime: someTime}).Cid(),
		"data in the root":        m.above(data[:mib], chunks[1:]),
		"a bit of data before":    m.above(data[:1000], m.cutInto(data[1000:], mib, true)),
		"a level too many":        m.node([]part{m.node(chunks, none)}, none).Cid(),
		"another Tsize":           m.node(lying, none).Cid(),
		"leaves of both forms":    m.node(mixed, none).Cid(),
		"a name":                  m.node(named, none).Cid(),
		"a short chunk first":     m.node(append(m.cutInto(data[:9], mib, true), m.cutInto(data[9:], mib, true)...), none).Cid(),
		"leaves of another type":  m.node(old, none).Cid(),
	}
}

// above writes a node with data of its own.
func (m *mason) above(data []byte, parts []part) cid.Cid {
	n := &unixfs.Node{Data: data, Size: uint64(len(data))}
	for _, p := range parts {
		n.Links, n.BlockSizes, n.Size = append(n.Links, p.Link), append(n.BlockSizes, p.size), n.Size+p.size
	}
	return putFile(m.memory, n)
}

// legacy writes a leaf as very old software did.
func (m *mason) legacy(data []byte) cid.Cid {
	n := &unixfs.Node{Kind: unixfs.RawLeaf, Data: data, Size: uint64(len(data))}
	b := store.NewBlock(cid.DagProtobuf, n.Encode())
	m.Put(ctx, b)
	return b.Cid
}

// TestPatchForeign has bases that AddFile would have written in another way.
func TestPatchForeign(t *testing.T) {
	m := newMason()
	data, err := io.ReadAll(content(3*mib + 1000))
	if err != nil {
		t.Fatal(err)
	}
	for name, base := range foreign(m, data) {
		for _, attr := range attrs[:3] {
			for _, size := range []int64{3*mib + 1000, 2*mib + 5, 5 * mib, mib / 2} {
				t.Run(fmt.Sprint(name, attr.Executable, attr.Mtime, size), func(t *testing.T) {
					p := unixfs.Patch{Base: base, BaseChunks: 9, Size: size, Attr: attr, Changed: changes(t, 1), Data: constant(7)}
					want := patched(data, p, []int64{1}, bytes.Repeat([]byte{7}, int(size)))
					checkPatch(t, m, p, want)
				})
			}
		}
	}
}

// TestPatchForeignSubtree has a node in a base that is not what the link to it lets expect.
func TestPatchForeignSubtree(t *testing.T) {
	m := newMason()
	leaf, half := m.leaf(full(1), mib), m.leaf(full(1), mib/2)
	usual := m.node(slices.Repeat([]part{leaf}, 1024), unixfs.Attr{})
	odd := m.node(append([]part{half, half}, slices.Repeat([]part{leaf}, 1023)...), unixfs.Attr{})
	odd.Tsize = usual.Tsize
	base := m.node([]part{usual, odd, m.node([]part{leaf}, unixfs.Attr{})}, unixfs.Attr{})
	chunks := slices.Repeat([]filled{full(1)}, 1030)
	p := unixfs.Patch{Base: base.Cid(), BaseChunks: 2049, Size: 1030 * mib}
	if got, err := unixfs.PatchFile(ctx, m, p); err != nil || got != m.file(chunks, mib) {
		t.Errorf("PatchFile = %v, %v", got, err)
	}
}

// TestPatchMalformed has bases that declare what is not so.
func TestPatchMalformed(t *testing.T) {
	m := newMason()
	leaf, short := m.leaf(full(1), mib), m.leaf(full(1), 9)
	lie := func(p part, size, tsize uint64) part { p.size, p.Tsize = size, tsize; return p }
	none := unixfs.Attr{}
	usual := m.node(slices.Repeat([]part{leaf}, 1024), none)
	small := m.node([]part{leaf, leaf}, none)
	gone := part{unixfs.NewLink("", store.Sum(cid.DagProtobuf, nil), usual.Tsize), usual.size}
	empty, _ := unixfs.EmptyDir()
	m.Put(ctx, empty)
	for _, c := range []struct {
		name    string
		base    part
		chunks  int64
		changed int64
		is      error
	}{
		{"a leaf is shorter", m.node([]part{leaf, lie(short, mib, 9), leaf}, none), 3, 0, unixfs.ErrMalformed},
		{"a leaf is longer", m.node([]part{leaf, lie(leaf, 9, 9)}, none), 5, 0, unixfs.ErrMalformed},
		{"parts are shorter and longer", m.node([]part{lie(leaf, mib+1, mib), lie(leaf, mib-1, mib)}, none), 3, 2, unixfs.ErrMalformed},
		{"a node is shorter", m.node([]part{usual, lie(small, usual.size, usual.Tsize), small}, none), 2048, 1030, unixfs.ErrMalformed},
		{"a node is missing", m.node([]part{usual, gone}, none), 2048, 1030, store.ErrNotFound},
		{"a node is a directory", m.node([]part{usual, {unixfs.NewLink("", empty.Cid, usual.Tsize), usual.size}}, none), 2048, 1030, unixfs.ErrNotFile},
		{"a directory", part{Link: unixfs.NewLink("", empty.Cid, 4)}, 2, 0, unixfs.ErrNotFile},
		{"nothing", gone, 2, 0, store.ErrNotFound},
	} {
		p := unixfs.Patch{Base: c.base.Cid(), BaseChunks: 1 << 20, Size: c.chunks * mib, Changed: changes(t, c.changed), Data: constant(3)}
		if got, err := unixfs.PatchFile(ctx, m, p); !errors.Is(err, c.is) || got.Cid.Defined() {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	// What is not read can lie, and does so in the new file as well.
	base := m.node([]part{leaf, lie(short, mib, mib), leaf}, none)
	p := unixfs.Patch{Base: base.Cid(), BaseChunks: 3, Size: 3 * mib, Changed: changes(t, 0), Data: constant(3)}
	got, err := unixfs.PatchFile(ctx, m, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unixfs.Copy(ctx, m, got.Cid, io.Discard); !errors.Is(err, unixfs.ErrMalformed) {
		t.Errorf("a leaf that is shorter than declared reads with %v", err)
	}
}

// broken is data or a store that fails.
type broken struct {
	*memory
	err    error
	on     cid.Cid // what Get fails for
	puts   int     // how many puts go well
	partly int     // bytes that ReadAt gives before
}

func (b *broken) ReadAt(p []byte, _ int64) (int, error) { return min(b.partly, len(p)), b.err }

func (b *broken) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if c.Equals(b.on) {
		return nil, b.err
	}
	return b.memory.Get(ctx, c)
}

func (b *broken) Put(ctx context.Context, block store.Block) error {
	b.Lock()
	b.puts--
	fails := b.puts < 0
	b.Unlock()
	if fails {
		return b.err
	}
	return b.memory.Put(ctx, block)
}

func TestPatchFails(t *testing.T) {
	fault := errors.New("broken")
	cut := fmt.Errorf("connection: %w", io.ErrUnexpectedEOF)
	all := func(int64) bool { return true }
	m := newMason()
	leaf := m.leaf(full(1), mib)
	file := m.file([]filled{full(1), full(2), full(1)}, mib)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		blocks *broken
		patch  unixfs.Patch
		is     error // nil: any
	}{
		{"negative size", ctx, &broken{puts: 9}, unixfs.Patch{Size: -1}, nil},
		{"no data", ctx, &broken{puts: 9}, unixfs.Patch{Size: 9 * mib, Changed: all}, nil},
		{"no data, one chunk", ctx, &broken{puts: 9}, unixfs.Patch{Size: 9, Changed: all}, nil},
		{"data fails", ctx, &broken{puts: 99}, unixfs.Patch{Size: 40 * mib, Changed: all, Data: &broken{err: fault, partly: 9}}, fault},
		{"data is cut", ctx, &broken{puts: 99}, unixfs.Patch{Size: 4 * mib, Changed: all, Data: &broken{err: cut, partly: 9}}, cut},
		{"data says nothing", ctx, &broken{puts: 99}, unixfs.Patch{Size: 4 * mib, Changed: all, Data: &broken{partly: 9}}, io.ErrNoProgress},
		{"put of a chunk", ctx, &broken{err: fault, puts: 7}, unixfs.Patch{Size: 40 * mib, Changed: all, Data: constant(1)}, fault},
		{"put of zeros", ctx, &broken{err: fault}, unixfs.Patch{Size: 40 * mib}, fault},
		{"put of a node of zeros", ctx, &broken{err: fault, puts: 1}, unixfs.Patch{Size: 4000 * mib}, fault},
		{"put of the root", ctx, &broken{err: fault, puts: 1}, unixfs.Patch{Size: 40 * mib}, fault},
		{"get of the base", ctx, &broken{err: fault, on: file.Cid}, unixfs.Patch{Size: 3 * mib, Base: file.Cid}, fault},
		{"get of a chunk is cut", ctx, &broken{err: cut, on: leaf.Cid(), puts: 9},
			unixfs.Patch{Size: mib/2 + mib*2, Base: file.Cid, BaseChunks: 3}, cut},
		{"canceled", canceled, &broken{puts: 9}, unixfs.Patch{Size: 9 * mib}, context.Canceled},
		{"canceled, one chunk", canceled, &broken{puts: 9}, unixfs.Patch{Size: 9}, context.Canceled},
	} {
		c.blocks.memory = m.memory
		got, err := unixfs.PatchFile(c.ctx, c.blocks, c.patch)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || got.Cid.Defined() {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

// TestPatchCanceled cancels between chunks, and while it is asked what is changed.
func TestPatchCanceled(t *testing.T) {
	for _, changed := range []bool{false, true} {
		ctx, cancel := context.WithCancel(ctx)
		asked := int64(0)
		_, err := unixfs.PatchFile(ctx, newMemory(), unixfs.Patch{Size: 1 << 40, Data: constant(1), Changed: func(i int64) bool {
			if asked = i; i == 5 {
				cancel()
			}
			return changed
		}})
		if !errors.Is(err, context.Canceled) || asked > 6 {
			t.Errorf("canceled: %v after chunk %d", err, asked)
		}
	}
}
