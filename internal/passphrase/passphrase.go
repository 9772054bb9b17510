// Package passphrase gets passphrases from whoever runs a command: from a file descriptor, from the
// environment, or from a terminal without echo; never from an argument, which everybody on the
// machine could read in the list of processes.
//
// The first of these that there is, is taken: the descriptor, the variable
// ARCHIVECACHE_PASSPHRASE, the terminal /dev/tty. From a descriptor each question takes one
// line and no byte more, so standard input may go on with other things after it. A
// passphrase has 1 to 1024 bytes, is taken as it is, and ends before LF or CR LF.
package passphrase

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// Variable is the environment variable that may hold a passphrase.
const Variable = "ARCHIVECACHE_PASSPHRASE"

// MaxLength is the length of the longest passphrase in bytes.
const MaxLength = 1024

var (
	// ErrNoSource is a question where there is nobody to ask.
	ErrNoSource = errors.New("no passphrase: there is no terminal; set " + Variable + ", or give a file descriptor")
	// ErrEmpty is an answer without a character.
	ErrEmpty = errors.New("the passphrase is empty")
	// ErrTooLong is an answer of more than MaxLength bytes.
	ErrTooLong = fmt.Errorf("the passphrase has more than %d bytes", MaxLength)
	// ErrDiffer is a new passphrase that was not typed the same way twice.
	ErrDiffer = errors.New("the two passphrases differ; nothing was changed")
)

// A Source is where passphrases come from.
type Source struct {
	file     *os.File // of the descriptor, nil if none was given
	lookup   func(string) (string, bool)
	terminal func() (*os.File, error)
}

// New returns a source that reads the file descriptor fd; negative means that there is none. The
// descriptor belongs to the source from then on, unless it is 0.
func New(fd int) *Source {
	s := &Source{lookup: os.LookupEnv, terminal: openTerminal}
	switch {
	case fd == 0:
		s.file = os.Stdin
	case fd > 0:
		s.file = os.NewFile(uintptr(fd), fmt.Sprintf("file descriptor %d", fd))
	}
	return s
}

func openTerminal() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

// Ask returns the passphrase for something that has one; what names it on a terminal, as in
// "Passphrase for WHAT: ". The errors are [ErrNoSource], [ErrEmpty], [ErrTooLong], and those of
// the system.
func (s *Source) Ask(what string) ([]byte, error) { return s.get(what, false) }

// AskNew returns a passphrase for something that gets one; a terminal asks twice. Besides
// the errors of Ask there is [ErrDiffer].
func (s *Source) AskNew(what string) ([]byte, error) { return s.get(what, true) }

func (s *Source) get(what string, twice bool) ([]byte, error) {
	answer, err := s.answer(what, twice)
	if err == nil {
		err = check(answer)
	}
	if err != nil {
		return nil, fmt.Errorf("passphrase for %s: %w", what, err)
	}
	return answer, nil
}

func (s *Source) answer(what string, twice bool) ([]byte, error) {
	if s.file != nil {
		return readLine(s.file)
	}
	if value, ok := s.lookup(Variable); ok {
		return []byte(value), nil
	}
	tty, err := s.terminal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSource, err)
	}
	defer tty.Close()
	answer, err := prompt(tty, "Passphrase for "+what+": ")
	if err != nil || !twice || len(answer) == 0 {
		return answer, err
	}
	again, err := prompt(tty, "The same again: ")
	if err == nil && !bytes.Equal(answer, again) {
		err = ErrDiffer
	}
	return answer, err
}

// readLine reads up to LF or the end, byte by byte so that what follows stays unread. A line
// that is too long is returned cut, still too long.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= MaxLength+1; {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' || n == 0 && err == io.EOF {
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if n == 0 && err != nil {
			return nil, err
		}
		line = append(line, b[:n]...)
	}
	return line, nil
}

// prompt asks on a terminal, with the echo off until the answer is there.
func prompt(tty *os.File, question string) ([]byte, error) {
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSource, err)
	}
	defer restoreOnSignal(func() { term.Restore(fd, state) })()
	if _, err := io.WriteString(tty, question); err != nil {
		return nil, err
	}
	answer, err := term.ReadPassword(fd)
	io.WriteString(tty, "\n")
	if errors.Is(err, io.EOF) {
		return nil, nil // Ctrl-D; the caller finds it empty
	}
	return answer, err
}

// restoreOnSignal calls restore when the process is told to end, and lets it end then: otherwise
// the user's shell would be left without echo. It holds until stop is called.
func restoreOnSignal(restore func()) (stop func()) {
	told := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case sig := <-told:
			restore()
			signal.Reset(sig)
			syscall.Kill(os.Getpid(), sig.(syscall.Signal))
		case <-done:
		}
	}()
	return func() {
		signal.Stop(told)
		close(done)
	}
}
