package shared

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"archivecache/tree/path"
)

// minDigits is how many digits of an id a conflict name has at least.
const minDigits = 8

// ConflictName returns the name under which something is shown whose plain name is taken:
// stem~hhhhhhhh.ext, with as many digits of id as it takes until no name is the same. The
// extension starts at the last dot that is not the first character. A stem that is too long is
// cut between characters; such a name has all digits of the id, so that two long names never meet
// in one. It returns "" if every such name is taken.
func ConflictName(name string, id []byte, taken func(string) (bool, error)) (string, error) {
	digits := hex.EncodeToString(id)
	for n := minDigits; n <= len(digits); n++ {
		if n < len(digits) && len(name)+1+n > path.MaxName {
			continue
		}
		candidate := conflictName(name, digits[:n])
		if used, err := taken(candidate); err != nil || !used {
			return candidate, err
		}
	}
	return "", nil
}

func conflictName(name, digits string) string {
	stem, ext := splitExt(name)
	room := path.MaxName - len(digits) - 1 - len(ext)
	if room < utf8.UTFMax {
		// The extension alone is too long: it is part of the stem.
		stem, ext = name, ""
		room = path.MaxName - len(digits) - 1
	}
	return cut(stem, room) + "~" + digits + ext
}

func splitExt(name string) (stem, ext string) {
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		return name[:dot], name[dot:]
	}
	return name, ""
}

// cut returns the first bytes of s, at most n, without tearing a character; of what is not UTF-8
// it leaves at least n-3 bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// plainName returns the name whose conflict name may be the given one. If the stem may have been
// cut there are many such names, and whole is true.
func plainName(name string) (plain string, whole, ok bool) {
	stem, ext := splitExt(name)
	head, digits, ok := splitDigits(stem)
	if !ok {
		// An extension that was too long has become part of the stem.
		ext = ""
		if head, digits, ok = splitDigits(name); !ok {
			return "", false, false
		}
	}
	mayBeCut := len(digits) == 2*versionSize && len(name) > path.MaxName-utf8.UTFMax
	return head + ext, mayBeCut, true
}

// splitDigits takes the digits of an id off a stem.
func splitDigits(stem string) (head, digits string, ok bool) {
	tilde := strings.LastIndexByte(stem, '~')
	if tilde < 1 {
		return "", "", false
	}
	head, digits = stem[:tilde], stem[tilde+1:]
	ok = len(digits) >= minDigits && len(digits) <= 2*versionSize && strings.Trim(digits, "0123456789abcdef") == ""
	return head, digits, ok
}
