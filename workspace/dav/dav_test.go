package dav_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archivecache/identity"
	"archivecache/repo"
	"archivecache/store"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/tree/reference"
	"archivecache/unixfs"
	"archivecache/workspace"
	"archivecache/workspace/dav"

	"github.com/ipfs/go-cid"
)

const password = "open sesame"

// A site is a repository that is served, with the identities me and other, root/own of the one,
// root/theirs of the other with the file hello.txt, and the shared directory root/forum.
type site struct {
	*testing.T
	repo *repo.Repo
	url  string
	log  *logBuffer
}

// A logBuffer is what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newSite(t *testing.T, opt workspace.Options, change func(*dav.Options)) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	forum := reference.Founding{Policy: reference.SharedPolicy, Path: "root/forum"}
	r, err := repo.Initialize(t.Context(), dir, []reference.Founding{forum}, repo.Place{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	s := &site{T: t, repo: r, log: new(logBuffer)}
	for _, name := range []string{"me", "other"} {
		s.addIdentity("identities/" + name)
	}
	s.add("identities/me", "root/own/hello.txt", "hello")
	s.add("identities/other", "root/theirs/hello.txt", "hello")
	opt.Identity, opt.Command, opt.Timeout = "identities/me", "serve", 5*time.Second
	shown, err := repo.Open(dir) // the workspace has one of its own
	if err != nil {
		t.Fatal(err)
	}
	ws, err := workspace.Open(t.Context(), shown, opt)
	if err != nil {
		t.Fatal(err)
	}
	options := dav.Options{Password: password, Log: slog.New(slog.NewTextHandler(s.log, nil))}
	if change != nil {
		change(&options)
	}
	h, err := dav.NewHandler(ws, options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		if err := errors.Join(ws.Close(context.Background()), shown.Close()); err != nil {
			t.Error(err)
		}
	})
	s.url = server.URL
	return s
}

func (s *site) addIdentity(at string) {
	secret, err := identity.Generate()
	if err != nil {
		s.Fatal(err)
	}
	err = s.repo.Update(s.Context(), "new-identity", func(ctx context.Context, tx *repo.Tx) error {
		return tx.AddIdentity(ctx, path.MustParse(at), secret.Document())
	})
	if err != nil {
		s.Fatal(err)
	}
}

// add commits a file, as the command add does.
func (s *site) add(who, at, text string) {
	s.Helper()
	w := s.repo.Store().Writer()
	defer w.Close()
	added, err := unixfs.AddFile(s.Context(), w, strings.NewReader(text), unixfs.Attr{})
	if err = errors.Join(err, w.Commit(s.Context())); err != nil {
		s.Fatal(err)
	}
	s.put(who, at, unixfs.Entry{Cid: added.Cid, Tsize: added.Tsize})
}

func (s *site) put(who, at string, e unixfs.Entry) {
	s.Helper()
	s.update("add", func(ctx context.Context, tx *repo.Tx, root *tree.Root) error {
		author, err := s.repo.Author(ctx, tx.Tree, who)
		if err != nil {
			return err
		}
		return root.Put(ctx, author, path.MustParse(at), e, false)
	})
}

// update commits what fn does to the root.
func (s *site) update(command string, fn func(context.Context, *repo.Tx, *tree.Root) error) {
	s.Helper()
	err := s.repo.Update(s.Context(), command, func(ctx context.Context, tx *repo.Tx) error {
		root, err := tx.EditRoot(ctx)
		if err != nil {
			return err
		}
		return fn(ctx, tx, root)
	})
	if err != nil {
		s.Fatal(err)
	}
}

// committed returns a file as it stands in the head; "" if there is none.
func (s *site) committed(at string) string {
	s.Helper()
	t, err := s.repo.Tree(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	thing, err := t.Resolve(s.Context(), path.MustParse(at))
	if err != nil {
		return ""
	}
	var text strings.Builder
	if _, err := unixfs.Copy(s.Context(), s.repo.Store(), thing.Content.Cid, &text); err != nil {
		s.Fatal(err)
	}
	return text.String()
}

// within waits until something holds, for a second, and longer where the machine is slow.
func (s *site) within(what string, holds func() bool) {
	s.Helper()
	begun := time.Now()
	for !holds() {
		if time.Since(begun) > 10*time.Second {
			s.Fatalf("%s: not after %v", what, time.Since(begun))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(begun); took > time.Second {
		s.Logf("%s: it took %v", what, took)
	}
}

// An answer is a response with its body.
type answer struct {
	*http.Response
	body string
}

// request returns a request with the password, and headers as name and value in turn.
func (s *site) request(method, at, body string, headers ...string) *http.Request {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+at, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.SetBasicAuth("anybody", password)
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	return req
}

func (s *site) send(req *http.Request) answer {
	s.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return answer{resp, string(body)}
}

func (s *site) do(method, at, body string, headers ...string) answer {
	s.Helper()
	return s.send(s.request(method, at, body, headers...))
}

// want sends a request that has to be answered with a status.
func (s *site) want(status int, method, at, body string, headers ...string) answer {
	s.Helper()
	a := s.do(method, at, body, headers...)
	if a.StatusCode != status {
		s.Errorf("%s %s %q: %s, want %d: %.300s", method, at, headers, a.Status, status, a.body)
	}
	return a
}

// wantFile wants a file to have a content.
func (s *site) wantFile(at, text string) {
	s.Helper()
	if a := s.want(200, "GET", at, ""); a.body != text {
		s.Errorf("%s: %.100q, want %.100q", at, a.body, text)
	}
}

// names returns what a list of a directory names.
func (s *site) names(at string) []string {
	s.Helper()
	a := s.want(207, "PROPFIND", at, "", "Depth", "1")
	var names []string
	for _, part := range strings.Split(a.body, "<D:href>")[1:] {
		href, _, _ := strings.Cut(part, "</D:href>")
		if strings.TrimSuffix(href, "/") != strings.TrimSuffix(at, "/") {
			names = append(names, strings.TrimSuffix(href, "/")[len(strings.TrimSuffix(at, "/"))+1:])
		}
	}
	slices.Sort(names)
	return names
}

func (s *site) wantNames(at string, want ...string) {
	s.Helper()
	if got := s.names(at); !slices.Equal(got, want) {
		s.Errorf("%s has %q, want %q", at, got, want)
	}
}

func TestRead(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	s.wantNames("/", "identities", "root")
	s.wantNames("/root", "forum", "own", "theirs")
	got := s.want(200, "GET", "/root/own/hello.txt", "")
	if got.body != "hello" || got.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%q, %v", got.body, got.Header)
	}
	if csp := got.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox") || got.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("no sandbox: %v", got.Header)
	}
	if a := s.want(206, "GET", "/root/own/hello.txt", "", "Range", "bytes=1-2"); a.body != "el" {
		t.Errorf("range: %q", a.body)
	}
	s.want(304, "GET", "/root/own/hello.txt", "", "If-None-Match", got.Header.Get("Etag"))
	if a := s.want(200, "HEAD", "/root/own/hello.txt", ""); a.ContentLength != 5 || a.body != "" {
		t.Errorf("HEAD: %d bytes, %q", a.ContentLength, a.body)
	}
	s.want(404, "GET", "/root/own/none", "")
	s.want(404, "GET", "/root/own/hello.txt/x", "")
	s.want(405, "GET", "/root/own", "")
	s.want(405, "POST", "/root/own/hello.txt", "x")
	s.want(405, "TRACE", "/root/own/hello.txt", "")
	if a := s.want(200, "OPTIONS", "/root/own", ""); a.Header.Get("DAV") != "1, 2" {
		t.Errorf("OPTIONS: %v", a.Header)
	}
}

func TestPropfind(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	if a := s.want(207, "PROPFIND", "/root/own", "", "Depth", "0"); strings.Contains(a.body, "hello.txt") {
		t.Errorf("depth 0: %s", a.body)
	}
	a := s.want(207, "PROPFIND", "/root/own", "", "Depth", "1")
	for _, part := range []string{"/root/own/</D:href>", "/root/own/hello.txt</D:href>", "<D:getcontentlength>5<", "<D:getetag>", "<D:collection"} {
		if !strings.Contains(a.body, part) {
			t.Errorf("depth 1 lacks %s: %s", part, a.body)
		}
	}
	for _, depth := range []string{"infinity", "Infinity", ""} {
		if a := s.want(403, "PROPFIND", "/root", "", "Depth", depth); !strings.Contains(a.body, "propfind-finite-depth") {
			t.Errorf("depth %q: %s", depth, a.body)
		}
	}
	s.want(400, "PROPFIND", "/root", "", "Depth", "2")
	s.want(404, "PROPFIND", "/root/none", "", "Depth", "1")
	s.want(413, "PROPFIND", "/root", `<propfind xmlns="DAV:">`+strings.Repeat(" ", 200<<10)+"</propfind>", "Depth", "1")
	s.want(400, "PROPFIND", "/root", "<propfind", "Depth", "1")
}

// TestTogether changes the tree from both sides.
func TestTogether(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	s.wantNames("/root/own", "hello.txt")
	s.add("identities/me", "root/own/new.txt", "new")
	s.within("a file of a command is listed", func() bool { return slices.Contains(s.names("/root/own"), "new.txt") })
	s.wantFile("/root/own/new.txt", "new")
	s.want(201, "PUT", "/root/own/mine.txt", "mine")
	s.within("a file of a client is committed", func() bool { return s.committed("root/own/mine.txt") == "mine" })
	before := s.want(200, "HEAD", "/root/own/new.txt", "").Header.Get("Etag")
	s.add("identities/me", "root/own/new.txt", "old")
	s.within("a file of a command is seen", func() bool {
		return s.do("GET", "/root/own/new.txt", "", "If-None-Match", before).body == "old"
	})
}

func TestUnreadable(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	absent := func(codec uint64, text string) unixfs.Entry {
		return unixfs.Entry{Name: text, Cid: store.Sum(codec, []byte(text)), Tsize: 7}
	}
	w := s.repo.Store().Writer()
	defer w.Close()
	file, err := unixfs.AddFile(t.Context(), w, strings.NewReader("there"), unixfs.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := unixfs.Build(t.Context(), w, []unixfs.Entry{
		absent(cid.DagProtobuf, "gone & away"), absent(cid.Raw, "leaf"), {Name: "there", Cid: file.Cid, Tsize: file.Tsize},
	})
	if err = errors.Join(err, w.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.put("identities/me", "root/half", unixfs.Entry{Cid: dir.Cid, Tsize: dir.Tsize})
	s.within("it is there", func() bool { return slices.Contains(s.names("/root"), "half") })
	s.wantNames("/root/half", "gone%20&amp;%20away", "leaf", "there")
	if a := s.do("PROPFIND", "/root/half", "", "Depth", "1"); !strings.Contains(a.body, "away</D:href><D:status>HTTP/1.1 502 Bad Gateway</D:status></D:response></D:multistatus>") {
		t.Errorf("list: %s", a.body)
	}
	for _, at := range []string{"/root/half/gone%20&%20away", "/root/half/leaf"} {
		a := s.want(502, "GET", at, "")
		if strings.Contains(a.body, "bafk") || strings.Contains(a.body, "bafy") {
			t.Errorf("%s: %s", at, a.body)
		}
	}
	if !strings.Contains(s.log.String(), absent(cid.Raw, "leaf").Cid.String()) {
		t.Errorf("the log does not name the block: %s", s.log)
	}
	s.want(502, "COPY", "/root/half/leaf", "", "Destination", "/root/own/hello.txt")
	s.wantFile("/root/own/hello.txt", "hello")
}
