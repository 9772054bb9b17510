package osfs

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits of a file with patterns.
const (
	maxPatterns   = 10_000
	maxPatternLen = 4096 // bytes of a line
)

// Patterns say which entries below a folder are left out. They are lines as in gitignore(5):
//
//   - An empty line and one that begins with # say nothing. Spaces at the end do not count unless
//     a backslash stands before them.
//   - A line that begins with ! takes back what an earlier line left out. The last line
//     that fits decides.
//   - A slash at the end: only folders fit.
//   - A slash elsewhere: the whole path below the folder has to fit, otherwise the name alone.
//   - * stands for any number of bytes and ? for one, never for a slash; [a-z], [!a-z] and
//     [[:digit:]] for one out of a set. A backslash takes away the meaning of what follows.
//   - **/ at the beginning stands for any folders, /**/ for any or none between, and /** at the
//     end for everything inside.
//
// A folder that is left out is left out whole: nothing below it can be taken back. Unlike git,
// which lets such a line pass without effect, a pattern with a set that does not end, an empty
// range or a backslash at the end is an error: nothing goes out because of a slip.
type Patterns struct {
	list []pattern
}

type pattern struct {
	negate  bool
	dirOnly bool
	byName  bool // no slash: fits names in any folder
	literal string
	expr    *regexp.Regexp // nil if literal is all
}

// CompilePatterns reads patterns, one in each line. One that is no pattern is an error that says
// which.
func CompilePatterns(lines []string) (*Patterns, error) {
	p := new(Patterns)
	if len(lines) > maxPatterns {
		return nil, fmt.Errorf("more than %d patterns", maxPatterns)
	}
	for i, line := range lines {
		one, err := compilePattern(line)
		if err != nil {
			return nil, fmt.Errorf("pattern %d, %q: %w", i+1, line, err)
		}
		if one != nil {
			p.list = append(p.list, *one)
		}
	}
	return p, nil
}

// ReadPatterns reads the lines of r as patterns.
func ReadPatterns(r io.Reader) (*Patterns, error) {
	var lines []string
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxPatternLen)
	for scan.Scan() && len(lines) <= maxPatterns {
		line := strings.TrimSuffix(scan.Text(), "\r")
		if len(lines) == 0 {
			line = strings.TrimPrefix(line, "\ufeff") // some editors begin a file with it
		}
		lines = append(lines, line)
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("read patterns: %w", err)
	}
	return CompilePatterns(lines)
}

// Match says whether some pattern fits the entry at path, which is relative to the folder of the
// patterns and has slashes between names, and whether it leaves the entry out or takes it back.
func (p *Patterns) Match(path string, isDir bool) (leaveOut, decided bool) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	for i := len(p.list) - 1; i >= 0; i-- {
		one := &p.list[i]
		if one.dirOnly && !isDir {
			continue
		}
		subject := path
		if one.byName {
			subject = name
		}
		if one.fits(subject) {
			return !one.negate, true
		}
	}
	return false, false
}

func (p *pattern) fits(s string) bool {
	if p.expr == nil {
		return s == p.literal
	}
	return p.expr.MatchString(latin1(s))
}

// latin1 makes a character of each byte, for regular expressions see characters and patterns speak
// of bytes.
func latin1(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && s[i] < 0x80
	}
	if plain {
		return s
	}
	b := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		b = utf8.AppendRune(b, rune(s[i]))
	}
	return string(b)
}

// compilePattern reads one line; nil says that it has no pattern.
func compilePattern(line string) (*pattern, error) {
	line = trimSpaces(line)
	if line == "" || line[0] == '#' {
		return nil, nil
	}
	p := new(pattern)
	if line[0] == '!' {
		p.negate, line = true, line[1:]
	}
	if strings.HasSuffix(line, "/") {
		p.dirOnly, line = true, line[:len(line)-1]
	}
	p.byName = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return nil, nil // git gives these no meaning
	}
	if !strings.ContainsAny(line, `*?[\`) {
		p.literal = line
		return p, nil
	}
	var err error
	p.expr, err = compileGlob(line)
	return p, err
}

// trimSpaces removes spaces from the end, up to one behind a backslash.
func trimSpaces(line string) string {
	for strings.HasSuffix(line, " ") {
		head := line[:len(line)-1]
		slashes := len(head) - len(strings.TrimRight(head, `\`))
		if slashes%2 == 1 {
			break
		}
		line = head
	}
	return line
}

// compileGlob translates a pattern into a regular expression, which Go matches in linear time
// whatever a hostile pattern looks like.
func compileGlob(glob string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); {
		n, text, err := translate(glob, i)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
		i += n
	}
	b.WriteString(`\z`)
	return regexp.Compile(latin1(b.String()))
}

// translate translates what stands at i and returns how many bytes of the pattern that are.
func translate(glob string, i int) (n int, text string, err error) {
	rest := glob[i:]
	atStart := i == 0 || glob[i-1] == '/'
	switch {
	case atStart && strings.HasPrefix(rest, "**/"):
		return 3, `(?:.*/)?`, nil
	case atStart && rest == "**" && i > 0:
		return 2, `.+`, nil
	case rest[0] == '*':
		return len(rest) - len(strings.TrimLeft(rest, "*")), `[^/]*`, nil
	case rest[0] == '?':
		return 1, `[^/]`, nil
	case rest[0] == '[':
		return translateSet(rest)
	case rest[0] == '\\':
		if len(rest) == 1 {
			return 0, "", fmt.Errorf("backslash at the end")
		}
		return 2, quoteByte(rest[1]), nil
	}
	end := strings.IndexAny(rest[1:], `*?[\/`) + 1
	if end == 0 {
		end = len(rest)
	}
	return end, regexp.QuoteMeta(rest[:end]), nil
}

// translateSet translates a set in brackets. A slash never fits.
func translateSet(glob string) (n int, text string, err error) {
	var b strings.Builder
	i := 1
	negated := i < len(glob) && (glob[i] == '!' || glob[i] == '^')
	if negated {
		i++
	}
	for first := true; ; first = false {
		switch {
		case i >= len(glob):
			return 0, "", fmt.Errorf("set without end")
		case glob[i] == ']' && !first:
			return i + 1, closeSet(b.String(), negated), nil
		case strings.HasPrefix(glob[i:], "[:"):
			end := strings.Index(glob[i:], ":]")
			if end < 0 {
				return 0, "", fmt.Errorf("set without end")
			}
			b.WriteString(glob[i : i+end+2])
			i += end + 2
			continue
		case glob[i] == '-' && !first && i+1 < len(glob) && glob[i+1] != ']':
			b.WriteByte('-')
			i++
			continue
		case glob[i] == '\\' && i+1 < len(glob):
			i++
		}
		if glob[i] != '/' {
			b.WriteString(quoteInSet(glob[i]))
		}
		i++
	}
}

func closeSet(set string, negated bool) string {
	switch {
	case negated:
		return `[^/` + set + `]`
	case set == "":
		return `[^\x00-\xff]` // fits nothing
	}
	return `[` + set + `]`
}

// quoteByte is regexp.QuoteMeta for a byte, which need not be a character.
func quoteByte(c byte) string {
	if c < 0x80 {
		return regexp.QuoteMeta(string(rune(c)))
	}
	return string([]byte{c})
}

func quoteInSet(c byte) string {
	if c < 0x80 && strings.IndexByte(`\]^-[&~|`, c) >= 0 {
		return `\` + string(rune(c))
	}
	return string([]byte{c})
}

// rules are the patterns that hold in a folder: its own, and those of the folders above it.
type rules struct {
	above    *rules
	path     string // of the folder, relative to the top, "" for the top
	patterns *Patterns
}

// leavesOut says whether the entry at path, relative to the top, is left out. Patterns of the
// nearest folder decide first.
func (r *rules) leavesOut(path string, isDir bool) bool {
	for ; r != nil; r = r.above {
		rel := path
		if r.path != "" {
			rel = path[len(r.path)+1:]
		}
		if out, decided := r.patterns.Match(rel, isDir); decided {
			return out
		}
	}
	return false
}
