package kubotest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// A Fault is one way to misbehave: it answers a call to the API itself, or has next, a real
// daemon, answer it.
type Fault func(next http.Handler) http.Handler

// A Switch is a fault that comes and goes. The zero Switch is none.
type Switch struct{ now atomic.Pointer[Fault] }

// Set has the daemon misbehave in that way from now on; nil ends it.
func (s *Switch) Set(f Fault) { s.now.Store(&f) }

// Fault is what is set by then.
func (s *Switch) Fault(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := s.now.Load(); f != nil && *f != nil {
			(*f)(next).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Faulty serves the API of a real daemon with faults in front of it, the first one outermost, and
// returns its multiaddr.
func Faulty(tb testing.TB, k *Kubo, faults ...Fault) string {
	tb.Helper()
	var h http.Handler = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: hostPort(k.API)})
		},
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	for _, fault := range slices.Backward(faults) {
		h = fault(h)
	}
	return Serve(tb, h)
}

// Serve serves h at a free port of loopback and returns its multiaddr.
func Serve(tb testing.TB, h http.Handler) string {
	tb.Helper()
	s := httptest.NewServer(h)
	tb.Cleanup(func() {
		s.CloseClientConnections() // those that hang would be waited for
		s.Close()
	})
	return multiaddr(s.Listener.Addr())
}

// NotKubo serves web pages, as any other HTTP server does, and returns its multiaddr.
func NotKubo(tb testing.TB) string {
	return Serve(tb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "<html><body>It works!</body></html>")
	}))
}

// NoAnswer takes connections and is silent, and returns its multiaddr.
func NoAnswer(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return multiaddr(l.Addr()) // the kernel takes them
}

// Nobody returns the multiaddr of a port of loopback where nobody listens.
func Nobody(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l.Close()
	return multiaddr(l.Addr())
}

func multiaddr(a net.Addr) string {
	host, port, _ := net.SplitHostPort(a.String())
	return "/ip4/" + host + "/tcp/" + port
}

func hostPort(multiaddr string) string {
	parts := strings.Split(multiaddr, "/") // "", ip4, host, tcp, port
	return parts[2] + ":" + parts[4]
}

// on gives calls, such as "block/get", to h and others to next. No calls are all calls.
func on(next http.Handler, calls []string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := strings.TrimPrefix(r.URL.Path, "/api/v0/")
		if len(calls) == 0 || slices.Contains(calls, call) {
			h(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Error500 answers with status 500 and the error that kubo would word as text.
func Error500(text string, calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // what is wrong with it is not told earlier
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, `{"Message":%q,"Code":0,"Type":"error"}`+"\n", text)
		})
	}
}

// Status answers with a status and a page, as something between here and the daemon would.
func Status(status int, calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, fmt.Sprintf("%d - %s", status, http.StatusText(status)), status)
		})
	}
}

// Answer answers with status 200 and body, of the given content type.
func Answer(contentType, body string, calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", contentType)
			io.WriteString(w, body)
		})
	}
}

// Version answers as a kubo of another version.
func Version(version string) Fault {
	return Answer("application/json", fmt.Sprintf(`{"Version":%q,"Commit":"","Repo":"12"}`, version), "version")
}

// DiskFull is a daemon whose disk has no space for what is imported, or put.
func DiskFull() Fault {
	return Error500("write /data/ipfs/blocks/put-1: no space left on device", "dag/import", "block/put")
}

// Hang never answers, and HangAfterHeaders not after the head of its answer.
func Hang(calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // a server sees that its client has left only when it reads
			<-r.Context().Done()
		})
	}
}

// HangAfterHeaders never goes on after the head of its answer.
func HangAfterHeaders(calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
	}
}

// WrongBytes has one bit of each answer changed.
func WrongBytes(calls ...string) Fault {
	return changed(calls, func(body []byte) []byte {
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		return body
	})
}

// Longer puts n bytes behind each answer.
func Longer(n int, calls ...string) Fault {
	return changed(calls, func(body []byte) []byte { return append(body, make([]byte, n)...) })
}

func changed(calls []string, change func([]byte) []byte) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			for key, values := range answer.Header() {
				w.Header()[key] = values
			}
			w.WriteHeader(answer.Code)
			w.Write(change(answer.Body.Bytes()))
		})
	}
}

// Before calls fn before each call goes to the daemon.
func Before(fn func(), calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			fn()
			next.ServeHTTP(w, r)
		})
	}
}

// CutRequest cuts the connection after n bytes of the request's body. The daemon sees the call cut
// there too.
func CutRequest(n int64, calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, n), cut{}))
			next.ServeHTTP(w, r)
			panic(http.ErrAbortHandler)
		})
	}
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// CutAnswer has the daemon do what it is asked and cuts the connection after n bytes of its
// answer's body; below 0, before the answer.
func CutAnswer(n int, calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			if n >= 0 {
				w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
				w.Write(answer.Body.Next(n))
				w.(http.Flusher).Flush()
			}
			panic(http.ErrAbortHandler)
		})
	}
}

// Trailer has the daemon do what it is asked, and puts an error into the trailer of its answer,
// as kubo does when something fails after the head of the answer.
func Trailer(text string, calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
			w.Header().Set("Trailer", "X-Stream-Error")
			io.Copy(w, bytes.NewReader(answer.Body.Bytes()))
			w.Header().Set("X-Stream-Error", text)
		})
	}
}

// Slowly sends n bytes of each answer at a time, with pause called before each.
func Slowly(n int, pause func(), calls ...string) Fault {
	return func(next http.Handler) http.Handler {
		return on(next, calls, func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
			for answer.Body.Len() > 0 {
				pause()
				w.Write(answer.Body.Next(n))
				w.(http.Flusher).Flush()
			}
		})
	}
}
