//go:build linux

package mount

import (
	"sync"

	"archivecache/workspace"
)

// A Watcher hands the events of a workspace to the mount of it. Those from before there is one are
// of no interest.
type Watcher struct {
	mu   sync.Mutex
	into *events
}

// Tell is what the workspace tells its events to.
func (w *Watcher) Tell(e workspace.Event) {
	w.mu.Lock()
	into := w.into
	w.mu.Unlock()
	if into != nil {
		into.add(e)
	}
}

func (w *Watcher) start(into *events) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.into = into
}

// events tells the kernel what others have changed, one after the other and from a goroutine of its
// own: the kernel may wait for a request to be answered before it takes one.
type events struct {
	mu      sync.Mutex
	waiting []workspace.Event
	more    chan struct{}
	stopped bool
}

func newEvents() *events {
	e := &events{more: make(chan struct{}, 1)}
	go e.work()
	return e
}

func (e *events) add(event workspace.Event) {
	e.mu.Lock()
	e.waiting = append(e.waiting, event)
	e.mu.Unlock()
	e.signal()
}

func (e *events) signal() {
	select {
	case e.more <- struct{}{}:
	default:
	}
}

func (e *events) stop() {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.signal()
}

func (e *events) work() {
	for range e.more {
		e.mu.Lock()
		waiting, stopped := e.waiting, e.stopped
		e.waiting = nil
		e.mu.Unlock()
		if stopped {
			return
		}
		for _, event := range waiting {
			e.tell(event)
		}
	}
}

// tell tells the kernel of one event. What it does not know it need not forget, so errors are of no
// interest.
func (e *events) tell(event workspace.Event) {
	n, known := event.Node.Tag().(*node)
	switch {
	case !known:
	case event.Name != "":
		n.NotifyEntry(event.Name)
	default:
		n.NotifyContent(0, 0)
	}
}
