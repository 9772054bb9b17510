// Package osfs carries files and folders of the operating system into UnixFS and back.
//
// What is kept of a file is its content, whether its owner may execute it, and on request its
// modification time; of a symlink its target, never followed; of a folder its entries. Owners,
// other permissions, hard links and extended attributes are not kept. Entries whose names begin
// with a dot are as good as others (`ipfs add` leaves them out unless told otherwise), and so are
// empty folders. The result depends on these things only, not on the order in which the system
// lists a folder.
//
// Patterns that leave entries out are those of gitignore(5), see [Patterns].
package osfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// maxDepth is how deep folders may nest, both ways.
const maxDepth = 256

// ErrTooDeep is a tree with folders nested deeper than 256.
var ErrTooDeep = errors.New("folders nest deeper than 256 levels")

// A Counter says how far an Import or Export has come. It may be read while that runs.
type Counter struct {
	Files atomic.Int64 // files and symlinks that are done
	Dirs  atomic.Int64 // folders that are done
	Bytes atomic.Int64 // bytes of content that passed
}

// A crew runs tasks on some goroutines. A task that finds none free runs at once, on
// the goroutine that has it; so tasks may wait for tasks of their own.
type crew struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	free   chan struct{}
}

func newCrew(ctx context.Context, size int) *crew {
	ctx, cancel := context.WithCancelCause(ctx)
	return &crew{ctx: ctx, cancel: cancel, free: make(chan struct{}, size)}
}

// A squad is tasks that are waited for together.
type squad struct {
	*crew
	wait sync.WaitGroup
}

// run runs a task unless the crew has given up. Its error makes the crew give up.
func (s *squad) run(task func() error) {
	select {
	case s.free <- struct{}{}:
		s.wait.Go(func() {
			s.try(task)
			<-s.free
		})
	default:
		s.try(task)
	}
}

func (s *squad) try(task func() error) {
	if s.ctx.Err() != nil {
		return
	}
	if err := task(); err != nil {
		s.cancel(err)
	}
}

// join waits for all tasks and returns why the crew gave up, if it did.
func (s *squad) join() error {
	s.wait.Wait()
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return nil
}

// depthError names the folder that is too deep.
func depthError(path string) error { return fmt.Errorf("%s: %w", path, ErrTooDeep) }
