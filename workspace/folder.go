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
	"strconv"
	"strings"
	"syscall"

	"archivecache/repo"
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
