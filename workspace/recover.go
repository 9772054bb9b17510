package workspace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

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
