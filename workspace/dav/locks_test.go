package dav_test

import (
	"strings"
	"testing"

	"archivecache/workspace"
)

const lockBody = `<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>` +
	`<D:locktype><D:write/></D:locktype><D:owner>me</D:owner></D:lockinfo>`

// lock locks a path and returns the token, in angle brackets.
func (s *site) lock(status int, at string, headers ...string) string {
	s.Helper()
	return s.want(status, "LOCK", at, lockBody, headers...).Header.Get("Lock-Token")
}

func TestLocks(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	const at = "/root/own/hello.txt"
	token := s.lock(200, at, "Timeout", "Infinite, Second-4100000000")
	s.want(423, "LOCK", at, lockBody)
	s.want(423, "PUT", at, "x")
	s.want(423, "DELETE", at, "")
	s.want(423, "DELETE", "/root/own", "")
	s.want(423, "MOVE", "/root/own", "", "Destination", "/root/moved")
	s.want(423, "MOVE", at, "", "Destination", "/root/own/x")
	s.want(412, "PUT", at, "x", "If", "(<nonsense>)")
	s.want(400, "PUT", at, "x", "If", "nonsense")
	s.want(423, "PUT", at, "x", "If", "(Not <DAV:no-lock>)")
	s.wantFile(at, "hello")
	s.want(204, "PUT", at, "mine", "If", "("+token+")")
	etag := s.want(200, "HEAD", at, "").Header.Get("Etag")
	s.want(412, "PUT", at, "x", "If", "("+token+` ["other"])`)
	s.want(204, "PUT", at, "again", "If", "("+token+" ["+etag+"])")
	if a := s.want(200, "LOCK", at, "", "If", "("+token+")", "Timeout", "Second-100"); !strings.Contains(a.body, "Second-100") {
		t.Errorf("refreshed: %s", a.body)
	}
	s.want(204, "UNLOCK", at, "", "Lock-Token", token)
	s.want(409, "UNLOCK", at, "", "Lock-Token", token)
	s.want(204, "PUT", at, "free")
}

// TestLockedFile does what an office program does: the lock goes with the name, so that what is
// moved over it takes its place, and what is moved away leaves it.
func TestLockedFile(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	token := s.lock(201, "/root/own/letter")
	s.wantFile("/root/own/letter", "")
	s.want(201, "PUT", "/root/own/letter.tmp", "Dear")
	s.want(423, "MOVE", "/root/own/letter.tmp", "", "Destination", "/root/own/letter")
	s.want(204, "MOVE", "/root/own/letter.tmp", "", "Destination", "/root/own/letter", "If", "<"+s.url+"/root/own/letter> ("+token+")")
	s.wantFile("/root/own/letter", "Dear")
	s.want(201, "MOVE", "/root/own/letter", "", "Destination", "/root/own/letter.old", "If", "("+token+")")
	s.want(201, "PUT", "/root/own/letter", "free")
	s.want(409, "LOCK", "/root/own/none/x", lockBody)
}

func TestLockedDirectory(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	s.want(201, "MKCOL", "/root/own/d", "")
	token := s.lock(200, "/root/own/d")
	s.want(423, "PUT", "/root/own/d/f", "x")
	s.want(201, "PUT", "/root/own/d/f", "x", "If", "("+token+")")
	s.want(423, "LOCK", "/root/own/d/f", lockBody)
	s.want(204, "DELETE", "/root/own/d", "", "If", "("+token+")")
	s.want(201, "MKCOL", "/root/own/d", "") // its lock has gone with it
}

func TestLargeOwner(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	s.want(413, "LOCK", "/root/own/large", strings.Replace(lockBody, "me", strings.Repeat("x", 9<<10), 1))
	s.want(404, "GET", "/root/own/large", "")
}
