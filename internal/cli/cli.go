// Package cli is what all commands share: flags, help, messages and exit statuses. It depends on
// the standard library and on package message only, so that the commands that only handle
// messages start at once.
//
// Standard output is for the next program, standard error for the person. On success a command says
// nothing that was not asked for.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Exit statuses, a promise to scripts.
const (
	ExitDone    = 0
	ExitFailed  = 1 // refused or failed; nothing was changed, unless the message says so
	ExitUsage   = 2 // wrong command line
	ExitPartial = 3 // done, and a part was refused or is missing: of a merge, an import, or at a pinning service
	ExitBrake   = 4 // a merge was stopped because it would hide much, and changed nothing
)

// An Env is what a command works in. Tests make their own.
type Env struct {
	Name   string
	Flags  *flag.FlagSet
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	help   string
	args   []string
}

// Main runs a command and exits with its status. The help is a text that begins with the usage
// line and ends with an example; the options are listed by themselves.
func Main(help string, run func(context.Context, *Env) error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(help, "usage: "), " ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := &Env{
		Name: name, Stdin: &reader{ctx: ctx, from: os.Stdin}, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		help: help, args: os.Args[1:],
	}
	status := env.run(ctx, run)
	stop()
	os.Exit(status)
}

func (env *Env) run(ctx context.Context, run func(context.Context, *Env) error) int {
	env.Flags = flag.NewFlagSet(env.Name, flag.ContinueOnError)
	env.Flags.SetOutput(io.Discard)
	err := run(ctx, env)
	var usage *usageError
	var status *StatusError
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, flag.ErrHelp):
		if env.printHelp() != nil {
			return ExitFailed
		}
		return ExitDone
	case errors.As(err, &usage):
		first, _, _ := strings.Cut(env.help, "\n")
		env.Say("%v", err)
		fmt.Fprintln(env.Stderr, first)
		fmt.Fprintf(env.Stderr, "%s -h tells more\n", env.Name)
		return ExitUsage
	case errors.As(err, &status):
		if status.Err != nil {
			env.sayError(status.Err)
		}
		return status.Status
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		env.Say("interrupted")
		return ExitFailed
	}
	env.sayError(err)
	return ExitFailed
}

// sayError prints an error, and the hints it carries.
func (env *Env) sayError(err error) {
	for _, line := range lines(err) {
		env.Say("%s", line)
	}
	for _, hint := range hints(err) {
		env.Say("hint: %s", hint)
	}
}

// Say prints a line for the person, with the name of the command before it. It stays one line
// whatever the arguments hold.
func (env *Env) Say(format string, args ...any) {
	fmt.Fprintf(env.Stderr, "%s: %s\n", env.Name, Quote(fmt.Sprintf(format, args...)))
}

func (env *Env) printHelp() error {
	var options strings.Builder
	env.Flags.SetOutput(&options)
	env.Flags.PrintDefaults()
	before, example, _ := strings.Cut(env.help, "\nExample:\n")
	_, err := fmt.Fprintf(env.Stdout, "%s\n\nOptions:\n%s\nExample:\n%s", strings.TrimSpace(before), options.String(), example)
	return err
}

// Parse reads the command line and returns the arguments behind the options: at least low and at
// most high; any number if high is negative.
func (env *Env) Parse(low, high int) ([]string, error) {
	if err := env.Flags.Parse(env.args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, &usageError{err.Error()}
	}
	args := env.Flags.Args()
	switch {
	case len(args) < low:
		return nil, Usage("%d arguments, and it takes %d", len(args), low)
	case high >= 0 && len(args) > high:
		return nil, Usage("%d arguments, and it takes %d; options stand before the arguments", len(args), high)
	}
	return args, nil
}

// Given reports whether an option stands on the command line, which was parsed.
func (env *Env) Given(name string) (given bool) {
	env.Flags.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// JSON prints v as one line of JSON.
func (env *Env) JSON(v any) error {
	e := json.NewEncoder(env.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// Usage returns the error of a wrong command line: the command exits with [ExitUsage].
func Usage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// A StatusError ends a command with a status of its own; Err may be nil if all is said.
type StatusError struct {
	Status int
	Err    error
}

func (e *StatusError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

func (e *StatusError) Unwrap() error { return e.Err }

type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// WithHint returns err with a next step for the person.
func WithHint(err error, format string, args ...any) error {
	return &hintError{err, fmt.Sprintf(format, args...)}
}

// lines returns the text of an error, and of joined errors that of each. Line ends elsewhere are
// not taken for such: they may come from a name.
func lines(err error) []string {
	var all []string
	switch e := err.(type) {
	case *hintError:
		return lines(e.error)
	case interface{ Unwrap() []error }:
		var texts []string
		for _, part := range e.Unwrap() {
			texts = append(texts, part.Error())
			all = append(all, lines(part)...)
		}
		if strings.Join(texts, "\n") == err.Error() {
			return all
		}
	}
	return []string{err.Error()}
}

// hints returns the next steps that an error, and what it is made of, carry, each once.
func hints(err error) []string {
	var all []string
	switch e := err.(type) {
	case nil:
		return nil
	case *hintError:
		all = append([]string{e.hint}, hints(e.error)...)
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			all = append(all, hints(part)...)
		}
	default:
		return hints(errors.Unwrap(err))
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(hint string) bool {
		again := seen[hint]
		seen[hint] = true
		return again
	})
}

// Texts is an option that may be given several times.
type Texts []string

func (t *Texts) String() string { return strings.Join(*t, " ") }

// Set adds a text.
func (t *Texts) Set(text string) error { *t = append(*t, text); return nil }
