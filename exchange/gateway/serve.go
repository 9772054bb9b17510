package gateway

import (
	"context"
	"net"
	"net/http"

	"archivecache/internal/web"
)

// Serve answers the requests of ln by h until ctx ends, which is no error; running requests then
// have five seconds more. It closes ln. Requests have no bodies: they have 15 seconds to come, 16
// KiB of header, and each piece of an answer has 30 seconds to go.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	return web.Serve(ctx, ln, http.MaxBytesHandler(h, 0), web.ReadTimeout)
}
