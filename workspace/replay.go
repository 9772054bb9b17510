package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"archivecache/repo"
	"archivecache/tree/path"
	"archivecache/unixfs"
)

// replayAll does what statements say.
func (ws *Workspace) replayAll(ctx context.Context, all []statement) error {
	ws.moved = map[string]bool{}
	for i := range all {
		if len(all[i].From) > 0 {
			ws.moved[string(all[i].From)] = true
		}
	}
	for i := range all {
		if err := ws.replay(ctx, &all[i]); err != nil {
			return fmt.Errorf("%s of %q: %w", all[i].Op, all[i].Path, err)
		}
	}
	return nil
}

func (ws *Workspace) replay(ctx context.Context, s *statement) error {
	if s.Op == opChunks {
		return ws.replayChunks(s)
	}
	p, err := path.Parse(string(s.Path))
	if err != nil {
		return err
	}
	d, err := ws.dirAt(ctx, p.Parent().Names())
	if err != nil || d == nil {
		return err
	}
	kid, err := d.Lookup(ctx, p.Base())
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return err
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	switch {
	case s.Op == opRemove:
		if kid != nil {
			d.unbind(kid)
		}
		if ws.moved[string(s.Path)] && kid != nil { // its attributes go along
			ws.steps = ws.steps[:len(ws.steps)-1]
		}
		return nil
	case s.Op == opAttr && kid != nil:
		s.attributes(kid)
		kid.refresh()
		return nil
	case s.Op == opAttr:
		return nil
	}
	return ws.replayPut(d, p.Base(), kid, s)
}

// dirAt returns a directory; those that are not there are made. It returns none if something else
// stands in the way.
func (ws *Workspace) dirAt(ctx context.Context, names []string) (*Node, error) {
	n := ws.top
	for _, name := range names {
		kid, err := n.Lookup(ctx, name)
		switch {
		case errors.Is(err, syscall.ENOENT):
			if kid, err = ws.makeDir(n, name), nil; kid == nil {
				return nil, nil
			}
		case err != nil:
			return nil, err
		case kid.dir == nil:
			return nil, nil
		}
		if err := kid.read(ctx); err != nil {
			return nil, err
		}
		n = kid
	}
	return n, nil
}

func (ws *Workspace) makeDir(d *Node, name string) *Node {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if d.dir.local != nil {
		return nil
	}
	kid := ws.newNode(unixfs.Directory, d, name)
	kid.dir.listing = map[string]unixfs.Entry{}
	d.bind(kid, name)
	return kid
}

// replayPut puts a node where a statement says. ws.mu is held.
func (ws *Workspace) replayPut(d *Node, name string, before *Node, s *statement) error {
	if d.dir.local != nil {
		return fmt.Errorf("%w: %q is not below root", errStatement, s.Path)
	}
	sameFile := before != nil && before.file != nil && unixfs.Kind(s.Kind) == unixfs.File
	if before != nil && !sameFile {
		d.unbind(before)
	}
	n := ws.newNode(unixfs.Kind(s.Kind), d, name)
	s.attributes(n)
	n.target, n.entry = string(s.Target), s.base()
	if n.file != nil {
		if there, err := ws.replayFile(n.file, s); !there {
			return err
		}
	}
	d.bind(n, name)
	if from, err := path.Parse(string(s.From)); err == nil {
		at, old := d.path(), from
		ws.steps = append(ws.steps, func(tx *repo.Tx) { tx.MoveAttributes(old.Parent().String(), old.Base(), at, name) })
	}
	if s.Mode != 0 || s.Mtime != nil {
		n.refresh()
	}
	return nil
}

// replayFile gives f the local file that a statement names. If that is not there any more, a later
// statement says what became of it.
func (ws *Workspace) replayFile(f *file, s *statement) (there bool, err error) {
	f.executable = s.Mode != 0 && uint32(s.Mode-1)&0o111 != 0
	if s.Local == 0 {
		return s.Base != nil, nil
	}
	local, err := os.OpenFile(filepath.Join(ws.folder, numberText(s.Local)), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f.local, f.localID = local, s.Local
	f.baseChunks, f.have, f.dirty = int64(s.Chunks), map[int64]struct{}{}, map[int64]struct{}{}
	f.addChunks(s.Have)
	f.saved, f.savedChunks, f.loaded, f.changed = s.base(), f.baseChunks, true, true
	ws.replayed[s.Local] = f
	return true, nil
}

func (f *file) addChunks(pairs []uint64) {
	for k := 0; k+1 < len(pairs); k += 2 {
		for i := pairs[k]; i <= pairs[k+1]; i++ {
			f.have[int64(i)] = struct{}{}
		}
	}
}

// replayChunks notes what else of a file is in its local file, or what of its base is left.
func (ws *Workspace) replayChunks(s *statement) error {
	f := ws.replayed[s.Local]
	if f == nil {
		return nil // it is committed, and nothing else was changed
	}
	f.addChunks(s.Have)
	if s.Chunks > 0 {
		f.baseChunks = int64(s.Chunks - 1)
		f.savedChunks = min(f.savedChunks, f.baseChunks)
	}
	return nil
}

// finishReplay makes the files that were replayed as long as their local files are.
func (ws *Workspace) finishReplay() error {
	for _, f := range ws.replayed {
		if f.local == nil {
			continue // it was given up
		}
		info, err := f.local.Stat()
		if err != nil {
			return err
		}
		f.size = info.Size()
		err = eachData(f.local, f.size, func(from, to int64) {
			for i := from / unixfs.ChunkSize; i < chunksOf(to); i++ {
				if f.isLocal(i) {
					f.dirty[i] = struct{}{}
				}
			}
		})
		if err != nil {
			return err
		}
	}
	clear(ws.replayed)
	return nil
}
