package message

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Canonical returns a JSON object in the spelling of messages: see the package comment. It
// refuses with [ErrJSON] whatever is not exactly one such object, and with
// [ErrTooLarge] more than MaxInflated bytes. The result is never longer than the input.
func Canonical(json []byte) ([]byte, error) {
	if len(json) > MaxInflated {
		return nil, fmt.Errorf("JSON has %d bytes, at most %d are allowed: %w", len(json), MaxInflated, ErrTooLarge)
	}
	p := parser{src: json, out: make([]byte, 0, len(json))}
	p.space()
	if p.peek() != '{' {
		return nil, p.fail("an object in braces is expected")
	}
	if err := p.object(1); err != nil {
		return nil, err
	}
	p.space()
	if p.pos != len(p.src) {
		return nil, p.fail("something follows the object")
	}
	return p.out, nil
}

// A parser reads JSON from src at pos and appends its canonical spelling to out.
type parser struct {
	src     []byte
	pos     int
	out     []byte
	members []member // of the objects that are open, the innermost last
	scratch []byte
}

// A member of an object, as offsets into out: its name with quotes, and the end of its value.
type member struct{ start, colon, end int }

func (p *parser) fail(reason string) error {
	return fmt.Errorf("%w: at byte %d %s", ErrJSON, p.pos, reason)
}

// peek returns the next byte, 0 at the end. A zero in the input is no part of JSON either.
func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return
		}
	}
}

// copyByte moves the next byte to the output if it is b.
func (p *parser) copyByte(b byte) bool {
	if p.peek() != b {
		return false
	}
	p.pos++
	p.out = append(p.out, b)
	return true
}

// value reads one value; the object or array that it stands in is at the level depth.
func (p *parser) value(depth int) error {
	p.space()
	switch b := p.peek(); {
	case b == '{':
		return p.object(depth + 1)
	case b == '[':
		return p.array(depth + 1)
	case b == '"':
		return p.text()
	case b == '-' || '0' <= b && b <= '9':
		return p.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(p.src[p.pos:], []byte(word)) {
			p.out = append(p.out, word...)
			p.pos += len(word)
			return nil
		}
	}
	return p.fail("a value is expected")
}

func (p *parser) object(depth int) error {
	if depth > MaxDepth {
		return p.fail(fmt.Sprintf("it nests deeper than %d levels", MaxDepth))
	}
	p.copyByte('{')
	first := len(p.members)
	p.space()
	for p.peek() != '}' || len(p.members) > first {
		if err := p.member(depth); err != nil {
			return err
		}
		p.space()
		if !p.copyByte(',') {
			break
		}
	}
	if p.peek() != '}' {
		return p.fail("a comma or a closing brace is expected")
	}
	if err := p.sort(p.members[first:]); err != nil {
		return err
	}
	p.members = p.members[:first]
	p.copyByte('}')
	return nil
}

func (p *parser) member(depth int) error {
	p.space()
	if p.peek() != '"' {
		return p.fail("a name in quotes is expected")
	}
	m := member{start: len(p.out)}
	if err := p.text(); err != nil {
		return err
	}
	m.colon = len(p.out)
	p.space()
	if !p.copyByte(':') {
		return p.fail("a colon is expected")
	}
	if err := p.value(depth); err != nil {
		return err
	}
	m.end = len(p.out)
	p.members = append(p.members, m)
	return nil
}

// sort puts the members of one object, which are the end of the output, into order.
func (p *parser) sort(members []member) error {
	byName := func(a, b member) int {
		return compareNames(p.out[a.start+1:a.colon-1], p.out[b.start+1:b.colon-1])
	}
	if len(members) < 2 {
		return nil
	}
	body := members[0].start
	sorted := slices.IsSortedFunc(members, byName)
	if !sorted {
		slices.SortFunc(members, byName)
	}
	for i, m := range members[1:] {
		if byName(members[i], m) == 0 {
			return p.fail(fmt.Sprintf("the name %.80q stands twice in one object", p.out[m.start+1:m.colon-1]))
		}
	}
	if sorted {
		return nil
	}
	p.scratch = p.scratch[:0]
	for _, m := range members {
		p.scratch = append(append(p.scratch, p.out[m.start:m.end]...), ',')
	}
	copy(p.out[body:], p.scratch[:len(p.scratch)-1])
	return nil
}

// compareNames orders two names, in canonical spelling without quotes, by what they mean.
func compareNames(a, b []byte) int {
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return bytes.Compare(a, b)
	}
	return bytes.Compare(unescape(a), unescape(b))
}

// unescape resolves the escapes of a string in canonical spelling.
func unescape(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\':
			out = append(out, s[i])
		case s[i+1] == 'u':
			out = append(out, hex(s[i+4])<<4|hex(s[i+5]))
			i += 5
		default:
			out = append(out, escapes[s[i+1]])
			i++
		}
	}
	return out
}

func (p *parser) array(depth int) error {
	if depth > MaxDepth {
		return p.fail(fmt.Sprintf("it nests deeper than %d levels", MaxDepth))
	}
	p.copyByte('[')
	p.space()
	if p.copyByte(']') {
		return nil
	}
	for {
		if err := p.value(depth); err != nil {
			return err
		}
		p.space()
		if !p.copyByte(',') {
			break
		}
	}
	if !p.copyByte(']') {
		return p.fail("a comma or a closing bracket is expected")
	}
	return nil
}

// number copies a number as it stands: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func (p *parser) number() error {
	p.copyByte('-')
	if p.peek() == '0' {
		p.copyByte('0')
	} else if !p.digits() {
		return p.fail("a digit is expected")
	}
	if p.copyByte('.') && !p.digits() {
		return p.fail("a digit is expected after the point")
	}
	if p.copyByte('e') || p.copyByte('E') {
		if !p.copyByte('+') {
			p.copyByte('-')
		}
		if !p.digits() {
			return p.fail("a digit is expected in the exponent")
		}
	}
	return nil
}

// digits copies as many digits as there are, and reports whether there were any.
func (p *parser) digits() bool {
	start := p.pos
	for '0' <= p.peek() && p.peek() <= '9' {
		p.pos++
	}
	p.out = append(p.out, p.src[start:p.pos]...)
	return p.pos > start
}

// text copies a string with its quotes, in canonical spelling.
func (p *parser) text() error {
	p.copyByte('"')
	for {
		if err := p.plain(); err != nil {
			return err
		}
		switch {
		case p.pos == len(p.src):
			return p.fail("a string has no end")
		case p.copyByte('"'):
			return nil
		case p.peek() != '\\':
			return p.fail("a control character stands in a string; it must be escaped")
		}
		if err := p.escape(); err != nil {
			return err
		}
	}
}

// plain copies the part of a string that stands for itself.
func (p *parser) plain() error {
	start := p.pos
	for p.pos < len(p.src) {
		if b := p.src[p.pos]; b == '"' || b == '\\' || b < 0x20 {
			break
		}
		p.pos++
	}
	run := p.src[start:p.pos]
	if !utf8.Valid(run) {
		return p.fail("a string ends that is not in UTF-8")
	}
	p.out = append(p.out, run...)
	return nil
}

// escapes says what the letter after a backslash stands for.
var escapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// letters is the inverse of escapes, for what has to be escaped.
var letters = [256]byte{
	'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't',
}

// escape reads an escape sequence and writes the character it stands for.
func (p *parser) escape() error {
	if p.pos+1 >= len(p.src) {
		return p.fail("a string has no end")
	}
	if b := p.src[p.pos+1]; b != 'u' {
		if escapes[b] == 0 {
			return p.fail("an unknown escape stands in a string")
		}
		p.pos += 2
		p.write(rune(escapes[b]))
		return nil
	}
	r, ok := p.unit(p.pos)
	if !ok {
		return p.fail("an escape has no four hexadecimal digits")
	}
	size := 6
	if 0xd800 <= r && r < 0xdc00 {
		if low, ok := p.unit(p.pos + 6); ok && 0xdc00 <= low && low < 0xe000 {
			r, size = 0x10000+(r-0xd800)<<10+(low-0xdc00), 12
		}
	}
	if !utf8.ValidRune(r) {
		return p.fail("an escape names half a character (a lone surrogate)")
	}
	p.pos += size
	p.write(r)
	return nil
}

// unit reads the escape \uXXXX at pos.
func (p *parser) unit(pos int) (rune, bool) {
	if pos+6 > len(p.src) || p.src[pos] != '\\' || p.src[pos+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, b := range p.src[pos+2 : pos+6] {
		digit := hex(b)
		if digit > 15 {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

// hex returns the value of a hexadecimal digit, 16 if b is none.
func hex(b byte) byte {
	switch {
	case '0' <= b && b <= '9':
		return b - '0'
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10
	}
	return 16
}

// write appends one character of a string to the output, escaped if it must be.
func (p *parser) write(r rune) {
	switch {
	case r < 0x80 && letters[r] != 0:
		p.out = append(p.out, '\\', letters[r])
	case r < 0x20:
		p.out = fmt.Appendf(p.out, `\u%04x`, r)
	default:
		p.out = utf8.AppendRune(p.out, r)
	}
}
