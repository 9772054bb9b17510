// Package store keeps blocks: byte strings addressed by the hash of what they hold.
//
// A block is named by a CIDv1 with a SHA-256 multihash. A [Store] never changes a block and
// never hands out bytes that do not match the CID that was asked for, whatever the medium
// below it returned. Everything above this package sees blocks through the interfaces here;
// embedded and kubo stores stand in folders of their own, and all of them pass
// the suite in storetest.
package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// MaxBlock is the largest block a Store takes, in bytes: what bitswap and the
// trustless gateways of the IPFS network carry in one piece.
const MaxBlock = 2 << 20

// A Block is some bytes and the CID that names them.
type Block struct {
	Cid  cid.Cid
	Data []byte
}

// NewBlock returns the block of data under the given multicodec, hashed with SHA-256.
func NewBlock(codec uint64, data []byte) Block {
	return Block{Cid: Sum(codec, data), Data: data}
}

// Sum returns the CIDv1 of data under the given multicodec, with SHA-256.
func Sum(codec uint64, data []byte) cid.Cid {
	sum := sha256.Sum256(data)
	// A multihash is its code, the length of the digest, and the digest.
	buf := make([]byte, 0, 2+sha256.Size)
	buf = append(buf, mh.SHA2_256, sha256.Size)
	return cid.NewCidV1(codec, mh.Multihash(append(buf, sum[:]...)))
}

// Verify checks that data is what c names. It returns a [*MismatchError] if it is not,
// and an error that says so for a CID with another hash than SHA-256.
func Verify(c cid.Cid, data []byte) error {
	h := c.Hash()
	if len(h) != 2+sha256.Size || h[0] != mh.SHA2_256 || h[1] != sha256.Size {
		return fmt.Errorf("block %s: hash is not SHA-256", c)
	}
	if sum := sha256.Sum256(data); string(sum[:]) != string(h[2:]) {
		return &MismatchError{Cid: c}
	}
	return nil
}

// A Getter reads blocks.
type Getter interface {
	// Get returns the bytes of the block c, verified. A block that is not
	// there is a [*MissingError]. The caller must not change the bytes.
	Get(ctx context.Context, c cid.Cid) ([]byte, error)
}

// A Putter takes blocks. When they are durable is the business of whoever hands it out.
type Putter interface {
	// Put takes a block. It may keep b.Data: the caller must not change it afterwards.
	// Put may be called from several goroutines.
	Put(ctx context.Context, b Block) error
}

// Blocks is what trees are read from and written to.
type Blocks interface {
	Getter
	Putter
}

// A Store keeps blocks for good. It is safe for use by several goroutines, and
// several processes may have the same store open.
type Store interface {
	Getter
	// Has says for each CID whether its block is here, in the same order.
	Has(ctx context.Context, cids []cid.Cid) ([]bool, error)
	// Writer begins a batch of blocks.
	Writer() Writer
	// Close releases what the store holds; nothing may be called afterwards.
	Close() error
}

// A Writer is a batch of blocks on their way into a Store. Blocks may be visible to others
// before Commit, and are durable when it returns.
type Writer interface {
	Putter
	// Commit makes every block that was put durable. The Writer takes more blocks afterwards.
	Commit(ctx context.Context) error
	// Close gives up what was not committed. Close after Commit does no harm.
	Close() error
}

// A Sized is a block that is elsewhere, and its length in bytes as far as that is known.
type Sized struct {
	Cid  cid.Cid
	Size uint64
}

// A Gatherer is a Writer whose store can fetch blocks by itself, so that they need not come through
// this process.
type Gatherer interface {
	// Gather has the store fetch raw blocks, and keep them as if they had been put: the store
	// vouches for their bytes, and whoever reads them later verifies them; that their sizes are right
	// together is checked. It gives up when none has come for the time stall. Progress, which may be nil, is told how many are there by then.
	// After an error some may be there, and none counts as put.
	Gather(ctx context.Context, blocks []Sized, stall time.Duration, progress func(n int)) error
}

// ErrNotFound is what every [MissingError] is, for errors.Is.
var ErrNotFound = errors.New("block not found")

// A MissingError is a block that is not in the store.
type MissingError struct {
	Cid cid.Cid
}

func (e *MissingError) Error() string { return fmt.Sprintf("block %s: not in the store", e.Cid) }

// Is reports whether target is ErrNotFound.
func (e *MissingError) Is(target error) bool { return target == ErrNotFound }

// A MismatchError is a block whose bytes are not what its CID names.
type MismatchError struct {
	Cid cid.Cid
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("block %s: the bytes do not match the hash", e.Cid)
}
