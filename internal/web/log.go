package web

import (
	"log/slog"
	"net/http"
	"time"
)

// Logged writes a line for each request, and moves the deadline for writing on with each
// write, so that a long answer may take long as long as it is read. A nil log logs nothing.
func Logged(next http.Handler, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &logged{next, log}
}

type logged struct {
	next http.Handler
	log  *slog.Logger
}

func (h *logged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	out := &response{ResponseWriter: w, control: http.NewResponseController(w), status: http.StatusOK, head: r.Method == http.MethodHead}
	h.next.ServeHTTP(out, r)
	out.extend() // for what is not sent yet
	h.log.Info("request", "from", r.RemoteAddr, "method", r.Method, "path", r.URL.RequestURI(),
		"status", out.status, "bytes", out.bytes, "time", time.Since(begin).Round(time.Microsecond))
}

type response struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
	head    bool // nobody gets what is written
}

func (w *response) extend() { w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) } // not every writer has deadlines

func (w *response) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write fails after a HEAD request, so that nobody reads what an answer is made of for nothing.
func (w *response) Write(p []byte) (int, error) {
	if w.head {
		return 0, http.ErrBodyNotAllowed
	}
	w.extend()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
