package dav

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// checkConditions looks at the headers of RFC 9110, section 13, which the library knows with GET
// only.
func (q *request) checkConditions(ctx context.Context) error {
	if q.method == http.MethodGet || q.method == http.MethodHead {
		return nil
	}
	match, none, since := q.header.Get("If-Match"), q.header.Get("If-None-Match"), q.header.Get("If-Unmodified-Since")
	if match == "" && none == "" && since == "" {
		return nil
	}
	n, err := q.at(ctx, q.path, true)
	if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	etag, mtime := "", time.Time{}
	if err == nil {
		etag, mtime = etagOf(n), n.Attr().Mtime
	}
	limit, err := http.ParseTime(since)
	late := err == nil && etag != "" && mtime.Truncate(time.Second).After(limit)
	if match != "" && !matches(match, etag) || none != "" && matches(none, etag) || match == "" && late {
		return errCondition
	}
	return nil
}

// matches reports whether a list of ETags, or *, has the one of something; "" is that of nothing.
func matches(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if etag != "" && (one == "*" || strings.TrimPrefix(one, "W/") == etag) {
			return true
		}
	}
	return false
}

// checkDestination refuses a COPY or MOVE of something into itself, or over what it stands in: to
// make room the library would remove what it is of. Without a header Overwrite it is T, which the
// library knows with COPY only.
func (q *request) checkDestination(r *http.Request) error {
	text := r.Header.Get("Destination")
	u, err := url.Parse(text)
	if err != nil || text == "" {
		return refuse(http.StatusBadRequest, "the header Destination is no URL")
	}
	if r.Header.Get("Overwrite") == "" {
		r.Header.Set("Overwrite", "T")
	}
	q.destination = clean(u.Path)
	if isBelow(q.destination, q.path) || isBelow(q.path, q.destination) {
		return refuse(http.StatusForbidden, "source and destination are not apart")
	}
	return nil
}

// isBelow reports whether the clean path name is top, or stands below it.
func isBelow(name, top string) bool {
	return name == top || top == "/" || strings.HasPrefix(name, top+"/")
}
