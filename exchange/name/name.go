// Package name puts nodes behind IPNS names, and finds them there.
//
// An IPNS record (https://specs.ipfs.tech/ipns/ipns-record/) says which CID a name stands for. The
// name is the hash of a key that signs its records. That is a key of its own, and not the one of
// the identity: names stay when the key of the identity rotates. Nobody trusts a name: what it
// leads to is the reference of a node, which is signed by its author and is checked as one that
// came by mail. Whoever steals the key of a name can make it lead astray, and sign nothing.
//
// # Order
//
// Of two records of a name the one with the higher sequence counts, and of two with the same the
// one that is valid longer. The sequence is that of the node: its epoch times 2^53, and its
// sequence within the epoch. So two copies of a repository that publish the same node make records
// that do each other no harm, and an older node never takes the place of a newer one.
//
// # Files
//
// A folder of a repository has, for each identity that has a name,
//
//	ID.key        the private key, as `ipfs key import` takes it (libp2p-protobuf-cleartext)
//	NAME.record   the newest record that was made here
package name

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"archivecache/store"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// MaxRecord is how long a record may be, in bytes.
const MaxRecord = int64(ipns.MaxRecordSize)

// ttl is how long others may keep a record before they ask again.
const ttl = 5 * time.Minute

// Reasons why a record is refused.
var (
	ErrRecord  = errors.New("not a valid IPNS record")
	ErrExpired = errors.New("the IPNS record has expired")
	ErrName    = errors.New("not an IPNS name")
)

// Parse reads a name as people write it: k51..., 12D3Koo..., with or without /ipns/ before it. It
// returns it as k51....
func Parse(text string) (string, error) {
	if len(text) > 200 {
		return "", fmt.Errorf("%w: %d bytes", ErrName, len(text))
	}
	n, err := ipns.NameFromString(text)
	if err != nil {
		return "", fmt.Errorf("%q is %w", text, ErrName)
	}
	return n.String(), nil
}

// A Key signs the records of a name.
type Key struct {
	private crypto.PrivKey
	name    ipns.Name
}

// Generate returns a new key.
func Generate() (*Key, error) {
	private, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	return newKey(private)
}

// parseKey reads what Encode wrote.
func parseKey(data []byte) (*Key, error) {
	private, err := crypto.UnmarshalPrivateKey(data)
	if err != nil || private.Type() != crypto.Ed25519 {
		return nil, errors.New("not the key of a name")
	}
	return newKey(private)
}

func newKey(private crypto.PrivKey) (*Key, error) {
	id, err := peer.IDFromPrivateKey(private)
	return &Key{private, ipns.NameFromPeer(id)}, err
}

// Name returns the name, such as k51....
func (k *Key) Name() string { return k.name.String() }

// Format keeps the key out of whatever prints it.
func (k *Key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "key of the name %s", k.name) }

// Sequence returns the sequence of the record of a node.
func Sequence(epoch, sequence uint64) uint64 { return epoch<<53 | sequence }

// Sign returns a record that leads to the node, with a sequence from [Sequence], until the given
// time.
func (k *Key) Sign(node cid.Cid, sequence uint64, until time.Time) ([]byte, error) {
	r, err := ipns.NewRecord(k.private, path.FromCid(node), sequence, until, ttl, ipns.WithPublicKey(true))
	if err != nil {
		return nil, fmt.Errorf("make IPNS record: %w", err)
	}
	return ipns.MarshalRecord(r)
}

// A Record is a record that was verified.
type Record struct {
	Name     string
	Node     cid.Cid
	Sequence uint64
	Until    time.Time
}

// Newer reports whether r counts and not other.
func (r Record) Newer(other Record) bool {
	if r.Sequence != other.Sequence {
		return r.Sequence > other.Sequence
	}
	return r.Until.After(other.Until)
}

// Verify reads a record of name and checks its signature and that it has not expired. Without a
// name the record has to hold its key, and the name is that of the key. The errors are [ErrExpired],
// with which name, sequence and time are there, and [ErrRecord].
func Verify(data []byte, name string) (Record, error) {
	r, err := verify(data, name)
	switch {
	case errors.Is(err, ipns.ErrExpiredRecord):
		return r, fmt.Errorf("%w, on %s", ErrExpired, r.Until.UTC().Format(time.RFC3339))
	case err != nil:
		return r, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}

func verify(data []byte, text string) (r Record, err error) {
	record, err := ipns.UnmarshalRecord(data)
	if err != nil {
		return r, err
	}
	name, err := nameOf(record, text)
	if err != nil {
		return r, err
	}
	r.Name = name.String()
	if r.Sequence, err = record.Sequence(); err != nil {
		return r, err
	}
	if r.Until, err = record.Validity(); err != nil {
		return r, err
	}
	if err := ipns.ValidateWithName(record, name); err != nil {
		return r, err
	}
	r.Node, err = nodeOf(record)
	return r, err
}

func nameOf(r *ipns.Record, text string) (ipns.Name, error) {
	if text != "" {
		return ipns.NameFromString(text)
	}
	key, err := r.PubKey()
	if err != nil {
		return ipns.Name{}, fmt.Errorf("%w: it has to be given by its name", err)
	}
	id, err := peer.IDFromPublicKey(key)
	return ipns.NameFromPeer(id), err
}

// nodeOf returns what a record leads to, which has to be able to be a node.
func nodeOf(r *ipns.Record) (cid.Cid, error) {
	to, err := r.Value()
	if err != nil {
		return cid.Undef, err
	}
	at, err := path.NewImmutablePath(to)
	if err != nil || len(at.Segments()) != 2 {
		return cid.Undef, fmt.Errorf("it leads to %.100q, and not to the CID of a node", to)
	}
	c := at.RootCid()
	if _, err := store.DigestOf(c); err != nil || c.Type() != cid.DagCBOR {
		return cid.Undef, fmt.Errorf("it leads to %s, which is no node", c)
	}
	return c, nil
}
