package workspace

import (
	"context"
	"time"
)

const (
	// pollEvery is how often the head is looked at.
	pollEvery = 100 * time.Millisecond
	// quietFor is how long nothing has to change before a commit begins, and quietAtMost how long
	// it waits for that.
	quietFor    = 50 * time.Millisecond
	quietAtMost = 500 * time.Millisecond
	// retryAfter is when a commit that failed is tried again.
	retryAfter = 2 * time.Second
	// sweepEvery is how often nodes that nobody holds are dropped.
	sweepEvery = 10 * time.Second
)

// work commits what is changed, until the workspace is closed.
func (ws *Workspace) work() {
	retry := time.NewTicker(retryAfter)
	defer retry.Stop()
	failed := false
	for {
		select {
		case <-ws.stop:
			return
		case <-retry.C:
			if failed {
				ws.kick()
			}
		case <-ws.wake:
			if ws.waitQuiet() {
				failed = !ws.tryCommit()
			}
			if failed {
				ws.pause()
			} else if ws.left() {
				time.AfterFunc(2*busyFor, ws.kick)
			}
		}
	}
}

// left reports whether something is not committed.
func (ws *Workspace) left() bool {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	for d := range ws.dirty {
		if len(d.dir.changed) > 0 {
			return true
		}
	}
	return len(ws.fresh) > 0
}

// watch follows the head, until the workspace is closed.
func (ws *Workspace) watch() {
	poll, sweep := time.NewTicker(pollEvery), time.NewTicker(sweepEvery)
	defer poll.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ws.stop:
			return
		case now := <-sweep.C:
			ws.sweep(now)
		case <-poll.C:
			ws.poll()
		}
	}
}

// waitQuiet waits until nothing has changed for a short while; it reports false if the workspace is
// closed meanwhile.
func (ws *Workspace) waitQuiet() bool {
	for begun := time.Now(); time.Since(begun) < quietAtMost; {
		ws.mu.RLock()
		quiet := time.Since(ws.lastWrite)
		ws.mu.RUnlock()
		if quiet >= quietFor {
			break
		}
		select {
		case <-ws.stop:
			return false
		case <-time.After(quietFor - quiet):
		}
	}
	return true
}

// pause keeps what is changed meanwhile from being committed at once.
func (ws *Workspace) pause() {
	select {
	case <-ws.stop:
	case <-time.After(quietAtMost):
	}
}

func (ws *Workspace) tryCommit() bool {
	ws.committing.Lock()
	defer ws.committing.Unlock()
	err := ws.commit(context.Background(), false)
	if err != nil {
		ws.log("not committed yet, and tried again: %v", err)
	}
	return err == nil
}

// poll follows the head if it has moved.
func (ws *Workspace) poll() {
	if ws.opt.At.Defined() {
		return
	}
	ctx := context.Background()
	head, err := ws.repo.Head(ctx)
	ws.mu.RLock()
	same := head == ws.head.Head
	ws.mu.RUnlock()
	if err == nil && same {
		return
	}
	if err == nil {
		err = ws.follow(ctx)
	}
	if err != nil {
		ws.sayOnce("cannot follow the repository: %v", err)
	}
}

// sayOnce logs what may come again and again, once as long as it stays the same.
func (ws *Workspace) sayOnce(format string, err error) {
	text := err.Error()
	if before := ws.said.Swap(&text); before == nil || *before != text {
		ws.log(format, err)
	}
}
