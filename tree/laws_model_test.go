package tree_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"archivecache/dagcbor"
	"archivecache/tree/merkle"
	"archivecache/tree/reference"
	"archivecache/tree/state"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// This file says what a merge makes, by the rules of DESIGN.md alone: plain maps, everything
// from nothing, nothing remembered. It shares with the code only how blocks are read.

// A lawEntry is a name in a directory.
type lawEntry struct {
	name string
	cid  cid.Cid
	dir  bool
}

// A lawRecord is what an author's marks hold for a name.
type lawRecord struct {
	Nonce []byte        `cbor:"nonce,omitempty"`
	Met   bool          `cbor:"met,omitempty"`
	Hides []lawMark     `cbor:"hides,omitempty"`
	Below *dagcbor.Link `cbor:"below,omitempty"`
}

type lawMark struct {
	Version []byte `cbor:"version"`
	By      []byte `cbor:"by,omitempty"`
}

var emptyDirectory = func() cid.Cid {
	b, _ := unixfs.EmptyDir()
	return b.Cid
}()

// read returns the entries of a directory; an undefined one and the empty one have none.
func (s *schedule) read(dir cid.Cid) []lawEntry {
	if !dir.Defined() || dir.Equals(emptyDirectory) {
		return nil
	}
	if entries, ok := s.listings[dir]; ok {
		return entries
	}
	d, err := unixfs.OpenDir(s.ctx, s.blocks, dir)
	s.must(err)
	var entries []lawEntry
	s.must(d.Each(s.ctx, func(e unixfs.Entry) error {
		isDir := false
		if e.Cid.Type() != cid.Raw {
			info, err := unixfs.Stat(s.ctx, s.blocks, e.Cid)
			s.must(err)
			isDir = info.Kind == unixfs.Directory
		}
		entries = append(entries, lawEntry{e.Name, e.Cid, isDir})
		return nil
	}))
	s.listings[dir] = entries
	return entries
}

// list returns the files and symlinks below dir, and the empty directories, whose paths end in a
// slash.
func (s *schedule) list(dir cid.Cid) map[string]cid.Cid {
	found := map[string]cid.Cid{}
	s.walk(dir, "", found)
	return found
}

func (s *schedule) walk(dir cid.Cid, prefix string, found map[string]cid.Cid) {
	for _, e := range s.read(dir) {
		switch {
		case !e.dir:
			found[prefix+e.name] = e.cid
		case e.cid.Equals(emptyDirectory):
			found[prefix+e.name+"/"] = e.cid
		default:
			s.walk(e.cid, prefix+e.name+"/", found)
		}
	}
}

// readMarks returns a tree of marks by name.
func (s *schedule) readMarks(tree cid.Cid) map[string]lawRecord {
	if !tree.Defined() {
		return nil
	}
	if records, ok := s.marked[tree]; ok {
		return records
	}
	records := map[string]lawRecord{}
	s.must(merkle.NewMap(s.blocks, merkle.Whole, tree).Each(s.ctx, func(name []byte, data dagcbor.Raw) error {
		var r lawRecord
		err := dagcbor.Unmarshal(data, &r)
		records[string(name)] = r
		return err
	}))
	s.marked[tree] = records
	return records
}

// continues reports whether r is low, or was signed after it as part of one history.
func (r *signedRef) continues(low *signedRef) bool {
	for ; r != nil; r = r.parent {
		if r == low {
			return true
		}
	}
	return false
}

// newest returns the reference that counts of those that were signed for a slot; nil if they are
// no chain.
func newest(refs []*signedRef) *signedRef {
	top := refs[0]
	for _, r := range refs {
		if r.continues(top) {
			top = r
		}
	}
	for _, r := range refs {
		if !top.continues(r) {
			return nil
		}
	}
	return top
}

// A lawPart is what one author has for a directory: nothing at all if the author forked it.
type lawPart struct {
	author       cid.Cid
	path         string
	files, marks cid.Cid
	deleted      bool
}

// A lawDirectory is a directory with its parts.
type lawDirectory struct {
	founding reference.Founding
	parts    []lawPart
}

// modelState returns what must follow from all references that were signed by the accepted
// authors: the directories, and the state as texts by slot.
func (s *schedule) modelState(accepts map[cid.Cid]bool) ([]lawDirectory, map[reference.Slot]string) {
	byID := map[cid.Cid]*lawDirectory{}
	for _, f := range lawDirectories {
		byID[f.ID()] = &lawDirectory{founding: f}
	}
	held := map[reference.Slot]string{}
	for slot, refs := range s.ledger {
		if !accepts[slot.Author] {
			continue
		}
		if slot == reference.RotationSlot(slot.Author) {
			held[slot] = newest(refs).hash // honest, so what it names is what is known anyway
			continue
		}
		d := byID[slot.Directory]
		if d == nil {
			d = &lawDirectory{founding: *refs[0].ref.Directory}
			byID[slot.Directory] = d
		}
		part := lawPart{author: slot.Author, path: d.founding.Path}
		held[slot] = "fork"
		if top := newest(refs); top != nil {
			held[slot] = top.hash
			part = lawPart{
				slot.Author, top.ref.Path, top.ref.Content.Target(), top.ref.Marks.Target(), top.ref.Deleted,
			}
		}
		d.parts = append(d.parts, part)
	}
	var dirs []lawDirectory
	for _, d := range byID {
		dirs = append(dirs, *d)
	}
	return dirs, held
}

// describe returns a state in the form of modelState.
func (s *schedule) describe(st *state.State) map[reference.Slot]string {
	held := map[reference.Slot]string{}
	s.must(st.Each(s.ctx, func(slot reference.Slot, v state.Value) error {
		held[slot] = "fork"
		if v.Reference != nil {
			hash, err := v.Reference.Hash()
			s.must(err)
			held[slot] = string(hash)
		}
		return nil
	}))
	return held
}

// A lawPlace is a directory at its place.
type lawPlace struct {
	id      []byte // digest of the directory id
	key     []byte // the directory id, by which directories are ordered
	names   []string
	content map[string]cid.Cid
}

// modelView returns what a root with these directories shows, as list does.
func (s *schedule) modelView(dirs []lawDirectory) map[string]cid.Cid {
	var places []lawPlace
	for _, d := range dirs {
		id, at := d.founding.ID(), d.founding.Path
		var content map[string]cid.Cid
		if d.founding.Policy == reference.SharedPolicy {
			content = s.modelShared(id, d.parts)
		} else {
			if d.parts[0].deleted {
				continue
			}
			at, content = d.parts[0].path, s.list(d.parts[0].files)
		}
		names := strings.Split(at, "/")[1:]
		places = append(places, lawPlace{id.Hash()[2:], id.Bytes(), names, content})
	}
	slices.SortFunc(places, func(a, b lawPlace) int { return bytes.Compare(a.key, b.key) })
	shown := map[string]cid.Cid{}
	modelLayout(places, "root", "", shown)
	return shown
}

// modelLayout adds to shown the directories of one level, which is claimed at a path and shown
// under a prefix.
func modelLayout(places []lawPlace, at, prefix string, shown map[string]cid.Cid) {
	ends, below := map[string][]lawPlace{}, map[string][]lawPlace{}
	for _, p := range places {
		name := p.names[0]
		if len(p.names) == 1 {
			ends[name] = append(ends[name], p)
			continue
		}
		p.names = p.names[1:]
		below[name] = append(below[name], p)
	}
	taken := map[string]bool{}
	for _, names := range [][]string{slices.Collect(maps.Keys(ends)), slices.Collect(maps.Keys(below))} {
		for _, name := range names {
			taken[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		for i, p := range ends[name] {
			as := name
			if i > 0 {
				as = modelName(name, p.id, taken)
			}
			taken[as] = true
			for rest, c := range p.content {
				shown[prefix+as+"/"+rest] = c
			}
			if len(p.content) == 0 {
				shown[prefix+as+"/"] = emptyDirectory
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		as := name
		if len(ends[name]) > 0 {
			sum := sha256.Sum256([]byte(at + "/" + name))
			as = modelName(name, sum[:], taken)
		}
		taken[as] = true
		modelLayout(below[name], at+"/"+as, prefix+as+"/", shown)
	}
}

// modelName returns the conflict name of something; names are short here.
func modelName(name string, id []byte, taken map[string]bool) string {
	stem, ext := name, ""
	if i := strings.LastIndex(name, "."); i > 0 {
		stem, ext = name[:i], name[i:]
	}
	for n := 8; ; n++ {
		if as := stem + "~" + hex.EncodeToString(id)[:n] + ext; !taken[as] {
			return as
		}
	}
}
