// Package path has the names and paths of the tree.
//
// A name is 1 to 255 bytes without a slash and NUL, and neither "." nor "..". A path is at most
// 256 names with single slashes between them, such as root/forum/2024; it has no slash at its
// ends. The empty path is the top of the tree. The bytes are compared as they are: no case
// folding, no Unicode normalisation.
//
// The path of a directory that is published stands below root, is valid UTF-8, and has no control
// characters (Unicode category Cc), line or paragraph separators (U+2028, U+2029), or characters
// that turn the direction of writing (U+202A to U+202E, U+2066 to U+2069): people decide by
// it whose word they take.
package path

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of names, in bytes, and of paths, in names.
const (
	MaxName  = 255
	MaxDepth = 256
)

// ErrInvalid is a text that is no name or no path.
var ErrInvalid = errors.New("invalid path")

// A Path is a path; [Parse] is the way to make one from a text. The zero Path is the top of the
// tree.
type Path struct{ text string }

// Parse reads a path. A slash at the end, as shells complete it, is taken off.
func Parse(text string) (Path, error) {
	trimmed := strings.TrimSuffix(text, "/")
	if trimmed == "" {
		return Path{}, fmt.Errorf("%w: %q is empty; the top of the tree is \".\"", ErrInvalid, text)
	}
	if text == "." {
		return Path{}, nil
	}
	if strings.Count(trimmed, "/") >= MaxDepth {
		return Path{}, fmt.Errorf("%w: more than %d names", ErrInvalid, MaxDepth)
	}
	for name := range strings.SplitSeq(trimmed, "/") {
		if err := CheckName(name); err != nil {
			return Path{}, fmt.Errorf("%w in %q", err, text)
		}
	}
	return Path{trimmed}, nil
}

// MustParse is Parse for texts in the program itself.
func MustParse(text string) Path {
	p, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return p
}

// CheckName returns an error that says why name is no name.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: an empty name", ErrInvalid)
	case name == "." || name == "..":
		return fmt.Errorf("%w: the name %q", ErrInvalid, name)
	case len(name) > MaxName:
		return fmt.Errorf("%w: a name of %d bytes, of at most %d", ErrInvalid, len(name), MaxName)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("%w: a slash or NUL in the name %q", ErrInvalid, name)
	}
	return nil
}

// String returns the path as text; the top of the tree is ".".
func (p Path) String() string {
	if p.text == "" {
		return "."
	}
	return p.text
}

// IsTop reports whether p is the top of the tree.
func (p Path) IsTop() bool { return p.text == "" }

// Names returns the names of p, from the top down.
func (p Path) Names() []string {
	if p.text == "" {
		return nil
	}
	return strings.Split(p.text, "/")
}

// Base returns the last name; "" for the top.
func (p Path) Base() string { return p.text[strings.LastIndexByte(p.text, '/')+1:] }

// First returns the first name, and the path of the rest below it.
func (p Path) First() (string, Path) {
	first, rest, _ := strings.Cut(p.text, "/")
	return first, Path{rest}
}

// Parent returns p without its last name; the parent of the top is the top.
func (p Path) Parent() Path {
	i := strings.LastIndexByte(p.text, '/')
	if i < 0 {
		return Path{}
	}
	return Path{p.text[:i]}
}

// Join returns p with more names below it. The names are checked.
func (p Path) Join(names ...string) (Path, error) {
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return Path{}, err
		}
		p = p.child(name)
	}
	if strings.Count(p.text, "/") >= MaxDepth {
		return Path{}, fmt.Errorf("%w: more than %d names", ErrInvalid, MaxDepth)
	}
	return p, nil
}

func (p Path) child(name string) Path {
	if p.text == "" {
		return Path{name}
	}
	return Path{p.text + "/" + name}
}

// Below returns the path of p as seen from top, and whether p is top or stands below it.
func (p Path) Below(top Path) (Path, bool) {
	switch {
	case top.text == "":
		return p, true
	case p.text == top.text:
		return Path{}, true
	case strings.HasPrefix(p.text, top.text) && p.text[len(top.text)] == '/':
		return Path{p.text[len(top.text)+1:]}, true
	}
	return Path{}, false
}

// Append returns the path of q below p.
func (p Path) Append(q Path) Path {
	if q.text == "" {
		return p
	}
	return p.child(q.text)
}

// CheckPublished returns an error that says why text cannot be the path of a directory in
// a reference: it is a path below root, in valid UTF-8, spelled as String spells it, without the
// characters that the package comment refuses.
func CheckPublished(text string) error {
	p, err := Parse(text)
	if err != nil {
		return err
	}
	if first, rest := p.First(); first != Root || rest.IsTop() || p.String() != text || !utf8.ValidString(text) {
		return fmt.Errorf("%w: %q is not the path of something below %s", ErrInvalid, text, Root)
	}
	if strings.ContainsFunc(text, misleading) {
		return fmt.Errorf("%w: %q has a character that controls how text is shown", ErrInvalid, text)
	}
	return nil
}

// misleading reports whether r makes text look like other text.
func misleading(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// Root is the name of the part of the tree that is published and merged.
const Root = "root"
