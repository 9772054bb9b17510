// Package shared makes one directory of the parts that many authors wrote, and edits one's own
// part.
//
// # Layers
//
// A shared directory is a set of layers, one for each author: a UnixFS tree of the files that the
// author contributed, and a parallel tree of marks. The tree of marks of a directory is a Merkle
// map from names to
//
//	{"nonce": 16 bytes, "met": true, "hides": [{"version": id, "by": id}, ...], "below": link}
//
// where every field may be absent: nonce belongs to the author's own file of that name, met says
// that the author once removed one, hides lists marks, and below is the tree of marks of the
// directory of that name.
//
// # Versions
//
// A version is the file (or symlink, or empty directory) that one layer has at one path. Its id
// is the SHA-256 of the DAG-CBOR of
//
//	{"author": link, "directory": link, "path": bytes, "content": link}    or, in place of content,    "nonce": bytes
//
// A version gets a nonce if the path has met another version or a mark before. So what somebody
// hid stays hidden, and what is written anew, even with the same content, is not hidden by marks
// on what was there before. The nonce is random; if other versions stay beside the new one, it is
// drawn until the new id is the lowest, so that what somebody writes to a name has that name.
//
// # What is shown
//
//	layer a   report (v1)                report (v1)                 report (v1)
//	layer b                              report (v2), hides v1       report (v2)
//	shown     report = v1                report = v2                 report = v1, report~22222222 = v2
//
// A mark hides its version, unless the version in turn hides, through other marks, the one that
// the mark is by: two people who resolve a conflict in favour of different sides, without knowing
// of each other, see both. A deletion is by a version that is left standing and that the deleted
// one has no way to, and by none if there is no such version. Of what is not hidden, versions
// with the same CID are one entry. Directories of the same name are one directory. The plain name
// goes to the directory, else to the lowest version id; the others are called stem~hhhhhhhh.ext,
// with the first digits of their id. Names with the same hash, which a large directory cannot hold
// together, are left out but for the lowest one, and a file "~names-left-out.txt" tells of them.
//
// # Decisions
//
// Who resolves a conflict writes a new version, with a nonce, and marks all that are visible as
// hidden by it. Nobody can have marked it before, so the versions have no way to it: they are
// hidden for everybody. Two such versions are a new conflict, or one entry if they are equal. Who
// restores a hidden version writes it once more with a nonce, so that no mark is on it.
package shared

import (
	"encoding/hex"

	"archivecache/dagcbor"
	"archivecache/store"

	"github.com/ipfs/go-cid"
)

// A VersionID names a version: 32 bytes.
type VersionID []byte

const versionSize = 32

// String returns id in hexadecimal digits.
func (id VersionID) String() string { return hex.EncodeToString(id) }

// versionDoc is what a version id is the hash of.
type versionDoc struct {
	Author    dagcbor.Link  `cbor:"author"`
	Directory dagcbor.Link  `cbor:"directory"`
	Path      []byte        `cbor:"path"`
	Content   *dagcbor.Link `cbor:"content,omitempty"`
	Nonce     []byte        `cbor:"nonce,omitempty"`
}

// versionID returns the id of the version that author has at path, relative to the directory.
func versionID(author, directory cid.Cid, path string, content cid.Cid, nonce []byte) (VersionID, error) {
	doc := versionDoc{Author: dagcbor.Link{Cid: author}, Directory: dagcbor.Link{Cid: directory}, Path: []byte(path)}
	if doc.Nonce = nonce; nonce == nil {
		doc.Content = dagcbor.LinkTo(content)
	}
	data, err := dagcbor.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return VersionID(store.Sum(cid.DagCBOR, data).Hash()[2:]), nil
}
