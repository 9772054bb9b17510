package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of a server.
const (
	readTimeout  = 15 * time.Second // for a request
	writeTimeout = 30 * time.Second // for each piece of an answer
	idleTimeout  = time.Minute      // between requests on a connection
	stopTimeout  = 5 * time.Second  // for running requests when the server ends
	maxHeader    = 16 << 10         // bytes of the header of a request
	// MaxConnections is how many connections are served at a time; more wait.
	MaxConnections = 512
)

// Serve answers the requests of ln by h until ctx ends, which is no error; running requests then
// have five seconds more. It closes ln. Requests have no bodies: they have 15 seconds to come, 16
// KiB of header, and each piece of an answer has 30 seconds to go.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           http.MaxBytesHandler(h, 0),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err := server.Shutdown(limit)
		if err != nil {
			err = server.Close() // whoever still reads is cut off
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
