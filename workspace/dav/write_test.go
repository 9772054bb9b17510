package dav_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archivecache/repo"
	"archivecache/tree"
	"archivecache/tree/path"
	"archivecache/unixfs"
	"archivecache/workspace"
)

func TestPut(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	made := s.want(201, "PUT", "/root/own/a%20b.txt", "one")
	s.wantFile("/root/own/a%20b.txt", "one")
	if etag := s.want(200, "HEAD", "/root/own/a%20b.txt", "").Header.Get("Etag"); etag == "" || etag != made.Header.Get("Etag") {
		t.Errorf("ETag %q, and PUT said %q", etag, made.Header.Get("Etag"))
	}
	s.want(204, "PUT", "/root/own/a%20b.txt", "two, longer")
	s.wantFile("/root/own/a%20b.txt", "two, longer")
	s.want(204, "PUT", "/root/own/a%20b.txt", "")
	s.wantFile("/root/own/a%20b.txt", "")
	s.want(201, "PUT", "/root/forum/note.txt", "mine")
	s.within("committed", func() bool { return s.committed("root/forum/note.txt") == "mine" })
	large := strings.Repeat("0123456789abcdef", 200_000)
	s.want(201, "PUT", "/root/own/large", large)
	s.wantFile("/root/own/large", large)
	if a := s.want(206, "GET", "/root/own/large", "", "Range", "bytes=3000000-3000003"); a.body != "0123" {
		t.Errorf("range: %q", a.body)
	}
	s.want(400, "PUT", "/root/own/large", "x", "Content-Range", "bytes 0-0/5")
	s.within("committed", func() bool { return s.committed("root/own/large") == large })
	s.wantFile("/root/own/large", large)
}

func TestConditions(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	const at = "/root/own/hello.txt"
	etag := s.want(200, "HEAD", at, "").Header.Get("Etag")
	s.want(412, "PUT", at, "x", "If-None-Match", "*")
	s.want(412, "PUT", at, "x", "If-Match", `"other"`)
	s.want(412, "DELETE", at, "", "If-Match", `"other"`)
	s.want(412, "PUT", "/root/own/none", "x", "If-Match", "*")
	s.want(412, "PUT", at, "x", "If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")
	s.wantFile(at, "hello")
	next := s.want(204, "PUT", at, "world", "If-Match", `"other", `+etag).Header.Get("Etag")
	s.within("committed", func() bool { return s.committed("root/own/hello.txt") == "world" })
	s.want(412, "PUT", at, "x", "If-Match", etag)
	s.want(204, "PUT", at, "again", "If-Match", next)
	s.want(201, "PUT", "/root/own/fresh", "x", "If-None-Match", "*")
}

func TestDirectories(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	s.want(201, "MKCOL", "/root/own/d", "")
	s.want(405, "MKCOL", "/root/own/d", "")
	s.want(405, "MKCOL", "/root/own/hello.txt", "")
	s.want(409, "MKCOL", "/root/own/none/d", "")
	s.want(415, "MKCOL", "/root/own/e", "<x/>")
	s.want(409, "PUT", "/root/own/none/f", "x")
	s.want(409, "PUT", "/root/own/hello.txt/f", "x")
	s.want(405, "PUT", "/root/own/d", "x")
	s.want(201, "PUT", "/root/own/d/f", "f")
	s.want(204, "DELETE", "/root/own/d", "")
	s.want(404, "DELETE", "/root/own/d", "")
	s.wantNames("/root/own", "hello.txt")
	s.want(201, "MKCOL", "/root/founded", "")
	s.want(201, "PUT", "/root/founded/f", "f")
	s.within("committed", func() bool { return s.committed("root/founded/f") == "f" })
	s.want(204, "DELETE", "/root/founded", "")
	s.within("removed", func() bool { return s.committed("root/founded/f") == "" })
}

func TestMoveAndCopy(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	to := func(at string) []string { return []string{"Destination", s.url + at} }
	s.want(201, "MKCOL", "/root/own/d", "")
	s.want(201, "PUT", "/root/own/d/f", "f")
	s.want(201, "MOVE", "/root/own/d/f", "", to("/root/own/d/g")...)
	s.want(201, "COPY", "/root/own/d", "", to("/root/own/e")...)
	s.wantFile("/root/own/e/g", "f")
	s.want(201, "COPY", "/root/own/d", "", append(to("/root/own/bare"), "Depth", "0")...)
	s.wantNames("/root/own/bare")
	s.want(412, "MOVE", "/root/own/hello.txt", "", append(to("/root/own/e/g"), "Overwrite", "F")...)
	s.want(412, "COPY", "/root/own/hello.txt", "", append(to("/root/own/e/g"), "Overwrite", "F")...)
	s.want(204, "COPY", "/root/own/hello.txt", "", to("/root/own/e/g")...)
	s.wantFile("/root/own/e/g", "hello")
	s.want(204, "MOVE", "/root/own/e/g", "", to("/root/own/d/g")...) // without Overwrite it is T
	s.wantFile("/root/own/d/g", "hello")
	s.want(204, "MOVE", "/root/own/d", "", to("/root/own/bare")...)
	s.wantNames("/root/own/bare", "g")
	s.want(204, "MOVE", "/root/own/bare", "", to("/root/own/hello.txt")...) // a directory over a file
	s.wantNames("/root/own/hello.txt", "g")
	s.want(204, "COPY", "/root/own/hello.txt/g", "", to("/root/own/e")...) // a file over a directory
	s.wantFile("/root/own/e", "hello")
	s.want(404, "MOVE", "/root/own/none", "", to("/root/own/x")...)
	s.want(404, "COPY", "/root/own/none", "", to("/root/own/x")...)
	s.want(409, "MOVE", "/root/own/e", "", to("/root/own/none/x")...)
	s.want(409, "COPY", "/root/own/e", "", to("/root/own/none/x")...)
	s.want(502, "MOVE", "/root/own/e", "", "Destination", "http://elsewhere.example/root/own/x")
	s.want(400, "MOVE", "/root/own/e", "")
	s.wantNames("/root/own", "e", "hello.txt")
}

// TestNothingLost sends what the library would do wrong: it makes room at the destination first.
func TestNothingLost(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	s.want(201, "MKCOL", "/root/own/d", "")
	s.want(201, "MKCOL", "/root/own/d/sub", "")
	s.want(201, "PUT", "/root/own/d/sub/f", "f")
	for _, c := range []struct {
		status       int
		method, from string
		to           string
	}{
		{404, "MOVE", "/root/own/none", "/root/own/d"},
		{403, "MOVE", "/root/theirs/hello.txt", "/root/own/d"},
		{403, "MOVE", "/root/theirs", "/root/own/d"},
		{403, "MOVE", "/root/own/d/sub", "/root/own/d"},
		{403, "COPY", "/root/own/d/sub", "/root/own/d"},
		{403, "COPY", "/root/own/d", "/root/own/d/sub/again"},
		{403, "COPY", "/root/own/d", "/root/own/d/"},
		{403, "MOVE", "/root/own/d", "/root/own/x/../d"},
		{403, "MOVE", "/root/own/d", "/root/theirs"},
		{403, "COPY", "/root/own/d", "/root/theirs"},
		{403, "COPY", "/root/own/d/sub/f", "/root/theirs/hello.txt"},
		{403, "MOVE", "/root/own/d", "/root/forum"},
		{403, "MOVE", "/root/own/d", "/"},
		{403, "MOVE", "/root", "/root/own/x"},
	} {
		s.want(c.status, c.method, c.from, "", "Destination", c.to, "Overwrite", "T")
	}
	s.wantFile("/root/own/d/sub/f", "f")
	s.wantFile("/root/theirs/hello.txt", "hello")
	s.wantNames("/root", "forum", "own", "theirs")
	s.wantNames("/root/own", "d", "hello.txt")
}

func TestForbidden(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	before, err := s.repo.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.want(403, "PUT", "/root/theirs/hello.txt", "x")
	s.want(403, "PUT", "/root/theirs/new.txt", "x")
	s.want(403, "MKCOL", "/root/theirs/d", "")
	s.want(403, "DELETE", "/root/theirs/hello.txt", "")
	s.want(403, "DELETE", "/root/theirs", "")
	s.want(403, "DELETE", "/root/forum", "")
	s.want(403, "DELETE", "/root", "")
	s.want(403, "DELETE", "/", "")
	s.want(403, "PUT", "/root/loose.txt", "x") // only directories stand there
	s.want(403, "PUT", "/identities/me", "x")
	s.want(403, "MKCOL", "/new", "")
	s.want(403, "LOCK", "/root/theirs/hello.txt", lockBody)
	s.want(403, "LOCK", "/root/theirs/new.txt", lockBody)
	for status, names := range map[int][]string{
		414: {strings.Repeat("x", 256), strings.Repeat("d/", 600) + "f"},
		400: {"zero%00"},
	} {
		for _, name := range names {
			if a := s.do("PUT", "/root/own/"+name, "x"); a.StatusCode != status && a.StatusCode != 409 {
				t.Errorf("PUT %.50q: %s", name, a.Status)
			}
		}
	}
	s.want(400, "MKCOL", "/root/bell%07", "")
	s.want(201, "PUT", "/root/own/../own/%2e%2e/own/up.txt", "x")
	s.want(204, "DELETE", "/root/own/up.txt", "")
	s.wantFile("/root/theirs/hello.txt", "hello")
	time.Sleep(300 * time.Millisecond)
	if after, err := s.repo.Head(t.Context()); err != nil || after.Cid != before.Cid {
		t.Errorf("the tree has changed: %v, %v", after, err)
	}
}

// TestOthersInside moves and removes a plain directory in which somebody else has one.
func TestOthersInside(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	for _, who := range []string{"other", "me"} {
		s.add("identities/"+who, "root/"+who+"/f", who)
		s.update("move", func(ctx context.Context, tx *repo.Tx, root *tree.Root) error {
			author, err := s.repo.Author(ctx, tx.Tree, "identities/"+who)
			if err != nil {
				return err
			}
			return root.Move(ctx, author, path.MustParse("root/"+who), path.MustParse("root/people/"+who))
		})
	}
	s.within("it is there", func() bool { return slices.Contains(s.names("/root"), "people") })
	s.want(403, "MOVE", "/root/people", "", "Destination", "/root/folk")
	s.want(403, "DELETE", "/root/people", "")
	s.want(403, "MOVE", "/root/own", "", "Destination", "/root/people")
	s.wantNames("/root/people", "me", "other")
	s.want(201, "MOVE", "/root/people/me", "", "Destination", "/root/folk")
	s.within("moved", func() bool { return s.committed("root/folk/f") == "me" && s.committed("root/people/me/f") == "" })
	if got := s.committed("root/people/other/f"); got != "other" {
		t.Errorf("another's: %q", got)
	}
}

func TestReadOnly(t *testing.T) {
	s := newSite(t, workspace.Options{ReadOnly: true}, nil)
	s.wantFile("/root/own/hello.txt", "hello")
	s.want(403, "PUT", "/root/own/hello.txt", "x")
	s.want(403, "DELETE", "/root/own/hello.txt", "")
	s.want(403, "MKCOL", "/root/own/d", "")
	s.want(403, "LOCK", "/root/own/hello.txt", lockBody)
	s.want(403, "MOVE", "/root/own/hello.txt", "", "Destination", "/root/own/x")
}

// TestBrokenUpload hangs up in the middle of a file: the one of before stays.
func TestBrokenUpload(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	for _, at := range []string{"/root/own/hello.txt", "/root/own/new.txt"} {
		for _, length := range []int64{1 << 20, -1} {
			reader, writer := io.Pipe()
			req := s.request("PUT", at, "")
			req.Body, req.ContentLength = reader, length
			go func() {
				io.WriteString(writer, strings.Repeat("broken", 10_000))
				writer.CloseWithError(errors.New("gone"))
			}()
			if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
				resp.Body.Close()
				t.Errorf("%s: %s", at, resp.Status)
			}
		}
	}
	time.Sleep(200 * time.Millisecond)
	s.wantFile("/root/own/hello.txt", "hello")
	s.wantNames("/root/own", "hello.txt")
}

// TestUploadInTheMiddle looks at a file while it is being put.
func TestUploadInTheMiddle(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	reader, writer := io.Pipe()
	req := s.request("PUT", "/root/own/hello.txt", "")
	req.Body, req.ContentLength = reader, -1
	done := make(chan answer)
	go func() { done <- s.send(req) }()
	io.WriteString(writer, "new ")
	time.Sleep(300 * time.Millisecond)
	s.wantFile("/root/own/hello.txt", "hello")
	s.wantNames("/root/own", "hello.txt")
	if got := s.committed("root/own/hello.txt"); got != "hello" {
		t.Errorf("committed: %q", got)
	}
	io.WriteString(writer, "content")
	writer.Close()
	if a := <-done; a.StatusCode != 204 {
		t.Errorf("PUT: %s", a.Status)
	}
	s.wantFile("/root/own/hello.txt", "new content")
}

// TestTwoClients has two clients write the same files, and each its own.
func TestTwoClients(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	s.do("PUT", "/root/own/shared", "a") // a client whose PUT meets the lock of the other's may look first
	var wg sync.WaitGroup
	for _, who := range []string{"a", "b"} {
		wg.Go(func() {
			for i := range 40 {
				text := strings.Repeat(who, 1000+i)
				if a := s.do("PUT", "/root/own/shared", text); a.StatusCode/100 != 2 && a.StatusCode != 423 {
					t.Errorf("shared: %s", a.Status)
				}
				if a := s.do("PUT", "/root/own/"+who, text); a.StatusCode/100 != 2 {
					t.Errorf("%s: %s", who, a.Status)
				}
				body := s.do("GET", "/root/own/shared", "").body
				if body != strings.Repeat("a", len(body)) && body != strings.Repeat("b", len(body)) {
					t.Errorf("shared is mixed: %.100q", body)
				}
			}
		})
	}
	wg.Wait()
	s.wantFile("/root/own/a", strings.Repeat("a", 1039))
	s.within("committed", func() bool { return s.committed("root/own/b") == strings.Repeat("b", 1039) })
}

func TestSymlinks(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	w := s.repo.Store().Writer()
	defer w.Close()
	file, err := unixfs.AddFile(t.Context(), w, strings.NewReader("real"), unixfs.Attr{})
	entries := []unixfs.Entry{{Name: "file", Cid: file.Cid, Tsize: file.Tsize}}
	for name, target := range map[string]string{
		"link": "file", "twice": "link", "up": "../own/hello.txt", "here": ".", "sub": "../own", "top": "../../root/own",
		"absolute": "/etc/passwd", "outside": "../../../../etc/passwd", "dangling": "none", "loop": "loop", "through": "file/x",
	} {
		e, err := unixfs.AddSymlink(t.Context(), w, target, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		e.Name = name
		entries = append(entries, e)
	}
	dir, errBuild := unixfs.Build(t.Context(), w, entries)
	if err := errors.Join(err, errBuild, w.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.put("identities/me", "root/links", dir)
	s.within("it is there", func() bool { return slices.Contains(s.names("/root"), "links") })
	s.wantNames("/root/links", "file", "here", "link", "sub", "top", "twice", "up")
	s.wantFile("/root/links/twice", "real")
	s.wantFile("/root/links/up", "hello")
	s.wantFile("/root/links/sub/hello.txt", "hello")
	s.wantFile("/root/links/top/hello.txt", "hello")
	s.wantFile("/root/links/"+strings.Repeat("here/", 30)+"file", "real")
	for _, name := range []string{"absolute", "outside", "dangling", "loop", "through", strings.Repeat("here/", 50) + "file"} {
		s.want(404, "GET", "/root/links/"+name, "")
	}
	s.want(204, "PUT", "/root/links/up", "over the link")
	s.wantFile("/root/own/hello.txt", "hello")
	s.want(201, "COPY", "/root/links", "", "Destination", "/root/own/copy")
	s.wantFile("/root/own/copy/twice", "real")
	s.want(204, "DELETE", "/root/links/sub", "")
	s.want(204, "DELETE", "/root/links", "")
	s.wantFile("/root/own/hello.txt", "hello")
}

func TestTimes(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	a := s.want(207, "PROPPATCH", "/root/own/hello.txt", `<?xml version="1.0" encoding="utf-8" ?>
		<D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><D:set><D:prop>
		<Z:Win32CreationTime>Wed, 01 Mar 2023 10:00:00 GMT</Z:Win32CreationTime>
		<Z:Win32LastModifiedTime>Wed, 01 Mar 2023 10:00:00 GMT</Z:Win32LastModifiedTime>
		</D:prop></D:set></D:propertyupdate>`)
	if !strings.Contains(a.body, "200 OK") || !strings.Contains(a.body, "403 Forbidden") {
		t.Errorf("PROPPATCH: %s", a.body)
	}
	if got := s.want(200, "HEAD", "/root/own/hello.txt", "").Header.Get("Last-Modified"); got != "Wed, 01 Mar 2023 10:00:00 GMT" {
		t.Errorf("it is of %s", got)
	}
	a = s.want(207, "PROPPATCH", "/root/theirs/hello.txt", `<propertyupdate xmlns="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><set><prop>
		<Z:Win32LastModifiedTime>Wed, 01 Mar 2023 10:00:00 GMT</Z:Win32LastModifiedTime></prop></set></propertyupdate>`)
	if strings.Contains(a.body, "200 OK") {
		t.Errorf("PROPPATCH of another's: %s", a.body)
	}
}
