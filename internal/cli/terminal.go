package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// IsTerminal reports whether f is a terminal.
func IsTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && file.Name() != os.DevNull
}

// Quote returns text with characters that could change what a terminal shows, line ends and tabs
// included, written as Go writes them in strings. Names come from other people.
func Quote(text string) string {
	if !strings.ContainsFunc(text, unprintable) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unprintable(r) || r == utf8.RuneError {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// Printed returns a name as it is printed on w: quoted on a terminal, else as it is.
func Printed(w io.Writer, name string) string {
	if IsTerminal(w) {
		return Quote(name)
	}
	return name
}

// A Progress is a line on a terminal that says how far a long work is. It is nothing elsewhere.
type Progress struct {
	w     io.Writer
	label string
	start time.Time
	last  time.Time
}

// NewProgress returns the progress of a work with the given name.
func (env *Env) NewProgress(label string) *Progress {
	p := &Progress{label: label, start: time.Now()}
	if IsTerminal(env.Stderr) {
		p.w = env.Stderr
	}
	return p
}

// Set shows how many items and bytes are done. It may be called as often as one likes, by one
// goroutine at a time.
func (p *Progress) Set(items, bytes int64) {
	if p.w == nil || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	rate := float64(bytes) / time.Since(p.start).Seconds()
	fmt.Fprintf(p.w, "\r\x1b[K%s: %d files, %s, %s/s", p.label, items, Bytes(bytes), Bytes(int64(rate)))
}

// Done removes the line.
func (p *Progress) Done() {
	if p.w != nil && !p.last.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// Bytes returns a number of bytes for people, in binary units.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

// Plural returns "1 file" or "2 files".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
