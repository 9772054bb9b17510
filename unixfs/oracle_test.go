package unixfs_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"archivecache/store"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// memory is a store of blocks in memory that counts what is read and written.
type memory struct {
	sync.Mutex
	blocks     map[string][]byte
	gets, puts int
}

func newMemory() *memory { return &memory{blocks: map[string][]byte{}} }

func (m *memory) Get(_ context.Context, c cid.Cid) ([]byte, error) {
	m.Lock()
	defer m.Unlock()
	m.gets++
	data, ok := m.blocks[c.KeyString()]
	if !ok {
		return nil, &store.MissingError{Cid: c}
	}
	return data, nil
}

func (m *memory) Put(_ context.Context, b store.Block) error {
	m.Lock()
	defer m.Unlock()
	m.puts++
	m.blocks[b.Cid.KeyString()] = b.Data
	return nil
}

// reset forgets the counts.
func (m *memory) reset() { m.gets, m.puts = 0, 0 }

// nowhere takes blocks and keeps nothing.
type nowhere struct{}

func (nowhere) Put(context.Context, store.Block) error { return nil }

// nowhereBorrower is nowhere that lets its caller keep the buffers.
type nowhereBorrower struct{ nowhere }

func (nowhereBorrower) PutBorrowed(context.Context, store.Block) error { return nil }

// oracleDAG is a DAGService for boxo that keeps nodes in a map, or nothing.
type oracleDAG struct {
	ipld.DAGService
	nodes map[cid.Cid]ipld.Node
}

func newOracle() *oracleDAG { return &oracleDAG{nodes: map[cid.Cid]ipld.Node{}} }

func (d *oracleDAG) Add(_ context.Context, n ipld.Node) error {
	if d.nodes != nil {
		d.nodes[n.Cid()] = n
	}
	return nil
}

func (d *oracleDAG) Get(_ context.Context, c cid.Cid) (ipld.Node, error) {
	if n, ok := d.nodes[c]; ok {
		return n, nil
	}
	return nil, ipld.ErrNotFound{Cid: c}
}

func (d *oracleDAG) GetMany(ctx context.Context, cids []cid.Cid) <-chan *ipld.NodeOption {
	out := make(chan *ipld.NodeOption, len(cids))
	for _, c := range cids {
		n, err := d.Get(ctx, c)
		out <- &ipld.NodeOption{Node: n, Err: err}
	}
	close(out)
	return out
}

var profile = uio.UnixFS_v1_2025

func TestMain(m *testing.M) {
	profile.ApplyGlobals()
	os.Exit(m.Run())
}

// fataler is what testing.TB and rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(...any)
}

// oracleFile returns the root that boxo makes of a file.
func oracleFile(t testing.TB, r io.Reader, rawLeaves bool, mode os.FileMode, mtime time.Time) ipld.Node {
	t.Helper()
	params := helpers.DagBuilderParams{
		Dagserv: &oracleDAG{}, RawLeaves: rawLeaves, Maxlinks: profile.FileDAGWidth,
		CidBuilder: profile.CidBuilder(), FileMode: mode, FileModTime: mtime,
	}
	b, err := params.New(chunk.NewSizeSplitter(r, profile.ChunkSize))
	if err != nil {
		t.Fatal(err)
	}
	n, err := balanced.Layout(b)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// claim is a node that only says what a link needs: a CID and a size.
type claim struct {
	ipld.Node
	cid  cid.Cid
	size uint64
}

func (c claim) Cid() cid.Cid             { return c.cid }
func (c claim) Size() (uint64, error)    { return c.size, nil }
func (c claim) String() string           { return c.cid.String() }
func (c claim) Loggable() map[string]any { return nil }

func newOracleDir(t fataler, d ipld.DAGService) uio.Directory {
	t.Helper()
	dir, err := uio.NewDirectory(d, uio.WithCidBuilder(profile.CidBuilder()))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// oracleSymlink returns the root that boxo makes of a symlink.
func oracleSymlink(t testing.TB, target string, mtime time.Time) ipld.Node {
	t.Helper()
	data, err := unixfs.SymlinkData(target)
	if err != nil {
		t.Fatal(err)
	}
	if !mtime.IsZero() {
		fsn, err := unixfs.FSNodeFromBytes(data)
		if err != nil {
			t.Fatal(err)
		}
		fsn.SetModTime(mtime)
		if data, err = fsn.GetBytes(); err != nil {
			t.Fatal(err)
		}
	}
	n := merkledag.NodeWithData(data)
	if err := n.SetCidBuilder(profile.CidBuilder()); err != nil {
		t.Fatal(err)
	}
	return n
}

// pattern is an endless reader of bytes that are cheap to make: pieces that
// differ only in the number at their beginning.
type pattern struct {
	piece [64 << 10]byte
	next  uint64
	rest  []byte
}

func (p *pattern) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		binary.LittleEndian.PutUint64(p.piece[:], p.next)
		p.next++
		p.rest = p.piece[:]
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func content(size int64) io.Reader { return io.LimitReader(&pattern{}, size) }

// leafCid returns some CID for an entry; the same number gives the same.
func leafCid(i int) cid.Cid {
	return store.Sum(cid.Raw, fmt.Appendf(nil, "entry %d", i))
}
