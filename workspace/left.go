package workspace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Left returns the folders of workspaces of the repository at dir that a killed process has left, with
// changes that are not committed yet. The next workspace that is opened for writing commits them.
func Left(dir string) ([]string, error) {
	above := filepath.Join(dir, workspacesFolder)
	entries, err := os.ReadDir(above)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var left []string
	for _, e := range entries {
		folder := filepath.Join(above, e.Name())
		if !validID(e.Name()) || !hasChanges(folder) {
			continue
		}
		lock, err := lockFolder(folder)
		if err != nil {
			return nil, err
		}
		if lock != nil {
			left = append(left, folder)
			lock.Close()
		}
	}
	return left, nil
}

// hasChanges reports whether a journal in the folder has something.
func hasChanges(folder string) bool {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), journalSuffix) && info.Size() > 0 {
			return true
		}
	}
	return false
}
