package workspace

import (
	"errors"
	"io/fs"
	"os"
	"slices"
)

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
