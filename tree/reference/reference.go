// Package reference knows the signed pointers that people exchange: what they hold, how they
// are signed and checked, and which of two is the newer one.
//
// # Fields
//
// A reference is a DAG-CBOR map (package dagcbor has the rules of spelling). Every policy has a
// fixed set of fields; "." stands in front of each name, so that no name of a user is ever one of
// them.
//
//	field       type        node_v1  owned_directory_v1  shared_directory_v1
//	.policy     text        yes      yes                 yes
//	.owner      link        yes      yes                 yes    the identity document of the author
//	.key        32 bytes    yes      yes                 yes    the Ed25519 public key that signs
//	.epoch      integer     yes      yes                 yes    how often the owner's key was rotated
//	.rotation   link        if .epoch is not 0                  the rotation to that epoch
//	.sequence   integer     yes      yes                 yes    1, 2, 3... in (owner, directory, epoch)
//	.history    link        but the first                       Merkle log of all earlier references
//	.time       integer     yes      yes                 yes    seconds since 1970 as the author claims; decides nothing
//	.signature  64 bytes    yes      yes                 yes
//	.path       text        -        yes                 yes    where the directory stands, such as root/go
//	.directory  map         -        yes                 yes    the founding document, see below
//	.ipfs_hash  link        yes      unless deleted      if any files     what it points to
//	.deleted    true        -        if deleted          -
//	.marks      link        -        -                   if any marks
//	.addresses  list        yes      -                   -      texts, at most 16 of at most 256 bytes
//	.seen       link        if any   -                   -      map of friend -> newest node seen of them
//	.proofs     link        if any   -                   -      map of the pairs of references that prove forks
//	.rotations  list        if .epoch is not 0   -       -      the rotations to that epoch, as bytes, oldest first
//
// The founding document of a directory is {".policy", ".path", ".owner" if it is an owned one,
// ".salt" (16 bytes) if one is needed}; the directory id is the CID of that map. So an owned
// directory belongs to its owner for good, and whoever founds a shared directory with the same
// path and no salt founds the same directory.
//
// # Signature
//
// What is signed is the DSSE pre-authentication encoding of the type
// application/vnd.archivecache.<policy> and the canonical DAG-CBOR of every field but .signature.
// The hash of a reference is the SHA-256 of all of its fields, .signature included, and its block
// is that encoding under codec dag-cbor.
//
// # Order
//
// The references of one author for one directory are ordered by (epoch, sequence). The history of
// a reference lists the hashes of all earlier ones (package merkle has the format of the log). Of
// two references of one epoch the higher is newer if its history begins with the history of the
// lower one, and the hash of the lower one stands right behind that. If not, or if a history is
// not well formed, the author has forked the directory. So the references that one can continue
// form a chain, and it does not matter which of them somebody met, nor in which order. Of two
// epochs the later one is newer: its rotation says what of the earlier ones counts.
//
// # Rotation
//
// A rotation ends an epoch. It is a reference of policy rotation_v1, of the owner's slot in the
// directory {".policy": "rotation_v1", ".path": "identity"}, with .sequence 1, no .history, and
//
//	.next_key        32 bytes: the public key of the next epoch
//	.next            32 bytes: the SHA-256 of the public key of the epoch after that
//	.last            link: a Merkle map from slots to the last references that count, each as
//	                 {"place": how many precede it, "reference": bytes}
//	.next_signature  64 bytes: by .next_key, over every field but itself
//
// The key of the next epoch is the one to which the identity document, or the rotation before, has
// committed. The old key signs every field but the two signatures, and the new one over that, so
// that neither key alone makes a rotation, or another one out of a rotation. References of the
// next epoch continue what .last names for their slot; what an old key signed beside that does
// not count any more.
package reference

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"archivecache/dagcbor"
	"archivecache/message"
	"archivecache/store"
	"archivecache/tree/path"

	"github.com/ipfs/go-cid"
)

// The policies that references have. Each is signed under a type of its own.
const (
	NodePolicy   = "node_v1"
	OwnedPolicy  = "owned_directory_v1"
	SharedPolicy = "shared_directory_v1"

	RotationPolicy = "rotation_v1"
)

// Bounds of a reference, beside those of the codec.
const (
	MaxPath      = 8192 // bytes
	MaxAddresses = 16
	MaxAddress   = 256 // bytes
	MaxRotations = 256 // of one identity
	saltSize     = 16

	maxRotation = 1024 // bytes
)

// ErrMalformed is a reference whose fields do not fit its policy.
var ErrMalformed = errors.New("malformed reference")

// A Reference is a reference of any policy. The package comment says which fields a policy has;
// a Reference that was decoded has exactly those.
type Reference struct {
	Policy    string        `cbor:".policy" json:".policy"`
	Owner     dagcbor.Link  `cbor:".owner" json:".owner"`
	Key       []byte        `cbor:".key" json:".key"`
	Epoch     uint64        `cbor:".epoch" json:".epoch"`
	Rotation  *dagcbor.Link `cbor:".rotation,omitempty" json:".rotation,omitempty"`
	Sequence  uint64        `cbor:".sequence" json:".sequence"`
	History   *dagcbor.Link `cbor:".history,omitempty" json:".history,omitempty"`
	Time      uint64        `cbor:".time" json:".time"`
	Signature []byte        `cbor:".signature,omitempty" json:".signature,omitempty"`

	Path      string        `cbor:".path,omitempty" json:".path,omitempty"`
	Directory *Founding     `cbor:".directory,omitempty" json:".directory,omitempty"`
	Content   *dagcbor.Link `cbor:".ipfs_hash,omitempty" json:".ipfs_hash,omitempty"`
	Deleted   bool          `cbor:".deleted,omitempty" json:".deleted,omitempty"`
	Marks     *dagcbor.Link `cbor:".marks,omitempty" json:".marks,omitempty"`
	Addresses []string      `cbor:".addresses,omitempty" json:".addresses,omitempty"`
	Seen      *dagcbor.Link `cbor:".seen,omitempty" json:".seen,omitempty"`
	Proofs    *dagcbor.Link `cbor:".proofs,omitempty" json:".proofs,omitempty"`
	Rotations [][]byte      `cbor:".rotations,omitempty" json:".rotations,omitempty"`

	// Of a rotation.
	NextKey       []byte        `cbor:".next_key,omitempty" json:".next_key,omitempty"`
	Next          []byte        `cbor:".next,omitempty" json:".next,omitempty"`
	Last          *dagcbor.Link `cbor:".last,omitempty" json:".last,omitempty"`
	NextSignature []byte        `cbor:".next_signature,omitempty" json:".next_signature,omitempty"`
}

// A Founding is the founding document of a directory.
type Founding struct {
	Policy string        `cbor:".policy" json:".policy"`
	Owner  *dagcbor.Link `cbor:".owner,omitempty" json:".owner,omitempty"`
	Path   string        `cbor:".path" json:".path"`
	Salt   []byte        `cbor:".salt,omitempty" json:".salt,omitempty"`
}

// ID returns the directory id: the CID of the founding document.
func (f Founding) ID() cid.Cid {
	data, err := dagcbor.Marshal(f)
	if err != nil {
		return cid.Undef // only for an owner that is no CID, which Check refuses
	}
	return store.Sum(cid.DagCBOR, data)
}

// A Slot is what references compete for: a directory and an author. It is comparable. The nodes of
// an author have a slot as well.
type Slot struct {
	Directory, Author cid.Cid
}

// Key returns the slot as bytes: two binary CIDs of 36 bytes.
func (s Slot) Key() []byte { return append(s.Directory.Bytes(), s.Author.Bytes()...) }

// DirectoryKeySize is the length of the first part of a Slot's Key, in bytes.
const DirectoryKeySize = 36

// ParseSlot reads what Key wrote.
func ParseSlot(key []byte) (Slot, error) {
	if len(key) != 2*DirectoryKeySize {
		return Slot{}, fmt.Errorf("slot: %d bytes, not %d", len(key), 2*DirectoryKeySize)
	}
	dir, err := cid.Cast(key[:DirectoryKeySize])
	if err != nil {
		return Slot{}, fmt.Errorf("slot: %w", err)
	}
	author, err := cid.Cast(key[DirectoryKeySize:])
	if err != nil {
		return Slot{}, fmt.Errorf("slot: %w", err)
	}
	return Slot{Directory: dir, Author: author}, nil
}

// NodeSlot returns the slot of an author's nodes.
func NodeSlot(author cid.Cid) Slot {
	return (&Reference{Policy: NodePolicy, Owner: dagcbor.Link{Cid: author}}).Slot()
}

// Slot returns what r competes for.
func (r *Reference) Slot() Slot {
	if r.Policy == RotationPolicy {
		return RotationSlot(r.Owner.Cid)
	}
	return Slot{Directory: r.Founding().ID(), Author: r.Owner.Cid}
}

// Founding returns the founding document of what r is a reference of. Nodes and rotations have
// one that nobody needs to write down.
func (r *Reference) Founding() Founding {
	switch {
	case r.Policy == NodePolicy:
		return Founding{Policy: NodePolicy, Owner: &dagcbor.Link{Cid: r.Owner.Cid}, Path: "node"}
	case r.Policy == RotationPolicy:
		return rotationFounding
	case r.Directory == nil:
		return Founding{}
	}
	return *r.Directory
}

// Decode reads a reference from its DAG-CBOR. It checks the fields, not the signature.
func Decode(data []byte) (*Reference, error) {
	var r Reference
	if err := dagcbor.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return &r, nil
}

// Encode returns the DAG-CBOR of r.
func (r *Reference) Encode() ([]byte, error) { return dagcbor.Marshal(r) }

// Block returns r as a block.
func (r *Reference) Block() (store.Block, error) {
	data, err := r.Encode()
	if err != nil {
		return store.Block{}, err
	}
	return store.NewBlock(cid.DagCBOR, data), nil
}

// Hash returns the SHA-256 of the DAG-CBOR of r: what histories hold.
func (r *Reference) Hash() ([]byte, error) {
	data, err := r.Encode()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	return sum[:], nil
}

// JSON returns r as the JSON of a message: links are base32 texts, bytes are padded base64.
func (r *Reference) JSON() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	return message.Canonical(data)
}

// FromJSON reads a reference from the canonical JSON of a message. It checks the fields,
// not the signature.
func FromJSON(data []byte) (*Reference, error) {
	var r Reference
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !r.Owner.Defined() {
		return nil, fmt.Errorf("%w: .owner is missing", ErrMalformed)
	}
	again, err := r.JSON()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: not spelled as a reference is", ErrMalformed)
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return &r, nil
}

// signed returns the bytes under the signature, before the pre-authentication encoding.
func (r *Reference) signed() ([]byte, error) {
	unsigned := *r
	unsigned.Signature, unsigned.NextSignature = nil, nil
	return dagcbor.Marshal(unsigned)
}

// Check holds the fields of r against its policy. References that were decoded have passed it.
func (r *Reference) Check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	switch {
	case len(r.Key) != ed25519.PublicKeySize:
		return wrong(".key has %d bytes, not %d", len(r.Key), ed25519.PublicKeySize)
	case r.Sequence < 1 || r.Sequence > dagcbor.MaxInt:
		return wrong(".sequence is %d", r.Sequence)
	case r.Epoch > MaxRotations:
		return wrong(".epoch is %d, of at most %d", r.Epoch, MaxRotations)
	case (r.Epoch > 0) != (r.Rotation != nil) || r.Rotation != nil && !cborLink(r.Rotation):
		return wrong("epoch %d and .rotation do not fit", r.Epoch)
	case r.Time > dagcbor.MaxInt:
		return wrong(".time is %d", r.Time)
	case r.Policy != RotationPolicy && (r.NextKey != nil || r.Next != nil || r.Last != nil || r.NextSignature != nil):
		return wrong("only a rotation has .next_key, .next, .last and .next_signature")
	case r.Policy != NodePolicy && r.Rotations != nil:
		return wrong("only a node has .rotations")
	case r.Epoch == 0 && (r.Sequence == 1) != (r.History == nil):
		return wrong("sequence %d and .history do not fit", r.Sequence)
	case !cborLink(&r.Owner) || r.History != nil && !cborLink(r.History):
		return wrong(".owner and .history are links to dag-cbor")
	}
	switch r.Policy {
	case NodePolicy:
		return r.checkNode(wrong)
	case OwnedPolicy:
		return r.checkOwned(wrong)
	case SharedPolicy:
		return r.checkShared(wrong)
	case RotationPolicy:
		return r.checkRotation(wrong)
	}
	return wrong("unknown policy %q", r.Policy)
}

type wrongFunc func(format string, args ...any) error

func (r *Reference) checkNode(wrong wrongFunc) error {
	switch {
	case r.Path != "" || r.Directory != nil || r.Deleted || r.Marks != nil:
		return wrong("a node has none of .path, .directory, .deleted and .marks")
	case r.Content == nil || !cborLink(r.Content):
		return wrong(".ipfs_hash of a node is a link to dag-cbor")
	case r.Seen != nil && !cborLink(r.Seen) || r.Proofs != nil && !cborLink(r.Proofs):
		return wrong(".seen and .proofs are links to dag-cbor")
	case uint64(len(r.Rotations)) != r.Epoch:
		return wrong("%d rotations in .rotations of epoch %d", len(r.Rotations), r.Epoch)
	case slices.ContainsFunc(r.Rotations, func(b []byte) bool { return len(b) > maxRotation }):
		return wrong("a rotation of more than %d bytes", maxRotation)
	case len(r.Addresses) > MaxAddresses:
		return wrong("%d addresses, of at most %d", len(r.Addresses), MaxAddresses)
	}
	for _, a := range r.Addresses {
		if err := CheckAddress(a); err != nil {
			return wrong("%v", err)
		}
	}
	return nil
}

func (r *Reference) checkOwned(wrong wrongFunc) error {
	if err := r.checkDirectory(wrong); err != nil {
		return err
	}
	switch {
	case r.Marks != nil:
		return wrong("an owned directory has no .marks")
	case r.Deleted == (r.Content != nil):
		return wrong("either .deleted or .ipfs_hash")
	case r.Content != nil && r.Content.Type() != cid.DagProtobuf:
		return wrong(".ipfs_hash of a directory is a link to dag-pb")
	case r.Directory.Owner == nil:
		return wrong("an owned directory has an owner")
	case !r.Directory.Owner.Equals(r.Owner.Cid):
		return fmt.Errorf("%w: %w: the directory belongs to %s", ErrMalformed, ErrWrongOwner, r.Directory.Owner.Target())
	}
	return nil
}

func (r *Reference) checkShared(wrong wrongFunc) error {
	if err := r.checkDirectory(wrong); err != nil {
		return err
	}
	switch {
	case r.Deleted:
		return wrong("a shared directory has no .deleted")
	case r.Content != nil && r.Content.Type() != cid.DagProtobuf:
		return wrong(".ipfs_hash of a directory is a link to dag-pb")
	case r.Marks != nil && !cborLink(r.Marks):
		return wrong(".marks is a link to dag-cbor")
	case r.Directory.Owner != nil:
		return wrong("a shared directory has no owner")
	case r.Directory.Path != r.Path:
		return wrong("a shared directory cannot move from %q to %q", r.Directory.Path, r.Path)
	}
	return nil
}

// checkDirectory holds what owned and shared directories have in common.
func (r *Reference) checkDirectory(wrong wrongFunc) error {
	switch {
	case r.Addresses != nil || r.Seen != nil || r.Proofs != nil:
		return wrong("only a node has .addresses, .seen and .proofs")
	case r.Directory == nil || r.Directory.Policy != r.Policy:
		return wrong(".directory is the founding document of a directory with policy %s", r.Policy)
	case len(r.Path) > MaxPath || len(r.Directory.Path) > MaxPath:
		return wrong("a path of more than %d bytes", MaxPath)
	case len(r.Directory.Salt) != 0 && len(r.Directory.Salt) != saltSize:
		return wrong(".salt has %d bytes, not %d", len(r.Directory.Salt), saltSize)
	}
	if err := path.CheckPublished(r.Path); err != nil {
		return wrong("%v", err)
	}
	if err := path.CheckPublished(r.Directory.Path); err != nil {
		return wrong("%v", err)
	}
	return nil
}

func cborLink(l *dagcbor.Link) bool { return l.Type() == cid.DagCBOR }

// CheckAddress checks that text may be an address of a node: 1 to 256 printable ASCII characters
// that begin with a scheme.
func CheckAddress(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "" || len(text) > MaxAddress:
		return fmt.Errorf("address: %d bytes, of 1 to %d", len(text), MaxAddress)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("address %q: only printable ASCII characters", text)
	case err != nil:
		return fmt.Errorf("address %q: %w", text, err)
	case u.Scheme == "" || u.Host == "":
		return fmt.Errorf("address %q: it has to have a scheme and a host", text)
	}
	return nil
}
