package passphrase

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(at, []byte(text), 0o600), os.Chmod(at, mode)); err != nil {
			t.Fatal(err)
		}
		return at
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		err        error
	}{
		{write("right", "secret words\nmore\n", 0o600), "secret words", nil},
		{write("crlf", "secret\r\n", 0o400), "secret", nil},
		{write("group", "secret\n", 0o640), "", ErrFile},
		{write("others", "secret\n", 0o604), "", ErrFile},
		{write("empty", "", 0o600), "", ErrEmpty},
		{write("long", strings.Repeat("x", 5000), 0o600), "", ErrTooLong},
		{dir, "", ErrFile},
		{pipe, "", ErrFile},
		{filepath.Join(dir, "none"), "", os.ErrNotExist},
	} {
		got, err := ReadFile(c.name)
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", filepath.Base(c.name), got, err)
		}
	}
}
