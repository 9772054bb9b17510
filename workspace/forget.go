package workspace

import (
	"time"
)

// Hold tells that n has to stay as it is known until as many calls of Forget.
func (n *Node) Hold() { n.holds.Add(1) }

// Forget ends a Hold. When nobody holds n it is dropped a while later, unless somebody looks it up
// again.
func (n *Node) Forget() {
	n.used.Store(time.Now().Unix())
	n.holds.Add(-1)
}

// forgetAfter is how long a node stays that nobody holds, in seconds: much longer than it takes from a
// lookup to a Hold.
const forgetAfter = 30

// sweep drops the nodes that nobody holds.
func (ws *Workspace) sweep(now time.Time) {
	ws.mu.Lock()
	for _, n := range ws.numbers {
		if n.holds.Load() <= 0 && now.Unix()-n.used.Load() >= forgetAfter && n.parent != nil && n.idle() {
			n.drop()
		}
	}
	ws.mu.Unlock()
	ws.tellAll()
}

// drop forgets n. ws.mu is held.
func (n *Node) drop() {
	if n.parent.dir.kids[n.name] == n {
		delete(n.parent.dir.kids, n.name)
		n.keepAttributes()
		n.ws.tell(n.parent, n.name) // for caches that know it after all
	}
	if n.ws.numbers[n.ino] == n {
		delete(n.ws.numbers, n.ino)
	}
}

// keepAttributes notes the attributes of n for the next node in its place.
func (n *Node) keepAttributes() {
	if n.parent.dir.attributes == nil || n.mode == unset && !n.mtime.isSet() {
		return
	}
	a := n.attributes()
	n.parent.dir.attributes[n.name] = a
}

// idle reports whether n is as it is committed, and nothing depends on it. ws.mu is held.
func (n *Node) idle() bool {
	if n.gone {
		return n.file == nil || n.file.users == 0
	}
	if !n.placed || n.fresh || n.dir != nil && (len(n.dir.kids) > 0 || len(n.dir.changed) > 0 || n.dir.local != nil) {
		return false
	}
	if _, changed := n.parent.dir.changed[n.name]; changed || n.parent.dir.local != nil {
		return false
	}
	if n.file == nil {
		return true
	}
	n.file.mu.RLock()
	defer n.file.mu.RUnlock()
	return n.file.users == 0 && n.file.local == nil
}
