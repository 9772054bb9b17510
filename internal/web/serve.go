// Package web is what the servers share: the bounds of connections, what is logged of requests, and
// what a browser may do with the answers.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of a server.
const (
	ReadTimeout  = 15 * time.Second // for the header of a request, and a body where bodies are small
	writeTimeout = 30 * time.Second // for each piece of an answer
	idleTimeout  = time.Minute      // between requests on a connection, and pieces of a body
	stopTimeout  = 5 * time.Second  // for running requests when the server ends
	maxHeader    = 16 << 10         // bytes of the header of a request
	// MaxConnections is how many connections are served at a time; more wait.
	MaxConnections = 512
)

// Serve answers the requests of ln by h until ctx ends, which is no error; running requests then
// have five seconds more. It closes ln. A request has 15 seconds and 16 KiB for its header, and
// bodyTimeout to come as a whole; 0 is for as long as it takes, see [Bodies]. Each piece of an answer
// that is logged has 30 seconds to go.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, bodyTimeout time.Duration) error {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	counted := &counter{next: h}
	server := &http.Server{
		Handler:           counted,
		ReadHeaderTimeout: ReadTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		BaseContext:       func(net.Listener) context.Context { return running },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err := server.Shutdown(limit)
		if err != nil {
			end()
			err = server.Close() // whoever still reads is cut off
			counted.wait(stopTimeout)
		}
		stopped <- err
	})
	err := server.Serve(netutil.LimitListener(ln, MaxConnections))
	if !stop() && errors.Is(err, http.ErrServerClosed) {
		err = <-stopped
	}
	if err != nil {
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	}
	return nil
}

// A counter knows whether requests are still worked on: a server that is closed does not wait.
type counter struct {
	next    http.Handler
	running sync.WaitGroup
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.running.Add(1)
	defer c.running.Done()
	c.next.ServeHTTP(w, r)
}

// wait waits until no request is worked on, but no longer than for limit.
func (c *counter) wait(limit time.Duration) {
	done := make(chan struct{})
	go func() {
		c.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}
