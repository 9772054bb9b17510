package unixfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"strings"
	"sync"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// A Patch is a file that is made of parts of another one and of new bytes, a chunk at a time.
// Chunk i is the [ChunkSize] bytes from i*ChunkSize on, or what there is of them before the end.
//
// A chunk that is changed is read from Data. Another one is that of Base, cut off at the end
// of the new file; bytes that Base does not have, or that do not count, are zeros.
type Patch struct {
	Base       cid.Cid            // the file that unchanged chunks come from; undefined: there is none
	BaseChunks int64              // only the first so many chunks of Base count
	Size       int64              // bytes of the new file
	Attr       Attr               // all of it: nothing is taken over from Base
	Changed    func(i int64) bool // asked once for each chunk, in ascending order; nil: none is
	Data       io.ReaderAt        // at the offsets of the new file; behind its end are zeros
}

// PatchFile writes the file that p describes. The result has the CID that [AddFile] gives the same
// bytes with the same Attr.
//
// Where Base is laid out as AddFile does it for such an Attr, unchanged chunks are not read, and
// of its nodes only those in which something changes. They are taken to be what the links to
// them declare: a Base that lies there gives a file that can not be read in the same places. Any
// other Base is read as a whole, and a part of it that is not as long as declared is an
// ErrMalformed. Zeros in the place of whole chunks are written once.
//
// Data is read from several goroutines. Memory is about that of AddFile, whatever the sizes. An
// error of Data or blocks ends it, and blocks that were put by then stay.
func PatchFile(ctx context.Context, blocks store.Blocks, p Patch) (Added, error) {
	added, err := patchFile(ctx, blocks, p)
	if err != nil {
		return Added{}, fmt.Errorf("patch file: %w", err)
	}
	return added, nil
}

func patchFile(ctx context.Context, blocks store.Blocks, patch Patch) (Added, error) {
	if patch.Size < 0 {
		return Added{}, fmt.Errorf("size %d is negative", patch.Size)
	}
	p := &patcher{
		adder: adder{ctx: ctx, put: blocks, attr: patch.Attr, borrower: asBorrower(blocks)},
		Patch: patch, chunks: chunksOf(uint64(patch.Size)), upcoming: -1,
	}
	p.tree.adder = &p.adder
	if p.Base.Defined() {
		var err error
		if p.base, err = openBase(ctx, blocks, p.Base, p.Attr); err != nil {
			return Added{}, err
		}
		p.kept = min(p.BaseChunks, chunksOf(p.base.root.Size))
	}
	if p.chunks <= 1 {
		return p.only()
	}
	return p.all(min(runtime.GOMAXPROCS(0), maxHashers))
}

// linkBits is how many bits of the number of a chunk choose a link in a node.
const linkBits = 10

var _ = [1]int{}[MaxLinks-1<<linkBits] // compiles if they are as many as MaxLinks

// leaves returns how many chunks a full subtree of a level has. A leaf is of level 0, and a node
// of the level above that of its children.
func leaves(level int) int64 { return 1 << (linkBits * level) }

// levelOf returns the level of the root of a file.
func levelOf(chunks int64) int {
	level := 0
	for leaves(level) < chunks {
		level++
	}
	return level
}

func chunksOf(size uint64) int64 { return int64((size + ChunkSize - 1) / ChunkSize) }

// A patcher writes one file.
type patcher struct {
	adder
	Patch
	chunks   int64     // of the new file
	base     *baseFile // nil if there is none
	kept     int64     // chunks of base that there are and that count
	upcoming int64     // the last chunk that nextChanged found
	zeros    []Link    // to full subtrees of zeros, by level
}

// A piece is a subtree of the new file on its way into the tree.
type piece struct {
	at      int64 // its first chunk
	level   int
	size    uint64 // bytes of content
	changed bool
	link    Link
	err     error
	done    chan struct{} // closed when link or err is there; nil: link is
}

// piece returns the subtree at a chunk, without a link.
func (p *patcher) piece(at int64, level int) *piece {
	return &piece{at: at, level: level, size: sizeWithin(uint64(p.Size), at, level)}
}

// sizeWithin returns how many bytes of a file of a size are in a subtree that begins in it.
func sizeWithin(size uint64, at int64, level int) uint64 {
	return min(size-uint64(at)*ChunkSize, uint64(leaves(level))*ChunkSize)
}

// only writes a file of at most one chunk.
func (p *patcher) only() (Added, error) {
	if err := p.ctx.Err(); err != nil {
		return Added{}, err
	}
	c, data := p.piece(0, 0), make([]byte, p.Size)
	c.changed = p.chunks == 1 && p.Changed != nil && p.Changed(0)
	if err := p.read(p.reader(), c, data); err != nil {
		return Added{}, fmt.Errorf("chunk 0: %w", err)
	}
	l, err := p.single(data)
	return Added{Cid: l.Cid(), Tsize: l.Tsize, Size: uint64(p.Size)}, err
}

// all writes a file of more chunks: this goroutine finds out what has to be read and builds the
// tree in order, hashers read and write chunks.
func (p *patcher) all(hashers int) (Added, error) {
	work := make(chan *piece, hashers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(work)
	for range hashers {
		wg.Go(func() { p.work(work) })
	}
	if err := p.walk(work); err != nil {
		return Added{}, err
	}
	return p.tree.finish()
}

// walk goes through the file. Pieces that wait are few bytes: a chunk is in memory only while a
// hasher is at it.
func (p *patcher) walk(work chan<- *piece) error {
	var pending []*piece // oldest first
	for i := int64(0); i < p.chunks; {
		c, err := p.next(i)
		if err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
		if c.done != nil {
			work <- c
		}
		if pending, err = p.settleSome(append(pending, c), MaxLinks); err != nil {
			return err
		}
		i += leaves(c.level)
	}
	_, err := p.settleSome(pending, 0)
	return err
}

// settleSome settles the oldest pieces until no more than some are left, which it returns.
func (p *patcher) settleSome(pending []*piece, left int) ([]*piece, error) {
	for len(pending) > left {
		if err := p.settlePiece(pending[0]); err != nil {
			return nil, err
		}
		pending = pending[1:]
	}
	return pending, nil
}

// settlePiece waits for a piece and hangs it into the tree.
func (p *patcher) settlePiece(c *piece) error {
	if c.done != nil {
		<-c.done
	}
	if c.err != nil {
		return fmt.Errorf("chunk %d: %w", c.at, c.err)
	}
	return p.tree.addTree(c.level, c.link, c.size)
}

// next returns the largest subtree at chunk i that need not be read, or else that chunk.
func (p *patcher) next(i int64) (*piece, error) {
	end, err := p.nextChanged(i)
	if err != nil {
		return nil, err
	}
	top := min(bits.TrailingZeros64(uint64(i))/linkBits, levelOf(p.chunks)-1) // the root is never linked
	for level := top; level >= 0 && i < end; level-- {
		c := p.piece(i, level)
		if i+chunksOf(c.size) > end {
			continue
		}
		if ok, err := p.linked(c); ok || err != nil {
			return c, err
		}
	}
	c := p.piece(i, 0)
	c.changed, c.done = i == end, make(chan struct{})
	return c, nil
}

// nextChanged returns the first chunk from i on that is changed, or the number of chunks.
func (p *patcher) nextChanged(i int64) (int64, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	if p.upcoming >= i {
		return p.upcoming, nil
	}
	if p.Changed == nil {
		i = p.chunks
	}
	for ; i < p.chunks && !p.Changed(i); i++ {
		if err := p.ctx.Err(); err != nil {
			return 0, err
		}
	}
	p.upcoming = i
	return i, nil
}

// linked says whether an unchanged piece exists already, and if it does, has set its link.
func (p *patcher) linked(c *piece) (ok bool, err error) {
	if end := c.at + chunksOf(c.size); end <= p.kept && sizeWithin(p.base.root.Size, c.at, c.level) == c.size {
		c.link, ok, err = p.base.link(c.at, c.level)
	} else if c.at >= p.kept && c.size == uint64(leaves(c.level))*ChunkSize {
		c.link, err = p.zero(c.level)
		ok = err == nil
	}
	return ok, err
}

// zero returns a link to a full subtree of zeros, which is written the first time.
func (p *patcher) zero(level int) (Link, error) {
	for len(p.zeros) <= level {
		var l Link
		var err error
		if below := len(p.zeros) - 1; below < 0 {
			l, err = p.leaf(make([]byte, ChunkSize))
		} else {
			l, err = putNode(p.ctx, p.put, fullNode(p.zeros[below], uint64(leaves(below))*ChunkSize))
		}
		if err != nil {
			return Link{}, err
		}
		p.zeros = append(p.zeros, l)
	}
	return p.zeros[level], nil
}

// fullNode returns a node with one and the same child, of size bytes, in all places.
func fullNode(l Link, size uint64) *Node {
	n := newTreeNode()
	for range MaxLinks {
		n.Links = append(n.Links, l)
		n.BlockSizes = append(n.BlockSizes, size)
		n.Size += size
	}
	return n
}

// work reads and writes chunks as they come.
func (p *patcher) work(pieces <-chan *piece) {
	r := p.reader()
	for c := range pieces {
		c.link, c.err = p.write(r, c)
		close(c.done)
	}
}

func (p *patcher) write(r *Reader, c *piece) (Link, error) {
	if err := p.ctx.Err(); err != nil {
		return Link{}, err
	}
	data := p.buffer()[:c.size]
	if err := p.read(r, c, data); err != nil {
		return Link{}, err
	}
	return p.leaf(data)
}

// reader returns a Reader of the base, or nil if there is none.
func (p *patcher) reader() *Reader {
	if p.base == nil {
		return nil
	}
	return &Reader{ctx: p.ctx, get: p.base.get, path: []span{{node: p.base.root}}}
}

// read fills data with the content of a chunk; r reads the base.
func (p *patcher) read(r *Reader, c *piece, data []byte) (err error) {
	n := 0
	switch {
	case c.changed:
		n, err = readAt(p.Data, data, c.at*ChunkSize)
	case c.at < p.kept:
		n = int(min(c.size, sizeWithin(p.base.root.Size, c.at, 0)))
		if _, err = r.Seek(c.at*ChunkSize, io.SeekStart); err == nil {
			_, err = io.ReadFull(r, data[:n])
		}
	}
	clear(data[n:])
	return err
}

// readAt fills data from a place on unless r ends before, which is no error.
func readAt(r io.ReaderAt, data []byte, at int64) (int, error) {
	if r == nil {
		return 0, errors.New("changed, but there is no data")
	}
	n, err := r.ReadAt(data, at)
	if n == len(data) || err == io.EOF {
		return n, nil
	}
	if err == nil { // no zeros in the place of bytes that a reader forgot
		err = io.ErrNoProgress
	}
	return n, err
}

// A baseFile is a file from which subtrees are taken over. It holds one node for each level.
type baseFile struct {
	ctx    context.Context
	get    store.Getter
	root   *Node
	self   Link        // to the file as a whole
	whole  bool        // self can be a subtree
	level  int         // of the root
	raw    bool        // leaves have to be raw
	known  []knownNode // the last node that was read, by level
	tsizes map[subtree]uint64
}

// A knownNode is a node of a base and its first chunk. It is nil if its layout is another one.
type knownNode struct {
	*Node
	at int64
}

// A subtree is the shape of one: it depends on nothing else.
type subtree struct {
	level int
	size  uint64
}

// openBase reads the root of the base for a file with attr.
func openBase(ctx context.Context, get store.Getter, c cid.Cid, attr Attr) (*baseFile, error) {
	root, size, err := readNode(ctx, get, c)
	if err == nil {
		err = root.checkFile(c)
	}
	if err != nil {
		return nil, err
	}
	b := &baseFile{
		ctx: ctx, get: get, root: root, self: NewLink("", c, root.tsize(size)),
		level: levelOf(chunksOf(root.Size)), raw: attr.none(), tsizes: map[subtree]uint64{},
	}
	for range b.level + 1 {
		b.known = append(b.known, knownNode{at: -1})
	}
	b.known[b.level] = knownNode{}
	plain := root.Mode == 0 && root.Mtime.IsZero()
	if plain == b.raw && (b.level == 0 || b.canonical(root, b.level)) {
		b.known[b.level].Node = root
		b.whole = plain && b.isLink(&b.self, subtree{b.level, root.Size})
	}
	return b, nil
}

// link returns a link to a subtree that lies in the file, or false if it is not what AddFile writes.
func (b *baseFile) link(at int64, level int) (Link, bool, error) {
	if level == b.level {
		return b.self, b.whole, nil
	}
	n, err := b.node(at, level+1)
	if err != nil || n == nil {
		return Link{}, false, err
	}
	return n.Links[place(at, level)], true, nil
}

// place returns the number of the link to the subtree of a level in which a chunk lies.
func place(at int64, level int) int { return int(at>>(linkBits*level)) % MaxLinks }

// node returns the node of a level in which a chunk lies, or nil if it is not what AddFile writes.
func (b *baseFile) node(at int64, level int) (*Node, error) {
	first := at &^ (leaves(level) - 1)
	if known := b.known[level]; known.at == first {
		return known.Node, nil
	}
	parent, err := b.node(at, level+1)
	if err != nil || parent == nil {
		return nil, err
	}
	n, err := parent.readPart(b.ctx, b.get, place(at, level))
	if err != nil {
		return nil, err
	}
	if !b.canonical(n, level) {
		n = nil
	}
	b.known[level] = knownNode{n, first}
	return n, nil
}

// canonical says whether a node of a level is what AddFile writes, by all that it declares of
// what is below. How it is itself encoded, and whether it has a mode or an mtime, does not matter.
func (b *baseFile) canonical(n *Node, level int) bool {
	if n.Kind != File || len(n.Data) > 0 {
		return false
	}
	left := n.Size
	for i := range n.Links {
		size := min(left, uint64(leaves(level-1))*ChunkSize)
		if size == 0 || n.BlockSizes[i] != size || !b.isLink(&n.Links[i], subtree{level - 1, size}) {
			return false
		}
		left -= size
	}
	return true
}

// What begins the binary form of a CIDv1 with SHA-256, which has so many bytes.
const (
	prefixRaw = "\x01\x55\x12\x20"
	prefixPB  = "\x01\x70\x12\x20"
	cidLen    = len(prefixRaw) + 32
)

// isLink says whether l can be AddFile's link to a subtree. Tsize tells more than it seems: chunks
// of another size, leaves of another form and other numbers of links change it.
func (b *baseFile) isLink(l *Link, s subtree) bool {
	prefix := prefixPB
	if s.level == 0 && b.raw {
		prefix = prefixRaw
	}
	return l.Name == "" && len(l.cid) == cidLen && strings.HasPrefix(l.cid, prefix) && l.Tsize == b.tsize(s)
}

// tsize returns the Tsize of a subtree that AddFile writes.
func (b *baseFile) tsize(s subtree) uint64 {
	if s.level == 0 && b.raw {
		return s.size
	}
	sum, ok := b.tsizes[s]
	if !ok {
		n := b.shape(s)
		block, _ := n.encodedSize()
		sum = n.tsize(block)
		b.tsizes[s] = sum
	}
	return sum
}

// shape returns a node as long as the root of a subtree that AddFile writes.
func (b *baseFile) shape(s subtree) *Node {
	n := &Node{Kind: File, Size: s.size}
	if s.level == 0 {
		n.Data = make([]byte, s.size)
		return n
	}
	for left := s.size; left > 0; {
		part := subtree{s.level - 1, min(left, uint64(leaves(s.level-1))*ChunkSize)}
		n.Links = append(n.Links, Link{Tsize: b.tsize(part), cid: prefixPB + strings.Repeat("\x00", 32)})
		n.BlockSizes = append(n.BlockSizes, part.size)
		left -= part.size
	}
	return n
}
