package tree_test

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"archivecache/dagcbor"

	"github.com/ipfs/go-cid"
)

// modelShared returns what a shared directory shows, as list does.
func (s *schedule) modelShared(id cid.Cid, parts []lawPart) map[string]cid.Cid {
	m := &sharedModel{schedule: s, id: id, hidden: map[string]bool{}}
	shown := map[string]cid.Cid{}
	m.dir("", parts, shown)
	return shown
}

type sharedModel struct {
	*schedule
	id     cid.Cid
	hidden map[string]bool // ids of the versions that are hidden
	all    []lawVersion
}

// A lawVersion is a file, a symlink or an empty directory that somebody has at a path.
type lawVersion struct {
	id     []byte
	prefix string // of its path, up to the name
	entry  lawEntry
}

// dir adds to shown what the directory under prefix shows, and reports whether that is anything.
// The parts are what each author has of it.
func (m *sharedModel) dir(prefix string, parts []lawPart, shown map[string]cid.Cid) bool {
	real := map[string]bool{}
	for _, p := range parts {
		for _, e := range m.read(p.files) {
			real[e.name] = true
		}
	}
	any := false
	for name := range real {
		versions, marks, below := m.group(prefix, name, parts)
		isDir := m.dir(prefix+name+"/", below, shown)
		visible := m.visible(versions, marks, isDir)
		for i, v := range visible {
			as := name
			if i > 0 || isDir {
				as = modelName(name, v.id, real)
			}
			if v.entry.dir {
				as += "/"
			}
			shown[prefix+as] = v.entry.cid
		}
		any = any || isDir || len(visible) > 0
	}
	return any
}

// group returns what the authors have under one name.
func (m *sharedModel) group(prefix, name string, parts []lawPart) (versions []lawVersion, marks []lawMark, below []lawPart) {
	for _, p := range parts {
		record := m.readMarks(p.marks)[name]
		marks = append(marks, record.Hides...)
		sub := lawPart{author: p.author, marks: record.Below.Target()}
		for _, e := range m.read(p.files) {
			switch {
			case e.name != name:
			case e.dir && !e.cid.Equals(emptyDirectory):
				sub.files = e.cid
			default:
				v := lawVersion{m.versionID(p.author, prefix+name, e.cid, record.Nonce), prefix, e}
				versions = append(versions, v)
				m.all = append(m.all, v)
			}
		}
		below = append(below, sub)
	}
	slices.SortFunc(versions, func(a, b lawVersion) int { return bytes.Compare(a.id, b.id) })
	return versions, marks, below
}

// visible returns the versions that are shown, first the one that has the plain name.
func (m *sharedModel) visible(versions []lawVersion, marks []lawMark, isDir bool) []lawVersion {
	var dirs, files []lawVersion
	for _, v := range versions {
		for _, mark := range marks {
			if bytes.Equal(mark.Version, v.id) && (mark.By == nil || !hasWay(marks, v.id, mark.By)) {
				m.hidden[string(v.id)] = true
			}
		}
		same := func(w lawVersion) bool { return w.entry.cid.Equals(v.entry.cid) }
		switch {
		case m.hidden[string(v.id)] || slices.ContainsFunc(dirs, same) || slices.ContainsFunc(files, same):
		case v.entry.dir && !isDir:
			dirs = append(dirs, v)
		case !v.entry.dir:
			files = append(files, v)
		}
	}
	return append(dirs, files...)
}

// hasWay reports whether marks lead from one version to another.
func hasWay(marks []lawMark, from, to []byte) bool {
	reached := map[string]bool{string(from): true}
	for again := true; again; {
		again = false
		for _, m := range marks {
			if m.By == nil || !reached[string(m.By)] {
				continue
			}
			if bytes.Equal(m.Version, to) {
				return true
			}
			again = again || !reached[string(m.Version)]
			reached[string(m.Version)] = true
		}
	}
	return false
}

// versionID is the hash that the package comment of shared defines.
func (m *sharedModel) versionID(author cid.Cid, path string, content cid.Cid, nonce []byte) []byte {
	doc := map[string]any{"author": dagcbor.Link{Cid: author}, "directory": dagcbor.Link{Cid: m.id}, "path": []byte(path)}
	if nonce != nil {
		doc["nonce"] = nonce
	} else {
		doc["content"] = dagcbor.Link{Cid: content}
	}
	data, err := dagcbor.Marshal(doc)
	m.must(err)
	sum := sha256.Sum256(data)
	return sum[:]
}
