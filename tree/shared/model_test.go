package shared

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"archivecache/dagcbor"
	"archivecache/store"
	"archivecache/unixfs"

	"github.com/ipfs/go-cid"
)

// tb is what the helpers need of *testing.T and *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// A world is a shared directory in memory, with contents to fill it.
type world struct {
	tb
	blocks *store.Overlay
	id     cid.Cid
	nonces uint64
	// conflicts are the entries that the last call of model gave conflict names.
	conflicts map[string]cid.Cid
}

func newWorld(t tb) *world {
	return &world{tb: t, blocks: store.NewOverlay(store.NewMemory()), id: store.Sum(cid.DagCBOR, []byte("directory"))}
}

func author(i int) cid.Cid { return store.Sum(cid.DagCBOR, fmt.Append(nil, "author ", i)) }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v", err)
	}
}

// file returns an entry without a name for a file of that content.
func (w *world) file(content string) unixfs.Entry {
	b := store.NewBlock(cid.Raw, []byte(content))
	w.must(w.blocks.Put(context.Background(), b))
	return unixfs.Entry{Cid: b.Cid, Tsize: uint64(len(b.Data))}
}

// tree returns a directory with files; the keys are paths. A path that ends in a slash is an
// empty directory.
func (w *world) tree(files map[string]string) unixfs.Entry {
	ctx := context.Background()
	below := map[string]map[string]string{}
	var entries []unixfs.Entry
	for p, content := range files {
		first, rest, deep := strings.Cut(p, "/")
		if !deep {
			e := w.file(content)
			e.Name = first
			entries = append(entries, e)
			continue
		}
		if below[first] == nil {
			below[first] = map[string]string{}
		}
		if rest != "" {
			below[first][rest] = content
		}
	}
	for name, sub := range below {
		e := w.tree(sub)
		e.Name = name
		entries = append(entries, e)
	}
	e, err := unixfs.Build(ctx, w.blocks, entries)
	w.must(err)
	return e
}

func (w *world) editor(d Directory, view cid.Cid, by cid.Cid) *Editor {
	e := NewEditor(w.blocks, d, view, by)
	e.nonce = func() []byte {
		w.nonces++
		return binary.BigEndian.AppendUint64(make([]byte, 8, nonceSize), w.nonces)
	}
	return e
}

// view returns the view from nothing.
func (w *world) view(d Directory) cid.Cid {
	w.Helper()
	c, err := View(context.Background(), w.blocks, Directory{}, cid.Undef, d)
	w.must(err)
	return c
}

// list returns the files, symlinks and empty directories below dir; the paths of the latter end
// in a slash.
func (w *world) list(dir cid.Cid) map[string]cid.Cid {
	found := map[string]cid.Cid{}
	if dir.Defined() {
		w.walk(dir, "", found)
	}
	return found
}

func (w *world) walk(dir cid.Cid, prefix string, found map[string]cid.Cid) {
	ctx := context.Background()
	d, err := unixfs.OpenDir(ctx, w.blocks, dir)
	w.must(err)
	w.must(d.Each(ctx, func(e unixfs.Entry) error {
		kind, err := newReader(w.blocks).kind(ctx, e.Cid)
		switch {
		case err != nil || kind != unixfs.Directory:
			found[prefix+e.Name] = e.Cid
		case e.Cid.Equals(emptyCid):
			found[prefix+e.Name+"/"] = e.Cid
		default:
			w.walk(e.Cid, prefix+e.Name+"/", found)
		}
		return err
	}))
}

// A plainLayer is a layer without any trees: all of it by path.
type plainLayer struct {
	author cid.Cid
	files  map[string]cid.Cid // as world.list returns them
	marks  map[string]record
}

func (w *world) plain(l Layer) plainLayer {
	p := plainLayer{author: l.Author, files: w.list(l.Files), marks: map[string]record{}}
	w.walkMarks(l.Marks, "", p.marks)
	return p
}

func (w *world) walkMarks(tree cid.Cid, prefix string, found map[string]record) {
	if !tree.Defined() {
		return
	}
	w.must(openMarks(w.blocks, tree).m.Each(context.Background(), func(name []byte, data dagcbor.Raw) error {
		r, err := decodeRecord(data)
		found[prefix+string(name)] = r
		w.walkMarks(r.Below.Target(), prefix+string(name)+"/", found)
		return err
	}))
}

// model returns what the directory shows, as list would, by the rules alone: sets of versions and
// of marks for each path, and no trees, shortcuts or differences.
func (w *world) model(d Directory) map[string]cid.Cid {
	var layers []plainLayer
	for _, l := range d.Layers {
		layers = append(layers, w.plain(l))
	}
	shown := map[string]cid.Cid{}
	w.conflicts = map[string]cid.Cid{}
	w.modelDir(d.ID, layers, "", shown)
	return shown
}

// modelDir adds to shown what is below prefix, and reports whether that was anything.
func (w *world) modelDir(id cid.Cid, layers []plainLayer, prefix string, shown map[string]cid.Cid) bool {
	names, real := map[string]bool{}, map[string]bool{}
	for _, l := range layers {
		for p := range l.files {
			if rest, ok := strings.CutPrefix(p, prefix); ok && rest != "" {
				name, _, _ := strings.Cut(rest, "/")
				names[name], real[name] = true, true
			}
		}
	}
	any := false
	for name := range names {
		isDir := w.modelDir(id, layers, prefix+name+"/", shown)
		vs := w.modelVersions(id, layers, prefix+name)
		if isDir {
			vs = slices.DeleteFunc(vs, func(v version) bool { return v.kind == unixfs.Directory })
		}
		for i, v := range vs {
			as := name
			if i > 0 || isDir {
				as = modelName(name, v.id.String(), real)
				w.conflicts[prefix+as] = v.entry.Cid
			}
			if v.kind == unixfs.Directory {
				as += "/"
			}
			shown[prefix+as] = v.entry.Cid
		}
		any = any || isDir || len(vs) > 0
	}
	return any
}

// modelName is for names that are short, with a short extension or none.
func modelName(name, digits string, real map[string]bool) string {
	stem, ext := name, ""
	if i := strings.LastIndex(name, "."); i > 0 {
		stem, ext = name[:i], name[i:]
	}
	for n := 8; ; n++ {
		if as := stem + "~" + digits[:n] + ext; !real[as] {
			return as
		}
	}
}

// modelVersions returns the versions at path that are shown, in the order in which they get names.
func (w *world) modelVersions(id cid.Cid, layers []plainLayer, path string) []version {
	var all []version
	way := map[[2]string]bool{} // from, to: there is a way over marks
	var marks []Mark
	nodes := map[string]bool{}
	for _, l := range layers {
		for p, kind := range map[string]unixfs.Kind{path: unixfs.File, path + "/": unixfs.Directory} {
			if c, ok := l.files[p]; ok {
				v, err := versionID(l.author, id, path, c, l.marks[path].Nonce)
				w.must(err)
				all = append(all, version{id: v, entry: unixfs.Entry{Cid: c}, kind: kind})
			}
		}
		for _, m := range l.marks[path].Hides {
			marks = append(marks, m)
			nodes[string(m.By)], nodes[string(m.Version)] = true, true
			way[[2]string{string(m.By), string(m.Version)}] = true
		}
	}
	for b := range nodes {
		for a := range nodes {
			for c := range nodes {
				if way[[2]string{a, b}] && way[[2]string{b, c}] {
					way[[2]string{a, c}] = true
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b version) int { return bytes.Compare(a.id, b.id) })
	var shown, dirs []version
	for _, v := range all {
		hidden := slices.ContainsFunc(marks, func(m Mark) bool {
			return bytes.Equal(m.Version, v.id) && (m.By == nil || !way[[2]string{string(v.id), string(m.By)}])
		})
		same := func(s version) bool { return s.entry.Cid.Equals(v.entry.Cid) }
		switch {
		case hidden || slices.ContainsFunc(append(dirs, shown...), same):
		case v.kind == unixfs.Directory:
			dirs = append(dirs, v)
		default:
			shown = append(shown, v)
		}
	}
	return append(dirs, shown...)
}
