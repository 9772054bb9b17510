package dav

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/webdav"
)

// TestManyLocks takes all the locks there are, and waits until they end.
func TestManyLocks(t *testing.T) {
	l, now := newLocks(), time.Now()
	take := func(name string, at time.Time) error {
		_, err := l.add(at, webdav.LockDetails{Root: name, Duration: time.Minute})
		return err
	}
	for i := range maxLocks {
		if err := take(fmt.Sprintf("/root/own/%d", i), now); err != nil {
			t.Fatalf("lock %d: %v", i, err)
		}
	}
	if r := refusalOf(take("/root/own/more", now)); r == nil || r.status != http.StatusServiceUnavailable {
		t.Errorf("one more: %v", r)
	}
	if !l.foreign(now, "/root/own/1", false, nil) || l.foreign(now, "/root/own", false, nil) || !l.foreign(now, "/root", true, nil) {
		t.Error("it does not know what is locked")
	}
	if err := take("/root/own/1", now.Add(time.Hour)); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	if err := take("/root/own/1", now.Add(time.Hour)); !errors.Is(err, webdav.ErrLocked) {
		t.Errorf("the same once more: %v", err)
	}
}

func TestLimitTimeout(t *testing.T) {
	for wish, want := range map[string]string{
		"": "Second-3600", "Infinite": "Second-3600", "Infinite, Second-10": "Second-3600", "Second-10": "Second-10",
		" Second-20 , Second-10": "Second-20", "Second-4100000000": "Second-3600", "Second--5": "Second-3600", "nonsense": "Second-3600",
	} {
		h := http.Header{"Timeout": {wish}}
		if limitTimeout(h); h.Get("Timeout") != want {
			t.Errorf("%q: %q, want %q", wish, h.Get("Timeout"), want)
		}
	}
}

func TestStatuses(t *testing.T) {
	for err, want := range map[error]int{
		errLocked: 423, errCondition: 412, errInfinite: 403, &http.MaxBytesError{}: 413, errors.New("else"): 500,
	} {
		if r := refusalOf(fmt.Errorf("wrapped: %w", err)); r == nil || r.status != want {
			t.Errorf("%v: %v, want %d", err, r, want)
		}
	}
	for number, want := range refusals {
		if r := refusalOf(pathError("write", "x", fmt.Errorf("wrapped: %w", number))); r == nil || r.status != want.status {
			t.Errorf("%v: %v, want %d", number, r, want.status)
		}
	}
}
