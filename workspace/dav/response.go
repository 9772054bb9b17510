package dav

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/webdav"
)

// A response is an answer of the library, with the status that the error of the tree has. Nothing is
// sent before there is something of a body, so that a file of which nothing can be read is no answer
// that breaks off.
type response struct {
	http.ResponseWriter
	request *request
	method  string
	status  int
	sent    bool
	quiet   bool   // what the library writes is not sent
	aborted bool   // what was sent is not all
	tail    []byte // of a list, held back
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// done reports whether the request has succeeded.
func (w *response) done() bool { return w.status/100 == 2 }

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	switch {
	case w.status != 0 && status >= http.StatusBadRequest:
		w.aborted = w.sent
		w.refuse(status)
	case w.status != 0:
	case status >= http.StatusBadRequest:
		w.refuse(status)
	case w.method == http.MethodPut && w.request.replaced:
		w.status, w.quiet = http.StatusNoContent, true
	default:
		w.status = status
	}
}

// refuse answers with an error.
func (w *response) refuse(status int) {
	w.quiet = true
	w.tail = nil
	if w.sent {
		return
	}
	text, xml := webdav.StatusText(status), ""
	if r := refusalOf(w.request.err); r != nil {
		status, text, xml = r.status, r.text, r.xml
	} else if status == http.StatusInternalServerError && w.method == "LOCK" {
		status, text = http.StatusConflict, "there is no such directory"
	}
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified", "Lock-Token"} {
		h.Del(name)
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if xml != "" {
		h.Set("Content-Type", "application/xml; charset=utf-8")
		text = xml
	}
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	w.status = status
	w.send()
	if w.method != http.MethodHead {
		fmt.Fprintln(w.ResponseWriter, text) // an error means that nobody listens any more
	}
}

func (w *response) send() {
	if !w.sent && w.status != 0 {
		w.sent = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

// closing is how a list ends.
const closing = "</D:multistatus>"

// Write implements [http.ResponseWriter].
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.quiet {
		return len(p), nil
	}
	w.send()
	if w.status != webdav.StatusMulti {
		return w.ResponseWriter.Write(p)
	}
	w.tail = append(w.tail, p...)
	n := max(0, len(w.tail)-len(closing))
	_, err := w.ResponseWriter.Write(w.tail[:n])
	w.tail = append(w.tail[:0], w.tail[n:]...)
	return len(p), err
}

// finish sends what is held back. A list also names what could not be read, so that nobody takes it
// for gone. What has begun and does not go on is cut off, so that nobody takes it for all.
func (w *response) finish() {
	if !w.sent && w.request.broken {
		w.refuse(http.StatusBadGateway)
	}
	if w.aborted {
		panic(http.ErrAbortHandler)
	}
	w.send()
	if string(w.tail) == closing {
		for _, name := range w.request.unread {
			fmt.Fprintf(w.ResponseWriter, "<D:response><D:href>%s</D:href><D:status>HTTP/1.1 502 Bad Gateway</D:status></D:response>", hrefOf(name))
		}
	}
	if len(w.tail) > 0 {
		w.ResponseWriter.Write(w.tail) // an error means that nobody listens any more
	}
}

// hrefOf returns a path as it stands in XML.
func hrefOf(name string) string {
	return strings.ReplaceAll((&url.URL{Path: name}).EscapedPath(), "&", "&amp;")
}
