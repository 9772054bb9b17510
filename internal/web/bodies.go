package web

import (
	"io"
	"net/http"
	"time"
)

// Bodies lets the body of a request take as long as pieces of it come, the next within a minute of
// the one before.
func Bodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			b := &body{ReadCloser: r.Body, control: http.NewResponseController(w)}
			b.extend() // also for what the server reads of it when it is not wanted
			r.Body = b
		}
		next.ServeHTTP(w, r)
	})
}

type body struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *body) extend() { b.control.SetReadDeadline(time.Now().Add(idleTimeout)) } // not every connection has deadlines

func (b *body) Read(p []byte) (int, error) {
	b.extend()
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.control.SetReadDeadline(time.Time{}) // the answer may take longer
	}
	return n, err
}
