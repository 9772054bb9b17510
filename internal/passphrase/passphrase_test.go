package passphrase

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// source returns a source for tests: what the environment says, and a terminal or none.
func source(env map[string]string, tty *os.File) *Source {
	s := New(-1)
	s.lookup = func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	s.terminal = func() (*os.File, error) {
		if tty == nil {
			return nil, os.ErrNotExist
		}
		fd, err := syscall.Dup(int(tty.Fd()))
		return os.NewFile(uintptr(fd), tty.Name()), err
	}
	return s
}

// pipe returns the reading end of a pipe that gives text and ends.
func pipe(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	go func() { io.WriteString(w, text); w.Close() }()
	return r
}

func TestDescriptor(t *testing.T) {
	long := strings.Repeat("a", MaxLength)
	for _, test := range []struct {
		text, want string
		err        error
	}{
		{"secret\n", "secret", nil},
		{"secret", "secret", nil},
		{"secret\r\n", "secret", nil},
		{"  two words \n", "  two words ", nil},
		{"pässwörd\nrest", "pässwörd", nil},
		{long + "\n", long, nil},
		{long + "\r\n", long, nil},
		{long + "a\n", "", ErrTooLong},
		{long + long + long, "", ErrTooLong},
		{"", "", ErrEmpty},
		{"\n", "", ErrEmpty},
		{"\r\nsecret", "", ErrEmpty},
	} {
		s := source(map[string]string{Variable: "not this"}, nil)
		s.file = pipe(t, test.text)
		got, err := s.Ask("x")
		if string(got) != test.want || !errors.Is(err, test.err) {
			t.Errorf("%.20q: %.20q, %v; want %.20q, %v", test.text, got, err, test.want, test.err)
		}
	}
}

func TestDescriptorGoesOn(t *testing.T) {
	s := source(nil, nil)
	s.file = pipe(t, "one\ntwo\nthe rest\n")
	for _, want := range []string{"one", "two"} {
		if got, err := s.AskNew("x"); err != nil || string(got) != want {
			t.Errorf("AskNew = %q, %v; want %q", got, err, want)
		}
	}
	if rest, err := io.ReadAll(s.file); err != nil || string(rest) != "the rest\n" {
		t.Errorf("what follows: %q, %v", rest, err)
	}
}

func TestNewDescriptor(t *testing.T) {
	// A descriptor that os.File knows nothing of, as it comes from a shell.
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Write(fds[1], []byte("secret\n")); err != nil {
		t.Fatal(err)
	}
	syscall.Close(fds[1])
	s := New(fds[0])
	if got, err := s.Ask("x"); err != nil || string(got) != "secret" {
		t.Errorf("Ask = %q, %v", got, err)
	}
	if _, err := New(12345).Ask("x"); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a descriptor that is not open: %v; want %v", err, syscall.EBADF)
	}
}

func TestEnvironment(t *testing.T) {
	for value, want := range map[string]error{"secret": nil, "": ErrEmpty, strings.Repeat("a", MaxLength+1): ErrTooLong} {
		s := source(map[string]string{Variable: value}, nil)
		got, err := s.Ask("x")
		if !errors.Is(err, want) || want == nil && string(got) != value {
			t.Errorf("%.20q: %q, %v; want %v", value, got, err, want)
		}
	}
	s := source(nil, nil)
	if _, err := s.Ask("the key"); !errors.Is(err, ErrNoSource) || !strings.Contains(err.Error(), "the key") {
		t.Errorf("no source: %v; want %v", err, ErrNoSource)
	}
}

// terminal returns both ends of a new pseudo terminal.
func terminal(t *testing.T) (user, tty *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return user, tty
}

// echoes reports whether the terminal shows what is typed.
func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// waitNoEcho waits until the terminal hides what is typed.
func waitNoEcho(t *testing.T, tty *os.File) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); echoes(t, tty); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody hides what is typed")
		}
	}
}

// dialogue answers each time that the terminal hides what is typed, and returns all that was shown.
func dialogue(t *testing.T, user, tty *os.File, answers []string, ask func()) string {
	done := make(chan struct{})
	go func() { defer close(done); ask() }()
	var shown bytes.Buffer
	buf := make([]byte, 1024)
	for i, answer := range answers {
		// The question comes before the line feed of the answer to the one before.
		for !bytes.HasSuffix(shown.Bytes(), []byte(": ")) {
			n, err := user.Read(buf)
			if err != nil {
				t.Fatalf("question %d: %v", i+1, err)
			}
			shown.Write(buf[:n])
		}
		waitNoEcho(t, tty)
		io.WriteString(user, answer)
		n, err := user.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(buf[:n])
	}
	<-done
	return shown.String()
}

func TestTerminal(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers []string
		twice   bool
		want    string
		err     error
	}{
		{"once", []string{"secret\n"}, false, "secret", nil},
		{"twice", []string{"secret\n", "secret\n"}, true, "secret", nil},
		{"differing", []string{"secret\n", "Secret\n"}, true, "", ErrDiffer},
		{"empty", []string{"\n"}, true, "", ErrEmpty},
	} {
		t.Run(test.name, func(t *testing.T) {
			user, tty := terminal(t)
			s := source(nil, tty)
			var got []byte
			var err error
			shown := dialogue(t, user, tty, test.answers, func() { got, err = s.get("the key", test.twice) })
			if string(got) != test.want || !errors.Is(err, test.err) {
				t.Errorf("%q, %v; want %q, %v", got, err, test.want, test.err)
			}
			if !strings.Contains(shown, "Passphrase for the key: ") || strings.Contains(strings.ToLower(shown), "secret") {
				t.Errorf("the terminal shows %q", shown)
			}
			if !echoes(t, tty) {
				t.Error("the terminal is left without echo")
			}
		})
	}
}

func TestNotATerminal(t *testing.T) {
	if _, err := source(nil, pipe(t, "secret\n")).Ask("x"); !errors.Is(err, ErrNoSource) {
		t.Errorf("Ask: %v; want %v", err, ErrNoSource)
	}
}

// TestInterrupt runs this test as a process of its own that asks, and ends it meanwhile.
func TestInterrupt(t *testing.T) {
	if os.Getenv("TEST_ASK") != "" {
		s := source(nil, os.Stdin)
		s.Ask("the key")
		os.Exit(3)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		_, tty := terminal(t)
		cmd := exec.Command(os.Args[0], "-test.run=TestInterrupt")
		cmd.Env = append(os.Environ(), "TEST_ASK=1")
		cmd.Stdin = tty
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitNoEcho(t, tty)
		cmd.Process.Signal(sig)
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != sig {
			t.Errorf("%v: ended by %v", sig, err)
		}
		if !echoes(t, tty) {
			t.Errorf("%v: the terminal is left without echo", sig)
		}
	}
}
