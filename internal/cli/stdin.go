package cli

import (
	"context"
	"io"
)

// A reader reads standard input until the context ends. Without it an interrupt would have to wait
// for input.
type reader struct {
	ctx    context.Context
	from   io.Reader
	buffer []byte
}

// readSize is how much is read at a time, in bytes.
const readSize = 256 << 10

type readResult struct {
	n   int
	err error
}

// Read implements [io.Reader]. After the context has ended it always fails, as a read of before may
// still wait.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.buffer == nil {
		r.buffer = make([]byte, readSize)
	}
	room := r.buffer[:min(len(p), readSize)]
	read := make(chan readResult, 1)
	go func() {
		n, err := r.from.Read(room)
		read <- readResult{n, err}
	}()
	select {
	case got := <-read:
		return copy(p, room[:got.n]), got.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}
