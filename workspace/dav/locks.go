package dav

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/webdav"
)

const (
	// maxLocks is how many locks there may be at a time.
	maxLocks = 1000
	// maxLock is how long a lock lasts at most, unless it is refreshed.
	maxLock = time.Hour
)

// locks are the locks of all clients. The library's know neither how many there are nor what stands
// below a path, and compare no ETags.
type locks struct {
	webdav.LockSystem
	mu   sync.Mutex
	live map[string]lock // by token
}

type lock struct {
	root    string
	shallow bool // not of what is below
	until   time.Time
}

func newLocks() *locks { return &locks{LockSystem: webdav.NewMemLS(), live: map[string]lock{}} }

// foreign reports whether something at a path, or with deep below it, is locked by others than those
// who have told the tokens.
func (l *locks) foreign(now time.Time, name string, deep bool, tokens map[string]bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, one := range l.live {
		if now.After(one.until) {
			delete(l.live, token)
			continue
		}
		concerns := one.root == name || !one.shallow && isBelow(name, one.root) || deep && isBelow(one.root, name)
		if concerns && !tokens[token] {
			return true
		}
	}
	return false
}

// add makes a lock that somebody has asked for.
func (l *locks) add(now time.Time, d webdav.LockDetails) (string, error) {
	l.foreign(now, "", false, nil) // forgets what has ended
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.live) >= maxLocks {
		return "", refuse(http.StatusServiceUnavailable, "too many locks")
	}
	token, err := l.Create(now, d)
	if err == nil {
		l.live[token] = lock{clean(d.Root), d.ZeroDepth, now.Add(d.Duration)}
	}
	return token, err
}

// drop ends the locks of what went away.
func (l *locks) drop(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, one := range l.live {
		if isBelow(one.root, name) && l.LockSystem.Unlock(time.Now(), token) == nil {
			delete(l.live, token)
		}
	}
}

// limitTimeout has a lock end some time: the library takes the first wish of a client.
func limitTimeout(h http.Header) {
	wish, _, _ := strings.Cut(h.Get("Timeout"), ",")
	seconds, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(wish), "Second-"), 10, 32)
	if most := uint64(maxLock / time.Second); err != nil || seconds > most {
		seconds = most
	}
	h.Set("Timeout", "Second-"+strconv.FormatUint(seconds, 10))
}

// A lockView is the locks as a request may use them.
type lockView struct{ request *request }

var _ webdav.LockSystem = lockView{}

// Create implements [webdav.LockSystem]: for LOCK, and for changes without a header If.
func (v lockView) Create(now time.Time, d webdav.LockDetails) (string, error) {
	q := v.request
	if q.method != "LOCK" {
		if q.locks.foreign(now, clean(d.Root), q.goesDeep(), nil) {
			return "", webdav.ErrLocked
		}
		return q.locks.Create(now, d)
	}
	token, err := q.locks.add(now, d)
	if err != nil && !errors.Is(err, webdav.ErrLocked) {
		q.fail(err)
	}
	return token, err
}

// goesDeep reports whether a request changes what stands below a path.
func (q *request) goesDeep() bool {
	return q.method == http.MethodDelete || q.method == "MOVE" || q.method == "COPY"
}

// Refresh implements [webdav.LockSystem].
func (v lockView) Refresh(now time.Time, token string, d time.Duration) (webdav.LockDetails, error) {
	l := v.request.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	details, err := l.LockSystem.Refresh(now, token, d)
	if err == nil {
		l.live[token] = lock{details.Root, details.ZeroDepth, now.Add(d)}
	}
	return details, err
}

// Unlock implements [webdav.LockSystem].
func (v lockView) Unlock(now time.Time, token string) error {
	l := v.request.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.LockSystem.Unlock(now, token)
	if err == nil {
		delete(l.live, token)
	}
	return err
}

// Confirm implements [webdav.LockSystem]: the conditions of one list of a header If are for the first
// name, and the tokens in all of the header open the locks of both.
func (v lockView) Confirm(now time.Time, name0, name1 string, conditions ...webdav.Condition) (func(), error) {
	q := v.request
	for _, c := range conditions {
		if v.holds(now, name0, c) == c.Not {
			return nil, webdav.ErrConfirmationFailed
		}
	}
	tokens := submitted(q.header.Get("If"))
	for _, name := range []string{name0, name1, q.changes(name1)} {
		if name != "" && q.locks.foreign(now, clean(name), q.goesDeep(), tokens) {
			q.fail(errLocked)
			return nil, webdav.ErrConfirmationFailed
		}
	}
	return v.claim(now, tokens, name0, name1), nil
}

// changes returns the path of the request if it changes: a list of a header If may be of another.
func (q *request) changes(name1 string) string {
	if q.method == "COPY" {
		return name1
	}
	return q.path
}

// holds reports whether a condition is met, whether or not it is negated.
func (v lockView) holds(now time.Time, name string, c webdav.Condition) bool {
	q := v.request
	if c.ETag != "" {
		n, err := q.at(context.Background(), name, true) // within the time that a block may take
		return err == nil && matches(c.ETag, etagOf(n))
	}
	q.locks.mu.Lock()
	defer q.locks.mu.Unlock()
	one, ok := q.locks.live[c.Token]
	name = clean(name)
	return ok && now.Before(one.until) && (one.root == name || !one.shallow && isBelow(name, one.root))
}

// claim keeps other requests from the names meanwhile, as far as locks do that: two of one client
// that use the same one at once may both go on.
func (v lockView) claim(now time.Time, tokens map[string]bool, name0, name1 string) func() {
	var conditions []webdav.Condition
	for token := range tokens {
		conditions = append(conditions, webdav.Condition{Token: token})
	}
	release, err := v.request.locks.Confirm(now, name0, name1, conditions...)
	if err != nil {
		return func() {}
	}
	return release
}

// submitted returns the state tokens in a header If, with all else that stands in angle brackets.
func submitted(header string) map[string]bool {
	tokens := map[string]bool{}
	for {
		_, rest, ok := strings.Cut(header, "<")
		token, rest, closed := strings.Cut(rest, ">")
		if !ok || !closed {
			return tokens
		}
		tokens[token], header = true, rest
	}
}
