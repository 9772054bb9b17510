// Package identity makes identities, keeps their private keys, signs and verifies.
//
// # Document
//
// An identity is a key pair and the public document about it, under the policy
// identity_v1. The document is canonical DAG-CBOR (see package dagcbor), a map of three fields,
// always 100 bytes:
//
//	.key     32 bytes: the Ed25519 public key of epoch 0 (RFC 8032)
//	.next    32 bytes: the SHA-256 of the public key of epoch 1
//	.policy  text: "identity_v1"
//
// The id of an identity is the CID of its document: version 1, codec dag-cbor, SHA-256, as
// text in base32. So the id says which key signs, and no message can change that.
// Keys change only by a rotation to the key that .next has committed to.
//
// A public key is refused if it is not the canonical encoding of a point of the curve, or
// if that point is one of the eight of small order, under which signatures are good
// for more than one text. A document that commits to its own .key is refused, too.
//
// # Message
//
// A document travels as a JSON object with exactly these fields, in the canonical
// spelling of package message. Bytes are in base64 with padding (RFC 4648 section 4):
//
//	{".ipfs_hash":ID,".key":BASE64,".next":BASE64,".owner":ID,".policy":"identity_v1"}
//
// Both ids are that of the document, which the reader computes.
//
// # did:key
//
// As text a public key is "did:key:z" and the base58 (Bitcoin alphabet) of the bytes ed 01
// and the key: https://w3c-ccg.github.io/did-key-spec/.
//
// # Signature
//
// A signature is Ed25519 (64 bytes) over the pre-authentication encoding of DSSE
// (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md): the text "DSSEv1",
// the length of the type, the type, the length of the payload, and the payload, with
// one space between each, lengths in decimal. The type is "application/vnd.archivecache."
// and the policy of what is signed, so that nothing signed under one policy passes
// for another.
//
// # Key file
//
// The private side of an identity is a text of lines that each end in LF:
//
//	ARCHIVECACHE-SECRET-KEY-2
//	# Whoever has this can sign in its owner's name. Keep it secret.
//	id ID
//	document BASE64
//	key EPOCH BASE64
//	sum BASE64
//
// The document is that of the id, 100 bytes. There are 1 to 16 lines of keys, with ascending
// epochs in decimal, at most 2^53-1; each has the seed (RFC 8032: the private key, 32 bytes) of
// the key of its epoch. The sum is the SHA-256 of all lines above it, so that a key that was
// damaged or cut off is found when the file is read, and not when it is needed. There is one
// spelling; any other text is refused.
//
// Usually there are two keys: that of the epoch e that counts, and that of e+1, to which the
// identity has committed. While it rotates there are three, e to e+2, so that the file serves
// both before and after the rotation is published, whenever the process is killed. Where the
// next key is kept in another file, there is one. The seeds of epochs 0 and 1 must fit the
// document; later ones are compared with the rotations, where these are known.
//
// A key file of version 1 is read and never written. After the comment it has the id, and
// "key BASE64" and "next BASE64", the seeds of epochs 0 and 1.
//
// A key file that is protected by a passphrase is an armored age file
// (https://age-encryption.org/v1) of that text with one scrypt recipient; age itself opens it.
// The work factor is 18, and at most 20 is accepted.
//
// A key folder ([Keyring]) holds a file ID.key for each identity, either of the two, readable
// and writable by its owner only. A file changes by a new one that is renamed over it. What a
// killed process leaves there is named .new-*.tmp; it is never read, and can be deleted.
package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"archivecache/dagcbor"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// Policy is the policy of identity documents.
const Policy = "identity_v1"

// DocumentSize is the size of every identity document in bytes.
const DocumentSize = 100

var (
	// ErrDocument is a document or an identity message that is not as the package comment demands.
	ErrDocument = errors.New("not an identity")
	// ErrWrongID is an identity message whose ids are not the CID of its document.
	ErrWrongID = errors.New("the id is not that of the document; the message was changed")
)

// An ID is the CID of an identity document.
type ID = cid.Cid

// A Document is the public side of an identity.
type Document struct {
	Policy string `cbor:".policy"`
	Key    []byte `cbor:".key"`  // the public key of epoch 0, 32 bytes
	Next   []byte `cbor:".next"` // the SHA-256 of the public key of epoch 1
}

// NewDocument returns the document for the public keys of epochs 0 and 1.
func NewDocument(key, next ed25519.PublicKey) Document {
	commitment := sha256.Sum256(next)
	return Document{Policy: Policy, Key: bytes.Clone(key), Next: commitment[:]}
}

// DecodeDocument reads a document from its block. It does not compare the block with a
// CID: [Document.ID] is the id. What it refuses is [ErrDocument].
func DecodeDocument(data []byte) (Document, error) {
	if len(data) != DocumentSize {
		return Document{}, fmt.Errorf("decode identity: %d bytes, must be %d: %w", len(data), DocumentSize, ErrDocument)
	}
	var d Document
	if err := dagcbor.Unmarshal(data, &d); err != nil {
		return Document{}, fmt.Errorf("decode identity: %w: %w", err, ErrDocument)
	}
	if err := d.check(); err != nil {
		return Document{}, fmt.Errorf("decode identity: %w", err)
	}
	return d, nil
}

func (d Document) check() error {
	if d.Policy != Policy {
		return fmt.Errorf("policy %.80q, must be %q: %w", d.Policy, Policy, ErrDocument)
	}
	if err := CheckKey(d.Key); err != nil {
		return fmt.Errorf("%w: %w", err, ErrDocument)
	}
	if len(d.Next) != sha256.Size {
		return fmt.Errorf("commitment of %d bytes, must be %d: %w", len(d.Next), sha256.Size, ErrDocument)
	}
	if d.Commits(d.Key) {
		return fmt.Errorf("it commits to the key that it has: %w", ErrDocument)
	}
	return nil
}

// Commits reports whether next is the public key of epoch 1 that the document has committed to.
func (d Document) Commits(next ed25519.PublicKey) bool {
	commitment := sha256.Sum256(next)
	return bytes.Equal(d.Next, commitment[:])
}

// Encode returns the canonical encoding of the document.
func (d Document) Encode() []byte {
	// A text and two byte strings can always be encoded.
	data, _ := dagcbor.Marshal(d)
	return data
}

// Block returns the document as a block, whose CID is the id.
func (d Document) Block() store.Block { return store.NewBlock(cid.DagCBOR, d.Encode()) }

// ID returns the id of the identity.
func (d Document) ID() ID { return store.Sum(cid.DagCBOR, d.Encode()) }

// Public returns the public key of epoch 0.
func (d Document) Public() ed25519.PublicKey { return ed25519.PublicKey(d.Key) }

// wire is the identity message; its fields stand in canonical order.
type wire struct {
	Hash   string `json:".ipfs_hash"`
	Key    string `json:".key"`
	Next   string `json:".next"`
	Owner  string `json:".owner"`
	Policy string `json:".policy"`
}

// JSON returns the identity message, canonical JSON with the whole document in it.
func (d Document) JSON() []byte {
	id := d.ID().String()
	// Five texts can always be encoded.
	data, _ := json.Marshal(wire{
		Hash:   id,
		Key:    base64.StdEncoding.EncodeToString(d.Key),
		Next:   base64.StdEncoding.EncodeToString(d.Next),
		Owner:  id,
		Policy: d.Policy,
	})
	return data
}

// maxJSON bounds identity messages in bytes; they have fewer than 300.
const maxJSON = 1024

// DocumentFromJSON reads an identity message in canonical JSON and computes the id anew. The error
// is [ErrWrongID] if only the ids are wrong, otherwise [ErrDocument].
func DocumentFromJSON(data []byte) (Document, error) {
	d, err := documentFromJSON(data)
	if err != nil {
		return Document{}, fmt.Errorf("read identity message: %w", err)
	}
	return d, nil
}

func documentFromJSON(data []byte) (Document, error) {
	if len(data) > maxJSON {
		return Document{}, fmt.Errorf("%d bytes, at most %d are allowed: %w", len(data), maxJSON, ErrDocument)
	}
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return Document{}, fmt.Errorf("%w: %w", err, ErrDocument)
	}
	key, err := base64.StdEncoding.DecodeString(w.Key)
	if err != nil {
		return Document{}, fmt.Errorf(".key: %w: %w", err, ErrDocument)
	}
	next, err := base64.StdEncoding.DecodeString(w.Next)
	if err != nil {
		return Document{}, fmt.Errorf(".next: %w: %w", err, ErrDocument)
	}
	d := Document{Policy: w.Policy, Key: key, Next: next}
	if err := d.check(); err != nil {
		return Document{}, err
	}
	if id := d.ID().String(); w.Hash != id || w.Owner != id {
		return Document{}, fmt.Errorf(".ipfs_hash %.80q and .owner %.80q, the document is %s: %w", w.Hash, w.Owner, id, ErrWrongID)
	}
	// Whatever else encoding/json lets pass does not come out the same.
	if !bytes.Equal(data, d.JSON()) {
		return Document{}, fmt.Errorf("other fields than the five, or another spelling of them: %w", ErrDocument)
	}
	return d, nil
}
