package dav_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"archivecache/workspace"
	"archivecache/workspace/dav"
)

func TestPassword(t *testing.T) {
	s := newSite(t, workspace.Options{}, func(o *dav.Options) { o.User = "me" })
	ask := func(user, password string) int {
		req := s.request("GET", "/root/own/hello.txt", "")
		if req.Header.Del("Authorization"); user != "" {
			req.SetBasicAuth(user, password)
		}
		a := s.send(req)
		if a.StatusCode == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
			t.Error("it does not ask for a password")
		}
		return a.StatusCode
	}
	begun := time.Now()
	for _, c := range []struct {
		user, password string
		status         int
	}{
		{"me", password, 200}, {"", "", 401}, {"me", "", 401}, {"me", password + "x", 401}, {"other", password, 401},
	} {
		if got := ask(c.user, c.password); got != c.status {
			t.Errorf("%s, %q: status %d, want %d", c.user, c.password, got, c.status)
		}
	}
	if took := time.Since(begun); took < 3*time.Second {
		t.Errorf("three wrong ones took %v", took)
	}
}

// TestGuesses tries many passwords at once: four in a second.
func TestGuesses(t *testing.T) {
	s := newSite(t, workspace.Options{}, nil)
	begun := time.Now()
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			req := s.request("GET", "/", "")
			req.SetBasicAuth("me", "guess")
			if a := s.send(req); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("a guess: %s", a.Status)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begun); took < 2900*time.Millisecond {
		t.Errorf("12 guesses took %v", took)
	}
	s.wantFile("/root/own/hello.txt", "hello")
}

func TestOtherSites(t *testing.T) {
	s := newSite(t, workspace.Options{}, func(o *dav.Options) { o.Hosts = []string{"nas.example"} })
	const at = "/root/own/hello.txt"
	for _, h := range [][]string{
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "http://127.0.0.1:1"},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
	} {
		s.want(403, "GET", at, "", h...)
		s.want(403, "PUT", at, "x", h...)
	}
	s.want(421, "GET", at, "", "Host", "evil.example")
	s.want(421, "PUT", at, "x", "Host", "evil.example:7071")
	s.want(200, "GET", at, "", "Host", "localhost:7071")
	s.want(200, "GET", at, "", "Host", "[::1]:7071")
	s.want(200, "GET", at, "", "Host", "NAS.example")
	s.want(200, "GET", at, "", "Origin", s.url, "Sec-Fetch-Site", "same-origin")
	s.want(200, "GET", at, "", "Sec-Fetch-Site", "none")
	s.wantFile(at, "hello")
}

func TestNoPassword(t *testing.T) {
	if _, err := dav.NewHandler(nil, dav.Options{}); !errors.Is(err, dav.ErrNoPassword) {
		t.Errorf("without a password: %v", err)
	}
	s := newSite(t, workspace.Options{}, func(o *dav.Options) { o.Password, o.NoPassword = "", true })
	s.wantFile("/root/own/hello.txt", "hello")
}
