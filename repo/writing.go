package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"archivecache/store"
)

// Between the first block that a command writes, or finds here, and its commit, nothing in the tree
// points to that block. So whoever writes shares the lock of the file "writers" until the Repo is
// closed, and who sweeps has it alone. Both come through the file "gate": who sweeps keeps that
// while it waits, so that many short commands one after another cannot keep it waiting for ever.
const (
	writersFile = "writers"
	gateFile    = "gate"
)

var (
	// sweepWait is how long a sweep waits for those who write. Tests make it shorter.
	sweepWait = time.Minute
	// writeWait is how long those who write wait for a sweep.
	writeWait = 10 * time.Minute
)

// Errors of waiting.
var (
	ErrWriting  = errors.New("others are writing to this repository")
	ErrSweeping = errors.New("garbage is being collected in this repository")
	ErrMoved    = errors.New("the blocks of this repository have moved to another store meanwhile")
)

// BeginWriting makes sure that no block goes away, whether something points to it or not, until the
// Repo is closed. What writes calls it by itself; who looks first whether blocks are here calls it
// before. It waits for a sweep that is at work. Calling it again is cheap.
func (r *Repo) BeginWriting(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.writers != nil {
		return nil
	}
	gate, err := r.flock(ctx, gateFile, syscall.LOCK_SH, writeWait, ErrSweeping)
	if err != nil {
		return err
	}
	r.writers, err = r.flock(ctx, writersFile, syscall.LOCK_SH, writeWait, ErrSweeping)
	if err = errors.Join(err, gate.Close()); err != nil {
		return err
	}
	if err := r.checkPlace(ctx); err != nil {
		w := r.writers
		r.writers = nil
		return errors.Join(err, w.Close())
	}
	return nil
}

// checkPlace returns an error if the blocks have moved to another store since the repository was
// opened.
func (r *Repo) checkPlace(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(r.dir, formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is being made
	}
	if moved := (string(text) == formatTiered) != (r.daemon != nil); err == nil && moved {
		err = ErrMoved
	}
	return err
}

// EndWriting lets sweeps go on, for those who keep the Repo open for long. All that was put and is
// not committed by then may go away.
func (r *Repo) EndWriting() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.writers == nil {
		return nil
	}
	err := r.writers.Close()
	r.writers = nil
	return err
}

// alone calls fn while nobody writes, in this and in all other processes. r must not have written.
func (r *Repo) alone(ctx context.Context, fn func() error) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.writers != nil {
		return fmt.Errorf("%w: this process does", ErrWriting)
	}
	gate, err := r.flock(ctx, gateFile, syscall.LOCK_EX, sweepWait, ErrSweeping)
	if err != nil {
		return err
	}
	writers, err := r.flock(ctx, writersFile, syscall.LOCK_EX, sweepWait, ErrWriting)
	if err == nil {
		err = errors.Join(fn(), writers.Close())
	}
	return errors.Join(err, gate.Close())
}

// flock locks a file of the repository; closing it ends that. If that takes too long, the error is
// reason. After a process was killed its locks are gone.
func (r *Repo) flock(ctx context.Context, name string, how int, wait time.Duration, reason error) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(r.dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	late := time.Now().Add(wait)
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		case time.Now().After(late):
			return nil, errors.Join(fmt.Errorf("%s: %w for %v", r.dir, reason, wait), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(time.Duration(500+rand.IntN(1500)) * time.Microsecond):
		}
	}
}

// guarded is the store as those see it who are outside of this package: its Writers keep sweeps
// away.
type guarded struct {
	blocks
	repo *Repo
}

// Writer implements [store.Store].
func (g guarded) Writer() store.Writer {
	if err := g.repo.BeginWriting(context.Background()); err != nil {
		return noWriter{err}
	}
	return g.blocks.Writer()
}

// noWriter is a Writer that could not begin.
type noWriter struct{ err error }

func (w noWriter) Put(context.Context, store.Block) error { return w.err }
func (w noWriter) Commit(context.Context) error           { return w.err }
func (w noWriter) Close() error                           { return nil }
