package exchange

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"archivecache/store"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
)

// CarLimits bounds what [ImportCAR] reads. The zero value of each is its default.
type CarLimits struct {
	MaxRoots  int   // 1000 by default
	MaxBlocks int64 // DefaultBlocks by default; each takes some 30 bytes of memory
	MaxBytes  int64 // of all blocks together; no limit by default
	MaxAside  int64 // bytes of blocks that come before one that links them; 4 GiB by default
	All       bool  // take blocks as well that no root leads to
}

// CarStats is what a CAR brought.
type CarStats struct {
	Roots   []cid.Cid
	Tops    []cid.Cid // the roots, and all blocks that were taken and that no other one links
	Blocks  int64     // different blocks that were taken
	New     int64     // of these, blocks that were not there before
	Bytes   int64     // of the blocks that were taken
	Unasked int64     // different blocks that were left out, as no root leads to them
	// Missing is the first 20 blocks that are linked and are neither in the file nor in the store,
	// MissingCount how many there are; below them there may be more.
	Missing      []cid.Cid
	MissingCount int64
}

const (
	maxCarHeader = 64 << 10 // the longest header of a CAR that is read, in bytes
	maxAside     = 2 << 20  // how many blocks may come before one that links them
	maxWanted    = 4 << 20  // how many blocks may be linked and not have come
)

// ImportCAR puts the blocks of a CAR, of version 1 or 2, into st: those to which the roots lead, over
// links in the file. Where the links of a block cannot be read, which may be of another kind than
// package dag knows, all blocks of the file are taken. Every block is hashed first. After an error
// nothing is committed; the error names the block or its place in the file. A block whose hash is
// not SHA-256 is an error, except for identity CIDs, which need no store and are passed over.
func ImportCAR(ctx context.Context, r io.Reader, st store.Store, limits CarLimits) (CarStats, error) {
	limits.setDefaults()
	w := st.Writer()
	defer w.Close()
	i := &importer{store: st, writer: w, limits: limits, wanted: map[key]ref{}}
	defer i.aside.close()
	err := i.run(ctx, r)
	if err == nil {
		err = w.Commit(ctx)
	}
	if err != nil {
		return CarStats{}, fmt.Errorf("import of CAR: %w", err)
	}
	i.stats.Tops = i.tops.with(i.stats.Roots)
	return i.stats, nil
}

func (l *CarLimits) setDefaults() {
	if l.MaxRoots <= 0 {
		l.MaxRoots = 1000
	}
	if l.MaxBlocks <= 0 {
		l.MaxBlocks = DefaultBlocks
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = math.MaxInt64
	}
	if l.MaxAside <= 0 {
		l.MaxAside = 4 << 30
	}
}

type importer struct {
	store   store.Store
	writer  store.Writer
	limits  CarLimits
	seen    keySet        // of all blocks
	wanted  map[key]ref   // linked, or a root, and not seen
	aside   spool         // seen before they were wanted
	due     []key         // of these, those that are wanted by now
	unclear bool          // the links of a block could not be read
	waiting []store.Block // verified, to be put
	bytes   int           // of waiting
	read    int64         // bytes of all blocks
	tops    tops
	stats   CarStats
}

func (i *importer) run(ctx context.Context, r io.Reader) error {
	in, err := openCar(r)
	if err != nil {
		return err
	}
	if i.stats.Roots = in.roots; len(in.roots) > i.limits.MaxRoots {
		return fmt.Errorf("%d roots, more than %d", len(in.roots), i.limits.MaxRoots)
	}
	for _, c := range in.roots {
		i.wantRoot(c)
	}
	for {
		b, err := in.next()
		if err == io.EOF {
			return i.end(ctx)
		}
		if err == nil {
			err = i.take(ctx, b)
		}
		if err != nil {
			return fmt.Errorf("at byte %d: %w", in.begin, err)
		}
	}
}

// take verifies a block, and keeps it for put if it is wanted, else aside.
func (i *importer) take(ctx context.Context, b store.Block) error {
	if _, ok := store.Identity(b.Cid); ok {
		return nil
	}
	if len(b.Data) > store.MaxBlock {
		return fmt.Errorf("block %s: more than %d bytes", b.Cid, store.MaxBlock)
	}
	if err := store.Verify(b.Cid, b.Data); err != nil {
		return err
	}
	k, err := keyOf(b.Cid)
	if err != nil {
		return err
	}
	if !i.seen.add(k) {
		return nil
	}
	i.read += int64(len(b.Data))
	if int64(i.seen.n) > i.limits.MaxBlocks || i.read > i.limits.MaxBytes {
		return fmt.Errorf("%w: %d blocks, %d bytes", ErrBudget, i.limits.MaxBlocks, i.limits.MaxBytes)
	}
	if _, wanted := i.wanted[k]; wanted || i.limits.All {
		return i.keep(ctx, k, b)
	}
	if i.aside.size+int64(len(b.Data)) > i.limits.MaxAside || len(i.aside.at) >= maxAside {
		return fmt.Errorf("%w: %d blocks, %d bytes that no block before them links", ErrBudget, len(i.aside.at), i.aside.size)
	}
	return i.aside.add(k, b)
}

// keep keeps a block for put, and wants what it links.
func (i *importer) keep(ctx context.Context, k key, b store.Block) error {
	delete(i.wanted, k)
	if err := i.want(b); err != nil {
		return err
	}
	i.stats.Blocks++
	i.stats.Bytes += int64(len(b.Data))
	i.tops.add(b)
	i.waiting = append(i.waiting, b)
	if i.bytes += len(b.Data); len(i.waiting) < batch && i.bytes < 4<<20 {
		return nil
	}
	return i.put(ctx)
}

// put gives the waiting blocks to the writer.
func (i *importer) put(ctx context.Context) error {
	cids := make([]cid.Cid, len(i.waiting))
	for n, b := range i.waiting {
		cids[n] = b.Cid
	}
	has, err := i.store.Has(ctx, cids)
	if err != nil {
		return err
	}
	for n, b := range i.waiting {
		if has[n] {
			continue
		}
		i.stats.New++
		if err := i.writer.Put(ctx, b); err != nil {
			return err
		}
	}
	i.waiting, i.bytes = i.waiting[:0], 0
	return nil
}

// carReader reads the sections of a CAR.
type carReader struct {
	roots  []cid.Cid
	blocks *car.BlockReader
	count  *counter
	begin  int64 // where the current section begins in the file
	end    int64 // where the data must end; 0 if that is the end of the file
}

// openCar reads the header.
func openCar(r io.Reader) (*carReader, error) {
	in := &carReader{count: &counter{r: bufio.NewReaderSize(r, 1<<20)}}
	if err := in.skipToData(); err != nil {
		return nil, fmt.Errorf("header of CAR version 2: %w", err)
	}
	blocks, err := car.NewBlockReader(in.count, car.MaxAllowedHeaderSize(maxCarHeader),
		car.MaxAllowedSectionSize(store.MaxBlock+maxCid), car.WithTrustedCAR(true)) // hashed in take
	if err != nil {
		return nil, fmt.Errorf("header: %w", noEOF(err))
	}
	if blocks.Version != 1 {
		return nil, fmt.Errorf("header: version %d inside version 2", blocks.Version)
	}
	in.blocks, in.roots, in.begin = blocks, blocks.Roots, in.count.n
	return in, nil
}

// maxCid is the longest CID before a block, in bytes.
const maxCid = 16 + store.MaxIdentity

// skipToData reads what stands before the data in a CAR of version 2. In version 1 that is nothing.
func (in *carReader) skipToData() error {
	const size = car.PragmaSize + car.HeaderSize
	begin, err := in.count.r.Peek(size)
	if !bytes.HasPrefix(begin, car.Pragma) {
		return nil
	}
	if err != nil {
		return noEOF(err)
	}
	// The header is 16 bytes of flags, and three numbers: where the data begins, how
	// long it is, and where the index begins.
	offset := binary.LittleEndian.Uint64(begin[car.PragmaSize+16:])
	length := binary.LittleEndian.Uint64(begin[car.PragmaSize+24:])
	if offset < size || offset > 1<<20 || length == 0 || length > math.MaxInt64-1<<20 {
		return fmt.Errorf("data of %d bytes at byte %d is not possible", length, offset)
	}
	if _, err := in.count.Discard(int(offset)); err != nil {
		return noEOF(err)
	}
	in.end = int64(offset + length)
	in.count.end = in.end
	return nil
}

// next returns the next block, not verified, or io.EOF.
func (in *carReader) next() (store.Block, error) {
	in.begin = in.count.n
	b, err := in.blocks.Next()
	if err == nil {
		return store.Block{Cid: b.Cid(), Data: b.RawData()}, nil
	}
	// The library takes an end right behind the length of a section, and an end before the
	// declared one, for the end of the file.
	if err == io.EOF && (in.count.n != in.begin || in.end != 0 && in.count.n != in.end) {
		err = io.ErrUnexpectedEOF
	}
	if err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("the file is cut off: %w", err)
	}
	return store.Block{}, err
}

// noEOF makes the end of a file an error where it must not end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// counter counts the bytes that are read, up to end if it is not 0.
type counter struct {
	r   *bufio.Reader
	n   int64
	end int64
}

func (c *counter) Read(p []byte) (int, error) {
	if c.end != 0 {
		if c.n >= c.end {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), c.end-c.n)]
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// ReadByte is for varints.
func (c *counter) ReadByte() (byte, error) {
	if c.end != 0 && c.n >= c.end {
		return 0, io.EOF
	}
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// Discard passes over n bytes.
func (c *counter) Discard(n int) (int, error) {
	n, err := c.r.Discard(n)
	c.n += int64(n)
	return n, err
}
