package cli

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"root/für alle":   "root/für alle",
		"a b":             "a b",
		"a\nOK":           `a\nOK`,
		"a\tb\r":          `a\tb\r`,
		"\x1b[2J":         `\x1b[2J`,
		"x\u202egpj.exe":  `x\u202egpj.exe`,
		"a\u2028b\u0085c": `a\u2028b\u0085c`,
		"bad\xff":         `bad\ufffd`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSayIsOneLine(t *testing.T) {
	var out bytes.Buffer
	env := &Env{Name: "list", Stderr: &out}
	env.Say("%s: nothing there", "a\nlist: all is well")
	if got, want := out.String(), `list: a\nlist: all is well: nothing there`+"\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestLines(t *testing.T) {
	one, two := errors.New("one\nline"), errors.New("two")
	joined := errors.Join(one, errors.Join(two, nil))
	for _, tt := range []struct {
		err  error
		want []string
	}{
		{one, []string{"one\nline"}},
		{joined, []string{"one\nline", "two"}},
		{WithHint(joined, "do it"), []string{"one\nline", "two"}},
		{fmt.Errorf("%w: %w", one, two), []string{"one\nline: two"}},
		{fmt.Errorf("twice: %w", joined), []string{"twice: one\nline\ntwo"}},
	} {
		if got := lines(tt.err); !slices.Equal(got, tt.want) {
			t.Errorf("%q has the lines %q, want %q", tt.err, got, tt.want)
		}
	}
}
