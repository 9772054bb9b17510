// Package dav serves a workspace by WebDAV (RFC 4918, classes 1 and 2), for machines that cannot
// mount it. Paths are those of the tree: /root/forum.
//
// # Writing
//
// PUT and COPY give a file its name once it is whole: if a client breaks off, or the process is
// killed, what stood there before stays, and nothing of the rest is left. What was answered is in the
// workspace, and committed a short while later. DELETE, and MOVE and COPY over something, look first
// whether all that would go may go. MOVE onto a directory sets it aside as .webdav-... meanwhile, so
// that a MOVE that fails loses nothing.
//
// # Symlinks
//
// WebDAV has none: a relative one that leads to something in the tree is shown as that, others are
// not shown. DELETE, MOVE and COPY of a directory take symlinks as they are, and what is written to
// the name of one takes its place.
//
// # Who may ask
//
// Whoever knows the password, which is compared in constant time; four wrong ones are looked at in a
// second. Browsers send passwords that they know with every request, so one that another site has
// made them send is refused, and so is a header Host with a name that is not expected (DNS
// rebinding). Answers come in the sandbox that the pages of the gateway have.
//
// # Bounds
//
// Bodies other than those of PUT have 128 KiB, those of LOCK 8 KiB, lists go one level deep
// (propfind-finite-depth), and there are 1000 locks, of an hour at most unless they are refreshed.
// Locks are in memory.
//
// # Properties
//
// Only Win32LastModifiedTime can be set, and stays. Others are refused one by one, although all of a
// PROPPATCH should be: Windows sends it together with some that mean nothing here.
package dav

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"archivecache/internal/web"
	"archivecache/workspace"

	"golang.org/x/net/webdav"
)

// Options of a handler.
type Options struct {
	User       string // who may ask; "" is any name
	Password   string // with which; it may only be empty with NoPassword
	NoPassword bool   // whoever can reach the listener may ask
	AnyHost    bool   // the header Host may be any name, else only localhost, an IP address, or one of Hosts
	Hosts      []string
	Log        *slog.Logger // gets a line for each request, and what could not be read; nil logs nothing
}

// ErrNoPassword is an option that lacks.
var ErrNoPassword = errors.New("webdav: no password")

// A handler serves a workspace.
type handler struct {
	ws      *workspace.Workspace
	opt     Options
	log     *slog.Logger
	guard   *guard // nil without a password
	locks   *locks
	holds   holds
	placing sync.Mutex // held from a condition to the change that depends on it
}

// NewHandler returns the handler that serves ws, to be used with [web.Serve] without a time limit.
func NewHandler(ws *workspace.Workspace, opt Options) (http.Handler, error) {
	h := &handler{ws: ws, opt: opt, log: opt.Log, locks: newLocks(), holds: holds{count: map[*workspace.Node]int{}}}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	switch {
	case opt.Password != "":
		h.guard = newGuard(opt.User, opt.Password)
	case !opt.NoPassword:
		return nil, ErrNoPassword
	}
	return web.Logged(web.Bodies(h), opt.Log), nil
}

const realm = `Basic realm="ArchiveCache", charset="UTF-8"`

// ServeHTTP lets in whoever may ask.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	web.Secure(w.Header())
	w.Header().Set("Cache-Control", "private, no-cache")
	switch {
	case !h.mayBeCalled(r.Host):
		http.Error(w, "not the name of this server", http.StatusMisdirectedRequest)
	case !web.IsOwn(r):
		http.Error(w, "not for other sites", http.StatusForbidden)
	case h.guard == nil:
		h.serve(w, r)
	default:
		switch h.guard.check(r) {
		case right:
			h.serve(w, r)
		case busy:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many wrong passwords", http.StatusTooManyRequests)
		default:
			w.Header().Set("WWW-Authenticate", realm)
			http.Error(w, "user name and password, please", http.StatusUnauthorized)
		}
	}
}

func (h *handler) mayBeCalled(host string) bool {
	return h.opt.AnyHost || web.IsLocalHost(host) ||
		slices.ContainsFunc(h.opt.Hosts, func(name string) bool { return strings.EqualFold(name, web.HostName(host)) })
}

// serve has the library answer, with the tree and the locks as this request may use them.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	q := &request{handler: h, method: r.Method, header: r.Header, path: clean(r.URL.Path)}
	defer q.release()
	out := &response{ResponseWriter: w, request: q, method: r.Method}
	defer out.finish()
	if err := q.prepare(r); err != nil {
		q.fail(err)
		out.WriteHeader(http.StatusInternalServerError)
		return
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		w.Header().Set("Content-Type", contentType(q.path))
	}
	library := &webdav.Handler{FileSystem: q, LockSystem: lockView{q}}
	library.ServeHTTP(out, r)
	if out.done() && (r.Method == http.MethodDelete || r.Method == "MOVE") {
		h.locks.drop(q.path)
	}
}

// prepare refuses what the library would get wrong, and what has no bound.
func (q *request) prepare(r *http.Request) error {
	q.limitBody(r)
	if err := q.checkMethod(r); err != nil {
		return err
	}
	q.placing.Lock()
	defer q.placing.Unlock()
	return q.checkConditions(r.Context())
}

func (q *request) checkMethod(r *http.Request) error {
	switch r.Method {
	case "OPTIONS", "GET", "HEAD", "DELETE", "MKCOL", "PROPPATCH", "UNLOCK":
		return nil
	case "PROPFIND":
		if depth := r.Header.Get("Depth"); depth == "" || strings.EqualFold(depth, "infinity") {
			return errInfinite
		}
		return nil
	case "PUT":
		if r.Header.Get("Content-Range") != "" {
			return refuse(http.StatusBadRequest, "a part of a file cannot be put")
		}
		return nil
	case "LOCK":
		limitTimeout(r.Header)
		return q.checkLockable(r.Context())
	case "COPY", "MOVE":
		return q.checkDestination(r)
	}
	return refuse(http.StatusMethodNotAllowed, "no such method")
}

// checkLockable refuses to lock what may not be changed, so that programs know before somebody has
// worked on it.
func (q *request) checkLockable(ctx context.Context) error {
	n, err := q.at(ctx, q.path, true)
	if err == nil && n.Attr().Mode&0o222 == 0 {
		return refuse(http.StatusForbidden, "it may not be changed")
	}
	return nil
}
