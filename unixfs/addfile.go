package unixfs

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// An Added is a file that was written.
type Added struct {
	Cid   cid.Cid
	Tsize uint64 // for the link to it
	Size  uint64 // bytes of content
}

// A Borrower is a Putter that can also write blocks without keeping their bytes. Where a
// Putter is one, AddFile uses the same few buffers again for all chunks of a file.
type Borrower interface {
	store.Putter
	// PutBorrowed is Put, but it is done with b.Data when it returns.
	PutBorrowed(ctx context.Context, b store.Block) error
}

// maxHashers bounds the goroutines that hash one file, and with them the memory: about two
// chunks for each.
const maxHashers = 16

// AddFile writes the content of r as a file. Chunks are hashed and put on all cores while r is
// read; at most some 40 MiB are held, and less on few cores. An error of r or put ends it, and
// blocks that were put by then stay.
func AddFile(ctx context.Context, put store.Putter, r io.Reader, attr Attr) (Added, error) {
	return addFile(ctx, put, r, attr, ChunkSize, min(runtime.GOMAXPROCS(0), maxHashers))
}

// AddSerial is AddFile without goroutines of its own, for callers that add many files at a time.
// It holds one chunk. size is how many bytes r will probably give: a hint for
// the first buffer.
func AddSerial(ctx context.Context, put store.Putter, r io.Reader, size int64, attr Attr) (Added, error) {
	return addFile(ctx, put, r, attr, min(max(size, 0)+1, ChunkSize), 1)
}

func addFile(ctx context.Context, put store.Putter, r io.Reader, attr Attr, hint int64, hashers int) (Added, error) {
	a := adder{ctx: ctx, put: put, attr: attr, borrower: asBorrower(put)}
	added, err := a.add(r, hint, hashers)
	if err != nil {
		return Added{}, fmt.Errorf("add file: %w", err)
	}
	return added, nil
}

func asBorrower(put store.Putter) Borrower {
	b, _ := put.(Borrower)
	return b
}

// An adder writes one file.
type adder struct {
	ctx      context.Context
	put      store.Putter
	borrower Borrower // nil if put keeps what it gets
	attr     Attr
	tree     treeBuilder
	free     sync.Pool // of *[]byte, used if there is a borrower
}

// add reads two chunks before it decides: a file of one chunk needs no tree.
func (a *adder) add(r io.Reader, hint int64, hashers int) (Added, error) {
	a.tree.adder = a
	first, err := readFirst(r, int(hint))
	if err != nil {
		return Added{}, err
	}
	var second []byte
	if len(first) == ChunkSize {
		if second, err = a.readChunk(r); err != nil {
			return Added{}, err
		}
	}
	if len(second) == 0 {
		l, err := a.single(first)
		return Added{Cid: l.Cid(), Tsize: l.Tsize, Size: uint64(len(first))}, err
	}
	if hashers > 1 {
		err = a.parallel(r, hashers, first, second)
	} else {
		err = a.serial(r, first, second)
	}
	if err != nil {
		return Added{}, err
	}
	return a.tree.finish()
}

// readFirst reads up to a chunk into a buffer of about its own size, for small files are many.
func readFirst(r io.Reader, hint int) ([]byte, error) {
	buf := make([]byte, hint)
	n, err := readFull(r, buf)
	if err == nil && n == len(buf) && n < ChunkSize { // more than was promised
		whole := make([]byte, ChunkSize)
		m := copy(whole, buf)
		n, err = readFull(r, whole[m:])
		buf, n = whole, m+n
	}
	if n < len(buf)/2 { // the store may keep it: no megabyte for a few bytes
		return slices.Clone(buf[:n]), err
	}
	return buf[:n:n], err
}

// readFull fills buf unless r ends before, which is no error. Only io.EOF itself is an end: a reader
// that breaks off with another error, such as io.ErrUnexpectedEOF, has not given the whole file.
func readFull(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// readChunk reads the next chunk; an empty one is the end.
func (a *adder) readChunk(r io.Reader) ([]byte, error) {
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	buf := a.buffer()
	n, err := readFull(r, buf)
	return buf[:n], err
}

// buffer returns a chunk of any bytes.
func (a *adder) buffer() []byte {
	if p, ok := a.free.Get().(*[]byte); ok {
		return (*p)[:ChunkSize]
	}
	return make([]byte, ChunkSize)
}

// single writes a file of at most one chunk.
func (a *adder) single(data []byte) (Link, error) {
	if a.attr.none() {
		return a.putBlock(store.NewBlock(cid.Raw, data), 0)
	}
	n := &Node{Kind: File, Data: data, Size: uint64(len(data))}
	a.attr.apply(n)
	return putNode(a.ctx, a.put, n)
}

func (a *adder) putBlock(b store.Block, inner uint64) (Link, error) {
	l := NewLink("", b.Cid, uint64(len(b.Data))+inner)
	if a.borrower != nil {
		return l, a.borrower.PutBorrowed(a.ctx, b)
	}
	return l, a.put.Put(a.ctx, b)
}

// leaf writes a chunk of a file with more than one and gives its buffer back.
func (a *adder) leaf(data []byte) (Link, error) {
	var b store.Block
	if a.attr.none() {
		b = store.NewBlock(cid.Raw, data)
	} else {
		b = store.NewBlock(cid.DagProtobuf, (&Node{Kind: File, Data: data, Size: uint64(len(data))}).Encode())
	}
	l, err := a.putBlock(b, 0)
	if (a.borrower != nil || !a.attr.none()) && cap(data) >= ChunkSize {
		a.free.Put(&data)
	}
	return l, err
}

// serial writes the chunks that were read and those that r still has.
func (a *adder) serial(r io.Reader, chunks ...[]byte) error {
	for {
		for _, data := range chunks {
			size := uint64(len(data))
			l, err := a.leaf(data)
			if err != nil {
				return err
			}
			if err := a.tree.addLeaf(l, size); err != nil {
				return err
			}
		}
		data, err := a.readChunk(r)
		if err != nil || len(data) == 0 {
			return err
		}
		chunks = append(chunks[:0], data)
	}
}

// A chunk is on its way from the reader through a hasher into the tree.
type chunk struct {
	data []byte
	size uint64
	link Link
	err  error
	done chan struct{}
}

// parallel is serial with hashers: this goroutine reads and builds the tree in order.
func (a *adder) parallel(r io.Reader, hashers int, chunks ...[]byte) error {
	work := make(chan *chunk, hashers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(work)
	for range hashers {
		wg.Go(func() {
			for c := range work {
				c.link, c.err = a.leaf(c.data)
				c.data = nil
				close(c.done)
			}
		})
	}
	var pending []*chunk // oldest first
	for {
		for _, data := range chunks {
			c := &chunk{data: data, size: uint64(len(data)), done: make(chan struct{})}
			pending = append(pending, c)
			work <- c
		}
		for len(pending) > 2*hashers {
			if err := a.settle(pending[0]); err != nil {
				return err
			}
			pending = pending[1:]
		}
		data, err := a.readChunk(r)
		if err != nil {
			return err
		}
		if len(data) == 0 {
			break
		}
		chunks = append(chunks[:0], data)
	}
	for _, c := range pending {
		if err := a.settle(c); err != nil {
			return err
		}
	}
	return nil
}

// settle waits for a chunk and hangs it into the tree.
func (a *adder) settle(c *chunk) error {
	<-c.done
	if c.err != nil {
		return c.err
	}
	return a.tree.addLeaf(c.link, c.size)
}

// A treeBuilder builds a balanced tree from its leaves, from left to right. It holds one
// unfinished node for each level.
type treeBuilder struct {
	*adder
	levels []*Node
}

func (t *treeBuilder) addLeaf(l Link, size uint64) error { return t.add(0, l, size) }

// addTree hangs in a link to a whole subtree; level 0 is a leaf. What is unfinished below that
// level has to be full, and is written.
func (t *treeBuilder) addTree(level int, l Link, size uint64) error {
	for len(t.levels) < level {
		t.levels = append(t.levels, newTreeNode())
	}
	for below := range level {
		if err := t.flush(below); err != nil {
			return err
		}
	}
	return t.add(level, l, size)
}

// add hangs a link to something with size bytes of content into the unfinished node of a level;
// a full node is written first.
func (t *treeBuilder) add(level int, l Link, size uint64) error {
	if level == len(t.levels) {
		t.levels = append(t.levels, newTreeNode())
	}
	if len(t.levels[level].Links) == MaxLinks {
		if err := t.flush(level); err != nil {
			return err
		}
	}
	n := t.levels[level]
	n.Links = append(n.Links, l)
	n.BlockSizes = append(n.BlockSizes, size)
	n.Size += size
	return nil
}

func newTreeNode() *Node { return &Node{Kind: File} }

// flush writes the node of a level, if anything is in it, and hangs it into the level above.
func (t *treeBuilder) flush(level int) error {
	n := t.levels[level]
	if len(n.Links) == 0 {
		return nil
	}
	l, err := putNode(t.ctx, t.put, n)
	if err != nil {
		return err
	}
	t.levels[level] = newTreeNode()
	return t.add(level+1, l, n.Size)
}

// finish writes what is unfinished, and the root with the attributes.
func (t *treeBuilder) finish() (Added, error) {
	for level := 0; level < len(t.levels)-1; level++ {
		if err := t.flush(level); err != nil {
			return Added{}, err
		}
	}
	root := t.levels[len(t.levels)-1]
	t.attr.apply(root)
	l, err := putNode(t.ctx, t.put, root)
	return Added{Cid: l.Cid(), Tsize: l.Tsize, Size: root.Size}, err
}
