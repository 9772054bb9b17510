package workspace

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
	"archivecache/unixfs/osfs"
)

const (
	workspacesFolder = "workspaces"
	refusedFolder    = "refused"
	lockFile         = "lock"
)

func settingOf(id string) string { return "workspace/" + id }

func numberText(n uint64) string { return strconv.FormatUint(n, 10) }

// beginWriting makes the folder of the workspace, after it has committed what others have left.
func (ws *Workspace) beginWriting(ctx context.Context) error {
	above := filepath.Join(ws.Dir(), workspacesFolder)
	if err := os.MkdirAll(above, 0o700); err != nil {
		return fmt.Errorf("make a workspace: %w", err)
	}
	left, err := os.ReadDir(above)
	if err != nil {
		return fmt.Errorf("make a workspace: %w", err)
	}
	for _, e := range left {
		if validID(e.Name()) {
			if err := ws.takeOver(ctx, filepath.Join(above, e.Name()), e.Name()); err != nil {
				return err
			}
		}
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	ws.id = hex.EncodeToString(id[:])
	ws.folder = filepath.Join(above, ws.id)
	ws.locals = locals{folder: ws.folder}
	if err := os.Mkdir(ws.folder, 0o700); err != nil {
		return fmt.Errorf("make a workspace: %w", err)
	}
	if ws.lock, err = lockFolder(ws.folder); err == nil && ws.lock == nil {
		err = errors.New("somebody else has locked it")
	}
	if err != nil {
		return fmt.Errorf("make a workspace: %w", err)
	}
	return ws.nextJournal()
}

func validID(name string) bool {
	return len(name) == 16 && strings.Trim(name, "0123456789abcdef") == ""
}

// lockFolder locks the folder of a workspace; it returns none if a process that lives has it.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was taken away just now
	}
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// nextJournal begins another journal. ws.mu is held, or nobody else has ws yet.
func (ws *Workspace) nextJournal() error {
	number := uint64(1)
	if before := ws.journal.Load(); before != nil {
		number = before.number + 1
	}
	j, err := newJournal(ws.folder, number)
	if err != nil {
		return err
	}
	ws.locals.named.Store(true)
	ws.journals = append(ws.journals, j)
	ws.journal.Store(j)
	return nil
}

func (ws *Workspace) journalNumber() uint64 {
	if j := ws.journal.Load(); j != nil {
		return j.number
	}
	return 0
}

// forgetJournals removes journals that are committed.
func (ws *Workspace) forgetJournals(done []*journal) {
	ws.mu.Lock()
	ws.journals = slices.DeleteFunc(slices.Clone(ws.journals), func(j *journal) bool { return slices.Contains(done, j) })
	ws.mu.Unlock()
	for _, j := range done {
		j.close() // nobody reads it
		os.Remove(j.file.Name())
	}
}

// syncJournals makes all changes durable.
func (ws *Workspace) syncJournals() error {
	ws.mu.RLock()
	all := slices.Clone(ws.journals)
	ws.mu.RUnlock()
	for _, j := range all {
		if err := j.sync(); err != nil && !(errors.Is(err, fs.ErrClosed) && ws.isDone(j)) {
			return err
		}
	}
	return ws.locals.syncNames()
}

// isDone reports whether a journal is committed.
func (ws *Workspace) isDone(j *journal) bool {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	return j.number <= ws.done
}

// endWriting removes the folder, if all is committed, and lets others have it.
func (ws *Workspace) endWriting(committed bool) error {
	for _, j := range ws.journals {
		j.close() // what is in it was reported, or is committed
	}
	ws.locals.closeFree()
	var err error
	if committed {
		err = ws.remove(context.Background(), ws.folder, ws.id)
	}
	return errors.Join(err, ws.lock.Close())
}

// remove takes away the folder of a workspace of which all is committed.
func (ws *Workspace) remove(ctx context.Context, folder, id string) error {
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("remove a workspace: %w", err)
	}
	done, err := ws.repo.Setting(ctx, settingOf(id))
	if err != nil || done == "" {
		return err
	}
	err = ws.repo.Update(ctx, ws.opt.Command, func(_ context.Context, tx *repo.Tx) error {
		tx.SetSetting(settingOf(id), "")
		return nil
	})
	return errors.Join(err, ws.repo.EndWriting())
}

// takeOver commits what a workspace has left that nobody has open.
func (ws *Workspace) takeOver(ctx context.Context, folder, id string) error {
	lock, err := lockFolder(folder)
	if err != nil {
		return fmt.Errorf("open a workspace that was left: %w", err)
	}
	if lock == nil {
		return nil
	}
	defer lock.Close()
	journals, err := ws.leftJournals(ctx, folder, id)
	if err != nil {
		return err
	}
	unread := false
	ws.folder, ws.id = folder, id // for the local files
	ws.locals = locals{folder: folder, left: true}
	for _, name := range journals {
		rest, err := readJournal(filepath.Join(folder, name), func(all []statement) error { return ws.replayAll(ctx, all) })
		if err != nil {
			ws.log("what was left in %s: %v", filepath.Join(folder, name), err)
		}
		unread = unread || rest > 0
	}
	if err := ws.finishReplay(); err != nil {
		return err
	}
	if err := ws.commitLeft(ctx, journals); err != nil {
		return fmt.Errorf("commit what was left in %s: %w", folder, err)
	}
	if unread {
		if folder, err = ws.keepAside(folder, id); err != nil {
			return err
		}
	}
	return ws.remove(ctx, folder, id)
}

// keepAside keeps a copy of what a killed workspace has left, as a part of a journal could not be
// read: after a crash of the machine that is what was written last and not synced. It returns what can
// be removed.
func (ws *Workspace) keepAside(folder, id string) (string, error) {
	aside := filepath.Join(ws.Dir(), workspacesFolder, refusedFolder, id)
	err := os.MkdirAll(filepath.Dir(aside), 0o700)
	if err == nil {
		err = os.Rename(folder, aside)
	}
	if err != nil {
		return "", fmt.Errorf("keep what was left in %s: %w", folder, err)
	}
	ws.log("a part of what was written could not be read; it is kept in %s", aside)
	return folder, nil
}

// leftJournals returns the names of the journals in a folder that are not committed, in order.
func (ws *Workspace) leftJournals(ctx context.Context, folder, id string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("open a workspace that was left: %w", err)
	}
	text, err := ws.repo.Setting(ctx, settingOf(id))
	if err != nil {
		return nil, err
	}
	done, _ := strconv.ParseUint(text, 10, 64) // 0 if there is none
	var names []string
	for _, e := range entries {
		digits, is := strings.CutSuffix(e.Name(), journalSuffix)
		if number, err := strconv.ParseUint(digits, 10, 64); is && err == nil && number > done {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// commitLeft commits what was replayed, and forgets all nodes.
func (ws *Workspace) commitLeft(ctx context.Context, journals []string) error {
	if len(journals) == 0 {
		return nil
	}
	last, err := strconv.ParseUint(strings.TrimSuffix(journals[len(journals)-1], journalSuffix), 10, 64)
	if err != nil {
		return err
	}
	ws.journal.Store(&journal{number: last})
	if err := ws.nextJournal(); err != nil { // so that there is one to be done with
		return err
	}
	if err := ws.Commit(ctx); err != nil {
		return err
	}
	ws.log("committed what was written to a mount that ended early")
	for _, j := range ws.journals {
		j.close()
	}
	ws.journals = nil
	ws.journal.Store(nil)
	ws.locals.closeFree()
	ws.done = 0
	ws.forgetAll() // of what was replayed not everything is known
	return nil
}

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

// rescue keeps what the tree has refused, so that it is not lost.
func (ws *Workspace) rescue(ctx context.Context, r tree.Refusal) {
	if r.Change.Entry == nil {
		ws.log("%s: could not be removed: %v", r.Change.Path, r.Err)
		return
	}
	dst := filepath.Join(ws.Dir(), workspacesFolder, refusedFolder, time.Now().UTC().Format("20060102T150405.000000000Z"), r.Change.Path.Base())
	err := os.MkdirAll(filepath.Dir(dst), 0o700)
	if err == nil {
		err = osfs.Export(ctx, ws.blocks, r.Change.Entry.Cid, dst, osfs.ExportOptions{})
	}
	if err != nil {
		ws.log("%s: could not be committed: %v; and not be kept elsewhere: %v", r.Change.Path, r.Err, err)
		return
	}
	ws.log("%s: could not be committed: %v; what was written is in %s", r.Change.Path, r.Err, dst)
}
